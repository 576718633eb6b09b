"""Requests to a lab's host: each public method is a verb of the protocol."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from plumb import root
from plumb.engine.host import Host
from plumb.engine.verbs import Transaction
from plumb.errors import Invalid
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netns import fake_host
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.process import commands
from plumb.kernel.process.starting.description import spec
from plumb.plan import plan
from plumb.pytest_plugin.lab_process.enter import enter
from plumb.pytest_plugin.lab_process.places import Places
from plumb.pytest_plugin.rpc import Handed
from plumb.pytest_plugin.values import Asked, Found, Route
from plumb.things import Thing
from plumb.things.layer3 import Sysctl
from plumb.things.links import Up

ROOT = f"{fake_host.OWN_FILES}/root"


class Answers(Places):
    """A host in its namespaces, and plumb on it.

    Attributes:
        ended: exit status of commands that have ended, by pid.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        netns = fake_host.pin(f"{fake_host.OWN_FILES}/host")
        super().__init__(Host(ROOT, settings=settings), netns)
        self.ended: dict[int, int] = {}
        self._verbs: Transaction | None = None
        self._open = ExitStack()
        LinuxKernel().take(plan([], list(_host_setup(settings))))

    # -- plumb ---------------------------------------------------------------

    def plumb(self, verb: str, *args: Any, **named: Any) -> Any:
        """A method of plumb's `Host`; within `begin` and `commit`, of `Transaction`."""
        on = self._verbs if self._verbs is not None and hasattr(self._verbs, verb) else self._host
        return getattr(on, verb)(*args, **named)

    def begin(self) -> None:
        """Begin an operation of many verbs."""
        if self._verbs is not None:
            raise Invalid("an operation within an operation", "end the first")
        self._verbs = self._open.enter_context(self._host.operation())

    def commit(self) -> None:
        """Carry it out."""
        self._verbs = None
        self._open.close()

    def abandon(self) -> None:
        """Forget it: nothing was done yet."""
        self._verbs = None
        try:
            self._open.__exit__(Abandoned, Abandoned(), None)
        except Abandoned:
            pass

    def environment(self) -> dict[str, str]:
        """Environment variables with which the command line manages this host's plumb."""
        return {"PLUMB_ROOT": ROOT, "PLUMB_CONFIG": "", "PYTHONPATH": root.IMPORT_PATH}

    def way(self, node: str) -> Route:
        """Namespaces of a place: a container is entered as `exec --privileged` does.

        One that sees the host's files read-only is entered as by `exec`, for it refuses the flag.
        """
        if node in self.places or node.startswith("("):
            return Route(self.place(node))
        box = self._host.container(node)
        command = self._host.command(box, ["true"], privileged=not box.read_only_host)
        return Route(self.place(node), spec(command, commands.alive(command.folder)[0]))

    # -- things to do there ---------------------------------------------------------------

    def spawn(
        self,
        node: str,
        argv: list[str],
        environment: dict[str, str],
        folder: str,
        *,
        streams: list[int],
    ) -> Handed:
        """Start a command in a place; its pid here, and its pidfd."""
        way = self.way(node)
        pid = fake_host.start(lambda: enter(way), argv, environment, folder, streams)
        return Handed(pid, [os.pidfd_open(pid)])

    def status(self, pid: int) -> int | None:
        """The exit status of a command that was started here, None while it runs."""
        self.ended.update(fake_host.reap())
        return self.ended.get(pid)

    def socket(self, node: str, family: int, kind: int, protocol: int) -> Handed:
        """A socket that belongs to a place's namespace."""
        with entered(self.place(node)):
            return Handed(None, [socket.socket(family, kind, protocol).detach()])

    def listeners(self, node: str, protocol: str) -> list[tuple[str, int]]:
        """The addresses and ports on which somebody waits in a place."""
        from plumb.kernel.netlink.sock_diag import sockets

        states = {"tcp": ["LISTEN"], "udp": ["CLOSED"]}[protocol]
        with entered(self.place(node)):
            return sorted(
                {
                    (str(each.ip), each.port)
                    for version in (4, 6)
                    for each in sockets(protocol, version, states)
                }
            )

    def lan(self) -> None:
        """Put the host on a LAN, if it is not on one yet."""
        from plumb.pytest_plugin.lab_process import lan

        if not self.interfaces:
            self.interfaces.update(lan.attach(self.places))

    # -- questions ---------------------------------------------------------------

    def reach(self, asked: Asked, seconds: float) -> Found:
        """Try if one place reaches another."""
        from plumb.pytest_plugin.lab_process import reachability

        return reachability.knock(self, self._host, asked, seconds)

    def tell(self, asked: Asked, seconds: float = 1.0) -> str:
        """The story of a packet that asks this."""
        from plumb.pytest_plugin.lab_process import trace

        return trace.tell(self, self._host, asked, seconds)

    def gather(self) -> dict[str, str]:
        """State of a lab that is worth keeping, as texts by file name."""
        from plumb.pytest_plugin.lab_process import dump_state

        return dump_state.gather(self, self._host)


def _host_setup(settings: dict[str, Any]) -> Iterator[Thing]:
    """Settings that an administrator makes on a host before plumb runs.

    With nftables, Docker leaves it to the administrator to switch on IP forwarding.
    """
    yield Up("lo")
    yield Sysctl("net/ipv6/conf/default/accept_dad", "0")
    if settings.get("firewall-backend") == "nftables":
        for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            yield Sysctl(name, "1")


class Abandoned(Exception):
    """An operation is not carried out."""
