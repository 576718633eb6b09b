"""The process of a lab: it has the switches' namespace, and is the parent of the hosts.

Whoever starts it writes a line of JSON to its control socket and reads one:

    {"count": 2, "between": "switch", "mtu": null, "stays": false, "names": false}
    {}    or    {"refused": "…", "hint": "…"}

With the former come descriptors of processes (pidfds): the lab's own, and the first one of each
host. The lab's process is the first one of a pid namespace, and where its user is not root of the
machine, it is root of a user namespace: `/proc/PID` is another one for those outside.

It ends when the control socket's other end is closed, or, where it stays, when it is killed. Each
host dies with it (PR_SET_PDEATHSIG), and with a host all that runs there.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any, NoReturn

from plumb.errors import KernelRefused, PlumbError
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netns import fake_host, user_namespace
from plumb.kernel.netns.lab_host import Init, introduce, reap_until_closed
from plumb.kernel.netns.namespaces import call
from plumb.kernel.process.title import set_title
from plumb.lab import commands, layout
from plumb.lab.layout import Between, Place
from plumb.plan import plan

TITLE = "plumb-hosts"
FORBIDDEN = (errno.EPERM, errno.EACCES)


def main(control: int) -> None:
    """Build a lab, say what its hosts are, and stay until it is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_title(TITLE)
    never, _held = os.pipe2(os.O_CLOEXEC)
    with socket.socket(fileno=control) as asked:
        request = json.loads(asked.makefile("rb").readline())
        inits: list[Init] = []
        answer: dict[str, Any] = {}
        alone = user_namespace.wanted()
        try:
            _become_first(alone)
            inits = build(
                layout.places(request["count"], Between(request["between"])), request["mtu"]
            )
            if request["names"]:
                _give_names(inits)
        except PlumbError as error:
            refused = alone and isinstance(error, KernelRefused) and error.errno in FORBIDDEN
            hint = user_namespace.advice() if refused else error.hint
            answer = {"refused": str(error), "hint": hint}
        _say(asked, answer, [os.getpid(), *(init.pid for init in inits)])
        if inits:
            reap_until_closed(never if request["stays"] else asked.fileno())


def _become_first(alone: bool) -> None:
    """Become the first process of a pid namespace, and before that root of a user namespace.

    A pid namespace can be mounted as /proc, and left for another one, by root of the user namespace
    in which it was made.

    Args:
        alone: the latter is needed.
    """
    if alone:
        user_namespace.become_root()
    call("unshare", fake_host.CLONE_NEWPID, doing="make a pid namespace")
    if os.fork():
        os._exit(0)


def _say(to: socket.socket, answer: dict[str, Any], pids: list[int]) -> None:
    descriptors = [os.pidfd_open(pid) for pid in pids]
    socket.send_fds(to, [json.dumps(answer).encode() + b"\n"], descriptors)
    for descriptor in descriptors:
        os.close(descriptor)


def build(places: tuple[Place, ...], mtu: int | None) -> list[Init]:
    """Fork the hosts, and connect them; the first process of each.

    Raises:
        KernelRefused: the kernel refused a namespace or a link.
    """
    fake_host.become_host("switch")
    inits = [_host(place) for place in places]
    things = [
        *layout.switches(places[0].between, mtu),
        *(
            thing
            for place, init in zip(places, inits, strict=True)
            for thing in layout.host(place, init.netns, mtu)
        ),
    ]
    LinuxKernel().take(plan([], things))
    introduce(dict(zip((place.name for place in places), inits, strict=True)), commands.ROOT)
    return inits


def _give_names(inits: list[Init]) -> None:
    """Start the name server of the internet, and have the hosts ask it.

    Raises:
        KernelRefused: it cannot have its port.
    """
    from plumb.lab import name_server  # lazy: a lab for tests and lessons has none

    name_server.start()
    for init in inits:
        path = Path(init.path(f"{fake_host.OWN_FILES}/resolv.conf"))
        path.write_text(name_server.RESOLV_CONF, encoding="utf-8")


def _host(place: Place) -> Init:
    """Fork a host, and wait until it is one."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        pid = fake_host.fork_into_pid_namespace(lambda: _live(place, reading, writing))
    finally:
        os.close(writing)
    with open(reading, encoding="utf-8") as said:
        words = said.read()
    if words != "ready":
        from plumb.errors import KernelRefused

        raise KernelRefused(f"make host {place.name}", 0, words or "it ended before it was ready")
    return Init.of(pid)


def _live(place: Place, reading: int, writing: int) -> NoReturn:
    os.close(reading)
    try:
        fake_host.become_host(place.name)
        commands.install()
        set_title(f"plumb-host {place.name}")
    except PlumbError as error:
        os.write(writing, str(error).encode())
        os._exit(1)
    os.write(writing, b"ready")
    os.close(writing)
    never, _held = os.pipe2(os.O_CLOEXEC)
    reap_until_closed(never)
    os._exit(0)
