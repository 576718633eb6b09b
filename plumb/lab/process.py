"""The process of a lab: it has the switches' namespace, and is the parent of the hosts.

Whoever starts it writes a line of JSON to its control socket and reads one:

    {"count": 2, "between": "switch", "mtu": null, "stays": false}
    {"hosts": [[PID, TICKS], …]}    or    {"refused": "…", "hint": "…"}

It ends when the control socket's other end is closed, or, where it stays, when it is killed. Each
host dies with it (PR_SET_PDEATHSIG), and with a host all that runs there.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import Any, NoReturn

from plumb.errors import PlumbError
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netns import fake_host
from plumb.kernel.netns.lab_host import Init, introduce, reap_until_closed
from plumb.kernel.process.title import set_title
from plumb.lab import layout
from plumb.lab.layout import ROOT, Between, Place
from plumb.plan import plan

TITLE = "plumb-hosts"


def main(control: int) -> None:
    """Build a lab, say what its hosts are, and stay until it is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_title(TITLE)
    never, _held = os.pipe2(os.O_CLOEXEC)
    with socket.socket(fileno=control) as asked:
        request = json.loads(asked.makefile("rb").readline())
        try:
            inits = build(
                layout.places(request["count"], Between(request["between"])), request["mtu"]
            )
            answer: dict[str, Any] = {"hosts": inits}
        except PlumbError as error:
            answer = {"refused": str(error), "hint": error.hint}
        asked.sendall(json.dumps(answer).encode() + b"\n")
        if "refused" not in answer:
            reap_until_closed(never if request["stays"] else asked.fileno())


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
    introduce(dict(zip((place.name for place in places), inits, strict=True)), ROOT)
    return inits


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
        set_title(f"plumb-host {place.name}")
    except PlumbError as error:
        os.write(writing, str(error).encode())
        os._exit(1)
    os.write(writing, b"ready")
    os.close(writing)
    never, _held = os.pipe2(os.O_CLOEXEC)
    reap_until_closed(never)
    os._exit(0)
