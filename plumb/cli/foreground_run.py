"""`plumb run` in the foreground, and what `run` and `create` say of a new container."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress

from plumb.engine.host import Host
from plumb.errors import NotFound
from plumb.model.cnm import Sandbox, Status
from plumb.model.keywords import ContainerOptions


def run(
    host: Host, name: str, wish: ContainerOptions, sig_proxy: bool, note: Callable[[str], None]
) -> int:
    """Run the command here, then let the container stop as if the command had been its own.

    Args:
        note: is told the container's id before the command runs.
    """
    from plumb.kernel.process.foreground import Foreground

    box, code = None, 137
    with Foreground(sig_proxy) as here:
        try:
            with host.operation() as verbs:
                box = verbs.run(name, foreground=True, **wish)
            note(box.id)
            warn(host, box)
            sys.stdout.flush()
            code = here.run(host.command(box, box.argv))
            return code
        finally:
            if box is not None and host.store.get(Sandbox, box.id):
                _let_go(host, box, code)


def _let_go(host: Host, box: Sandbox, code: int) -> None:
    with suppress(NotFound), host.operation() as verbs:  # another plumb may have removed it
        verbs.remove(box.id, force=True) if box.auto_remove else verbs.stop(box.id, code)


def warn(host: Host, box: Sandbox) -> None:
    """Say what was asked for and has no effect now."""
    if not (box.ports or box.publish_all):
        return
    if box.mode == "host":
        print(
            "plumb: warning: published ports are discarded when using host network mode",
            file=sys.stderr,
        )
    elif (
        box.ports
        and box.status is Status.RUNNING
        and not any(end.ports for end in host.endpoints(box))
    ):
        open_ones = [
            net.name for end in host.endpoints(box) if (net := host.network(end.network)).on_lan
        ]
        why = (
            f"clients on {open_ones[0]} reach all ports of the container"
            if open_ones
            else "they are published when the container joins a network with external connectivity"
        )
        print(f"plumb: warning: no port is published: {why}", file=sys.stderr)


def print_id(host: Host, box: Sandbox) -> None:
    """Print a new container's id; without a reader, nobody could refer to it, and it is removed."""
    try:
        print(box.id, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        with suppress(NotFound):
            host.remove(box.id, force=True)
        raise
