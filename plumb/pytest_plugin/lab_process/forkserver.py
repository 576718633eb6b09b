"""The forkserver: forks a fake host in a few milliseconds, with all modules imported already.

pytest may have threads, and a heap that is dear to copy; a fork of it would inherit both. So this
process is started fresh, once, when the first lab is asked for, and every host is a fork of it. It
ends when pytest does: by the end of the stream between them, or, where others hold that open too,
by pytest's pidfd.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from plumb.errors import PlumbError
from plumb.kernel.netns import fake_host
from plumb.kernel.process.title import set_title
from plumb.pytest_plugin import rpc
from plumb.pytest_plugin.lab_process import init

NEEDED = (
    "plumb.engine.host",
    "plumb.kernel.linux",
    "plumb.kernel.net.host_links",
    "plumb.kernel.agent_client",
    "plumb.kernel.ports.free_ports",
    "plumb.kernel.netfilter.conntrack_flush",
    "plumb.kernel.net.announce_endpoints",
    "plumb.kernel.netfilter.iptables_restore",
    "plumb.kernel.netlink.sock_diag",
    "plumb.kernel.netns.snapshot_rtnl",
    "plumb.things.registry",
    "plumb.probes.promises.published_ports",
    "plumb.pytest_plugin.lab_process.rpc_methods",
    "plumb.pytest_plugin.lab_process.lan",
    "plumb.pytest_plugin.lab_process.reachability",
    "sqlite3",
    "json",
    "encodings.ascii",
)
"""What most hosts will import: once for all of them."""


def main(control: int) -> None:
    """Serve pytest on a stream socket.

    "host" gives a host, "able" says whether the kernel can do something.
    """
    set_title("plumb-labs")
    with socket.socket(fileno=control) as asked:
        try:
            for module in NEEDED:
                import_module(module)
        except BaseException as error:
            rpc.send(asked, rpc.raised(error))
            return
        # the collector would write to every object, and so copy the pages that forks share
        gc.freeze()
        rpc.send(asked, "ready")
        _serve(asked)


def _serve(asked: socket.socket) -> None:
    _, lives = rpc.receive(asked)
    watched = select.poll()
    for descriptor in (asked.fileno(), *lives):
        watched.register(descriptor, select.POLLIN)
    children: dict[int, int] = {}
    while True:
        for descriptor, _ in watched.poll():
            if descriptor in lives:
                return
            if descriptor in children:
                watched.unregister(descriptor)
                os.waitpid(children.pop(descriptor), 0)
                os.close(descriptor)
                continue
            try:
                words, descriptors = rpc.receive(asked)
                _answer(asked, words, descriptors, children, watched)
            except (EOFError, ConnectionError):
                return


def _answer(
    asked: socket.socket,
    words: Any,
    descriptors: list[int],
    children: dict[int, int],
    watched: select.poll,
) -> None:
    try:
        if words[0] == "able":
            rpc.send(asked, _able(words[1]))
            return
        pid = fake_host.fork_into_pid_namespace(lambda: _become(asked, descriptors[0], words[1]))
        process = os.pidfd_open(pid)
        children[process] = pid
        watched.register(process, select.POLLIN)
        rpc.send(asked, pid, [process])
    except PlumbError as error:
        rpc.send(asked, rpc.raised(error))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _become(asked: socket.socket, control: int, settings: dict[str, Any]) -> NoReturn:
    asked.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(ConnectionError, EOFError), socket.socket(fileno=control) as stream:
        init.live(stream, settings)
    os._exit(0)


def _able(feature: str) -> tuple[bool, str]:
    from plumb.kernel.features.detect import able

    found = able(feature)
    return found.able, str(found)
