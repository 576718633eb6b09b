"""Wait until the kernel has nothing left to take down.

It removes a namespace after the last process and file have let go of it, in the background, one
batch after the other, and has the lock of all links for most of that time: 20 to 50 ms for a
sandbox. What is measured meanwhile waits for that lock, and would pay for what came before it.

Nor has Python: it collects its garbage first, which fills the processor's caches with other things,
and so does not stand directly before what is measured."""

from __future__ import annotations

import gc
import socket
import tempfile

from plumb.kernel.netns import namespaces
from tests.labs import sh
from tests.waiting import until

MARK, PEER = "rest0", "rest1"


def at_rest() -> None:
    """Let a namespace with a link go, behind all others, and wait until the kernel removes that."""
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/last"
        namespaces.make(path)
        sh(f"ip link add {MARK} type veth peer name {PEER} netns {path}")
        namespaces.drop(path)
        until(lambda: not _is_there(), "the kernel to take down a namespace")


def _is_there() -> bool:
    try:
        socket.if_nametoindex(MARK)
    except OSError:
        return False
    return True
