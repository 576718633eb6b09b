"""Nodes: the places of a lab, each with its addresses, commands, calls and waits."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from plumb.address import IPAddress
from plumb.errors import NotFound
from plumb.pytest_plugin import remote_calls
from plumb.pytest_plugin.commands import Command, CommandFailed, Ran, environment
from plumb.pytest_plugin.reach import JudgedLab, Reach, protocol_of
from plumb.pytest_plugin.values import HOST, Asked, Interface, described
from plumb.pytest_plugin.waiting import wait

if TYPE_CHECKING:
    from plumb.engine.host import Host
    from plumb.pytest_plugin.forkserver_client import LabHandle

T = TypeVar("T")
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
Ready = int | str | Callable[[], object] | None


class NodeLab(JudgedLab, Protocol):
    """The lab of a place, as far as the place needs it; see `labs.Lab`."""

    born: LabHandle
    plumb: Host
    family: int

    def keep(self, command: Command) -> Command:
        """Let a command end with the lab."""

    def address_for(self, source: str, target: str, family: int) -> IPAddress | None:
        """The address by which one place looks for another."""

    def knock(self, asked: Asked, seconds: float) -> Reach:
        """Try whether one place reaches another."""


class Node:
    """A place in a lab: the host, a container, a machine on the LAN.

    Attributes:
        lab: the lab.
        name: a container's name; other places have theirs in parentheses.
    """

    def __init__(self, lab: NodeLab, name: str) -> None:
        self.lab, self.name = lab, name

    def __repr__(self) -> str:
        return self.name

    # -- addresses ---------------------------------------------------------------

    @property
    def interfaces(self) -> list[Interface]:
        """Interfaces as they are now, the one that leads outside first."""
        found: list[Interface] = self.lab.ask("facts", self.name)
        return found

    def on(self, network: object) -> Interface:
        """Interface on a network, by the network or its name.

        "lan" is the wire before the host.

        Raises:
            NotFound: it has none there.
        """
        __tracebackhide__ = True
        name = str(network)
        for found in self.interfaces:
            if found.network == name:
                return found
        raise NotFound(
            f"{self.name} is not on {name}",
            f"it is on {', '.join(each.network for each in self.interfaces) or 'no network'}",
        )

    @property
    def ip(self) -> IPv4Address:
        """First IPv4 address."""
        found = self.address(4)
        assert isinstance(found, IPv4Address)
        return found

    @property
    def ip6(self) -> IPv6Address:
        """First IPv6 address."""
        found = self.address(6)
        assert isinstance(found, IPv6Address)
        return found

    def address(self, family: int = 0) -> IPAddress:
        """First address of a family; 0: of the lab's.

        Raises:
            NotFound: it has none.
        """
        __tracebackhide__ = True
        version = family or self.lab.family
        for found in self.interfaces:
            if (address := found.address(version)) is not None:
                return address
        raise NotFound(
            f"{self.name} has no IPv{version} address",
            "lab.lan() gives the host one"
            if self.name == HOST
            else "lab.network(…, ipv6=True)"
            if version == 6
            else "",
        )

    # -- what runs there ---------------------------------------------------------------

    def run(
        self,
        command: str | Sequence[str],
        *,
        check: bool = True,
        seconds: float = 30.0,
        given: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run a command there, as root with all rights, and wait for its end; what came of it.

        Args:
            command: a line for the shell, or words.
            check: it must end with 0.
            seconds: how long it may take.
            given: what it reads from its standard input.
            env: more for its environment, which is pytest's.

        Raises:
            CommandFailed: it failed.
            Waited: it takes too long; it has been killed.
        """
        __tracebackhide__ = True
        started = self._start(command, given, env)
        try:
            try:
                started.wait(seconds)
            finally:
                started.kill()
            ran = started.result()
        finally:
            started.close()
        if check and ran.returncode:
            raise CommandFailed(self.name, ran)
        return ran

    def popen(
        self,
        command: str | Sequence[str],
        *,
        ready: Ready = None,
        seconds: float = 10.0,
        given: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Command:
        """Start a command there; it ends with the lab.

        Args:
            ready: when this returns: a TCP port on which somebody listens, a pattern that has been
            printed, or a condition; None: at once.
            seconds: how long to wait for that.
            command, given, env: as of `run`.

        Raises:
            Waited: it is not ready in time.
            Hopeless: it has ended.
        """
        __tracebackhide__ = True
        started = self.lab.keep(self._start(command, given, env))
        if isinstance(ready, str):
            started.wait_output(ready, seconds)
        elif isinstance(ready, int):
            self.wait_listening(ready, seconds=seconds, command=started)
        elif ready is not None:
            wait(ready, f"{self.name}: {started.args} to be ready", seconds)
        return started

    def _start(
        self, command: str | Sequence[str], given: str, env: Mapping[str, str] | None
    ) -> Command:
        more = {"HOSTNAME": self.name.strip("()"), **(env or {})}
        words = environment(os.environ, more)

        def start(argv: list[str], streams: list[int]) -> tuple[int, int]:
            pid, (process,) = self.lab.born.line.ask(
                ("spawn", (self.name, argv, words, os.getcwd()), {}), streams
            )
            return pid, process

        return Command(self.name, command, start, lambda pid: self.lab.ask("status", pid), given)

    def call(
        self, function: Callable[..., T], *args: Any, seconds: float = 30.0, **named: Any
    ) -> T:
        """Call a function there, in a fork of pytest.

        What it returned, or the error that it raised.

        What it changes in memory stays there. What it returns must be such that it can be pickled.

        Raises:
            Waited: it takes too long; it has been killed.
        """
        __tracebackhide__ = True
        visit = partial(function, *args, **named)
        found: T = remote_calls.call(
            self.lab.born.process, self.lab.ask("way", self.name), self.name, visit, seconds
        )
        return found

    def socket(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0
    ) -> socket.socket:
        """A socket that belongs to that place, to be used from here."""
        _, (descriptor,) = self.lab.born.line.ask(
            ("socket", (self.name, int(family), int(kind), protocol), {})
        )
        return socket.socket(family, kind, protocol, descriptor)

    # -- waiting ---------------------------------------------------------------

    def wait_listening(
        self,
        port: int,
        protocol: str = "tcp",
        *,
        seconds: float = 10.0,
        command: Command | None = None,
    ) -> None:
        """Wait until somebody listens on a port there.

        The kernel tells nobody when a socket begins to listen, so this looks again and again
        (sock_diag(7)).

        Args:
            protocol: "tcp" or "udp".
            command: who should; its end is the end of the wait.
        """
        __tracebackhide__ = True

        def look() -> bool:
            listeners = self.lab.ask("listeners", self.name, protocol)
            if any(number == port for _, number in listeners):
                return True
            if command is not None and command.poll() is not None:
                raise command.hopeless(f"does not listen on {protocol} {port}")
            raise AssertionError(f"listening: {_ports(listeners)}")

        wait(look, f"somebody to listen on {protocol} {port} of {self.name}", seconds)

    def wait_carrier(self, network: object = "", *, seconds: float = 10.0) -> None:
        """Wait until links are up and have carrier, and their addresses can be used.

        The links are all of the node's, or the one on a network.

        The kernel tells of each change (rtnetlink(7)), so this looks when there is something new to
        see.
        """
        __tracebackhide__ = True
        wanted = {self.on(network).dev} if network else {each.dev for each in self.interfaces}

        def look() -> bool:
            links = {link["name"]: link for link in self.lab.ask("links", self.name)}
            states = {name: links.get(name) for name in wanted}
            assert all(
                link and link["up"] and link["carrier"] and link["addresses"]
                for link in states.values()
            ), ", ".join(
                described(link) if link else f"{name} is not there" for name, link in states.items()
            )
            return True

        with self.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as news:
            news.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
            wait(
                look,
                f"{self.name}'s {' '.join(sorted(wanted))} to have carrier",
                seconds,
                lambda most: _news(news, most),
            )

    def wait_reachable(
        self,
        target: Node | Interface,
        *,
        tcp: int = 0,
        udp: int = 0,
        family: int = 0,
        seconds: float = 10.0,
    ) -> None:
        """Wait until it reaches another place; arguments as of `reaches`."""
        __tracebackhide__ = True
        wait(
            lambda: self.reaches(target, tcp=tcp, udp=udp, family=family),
            f"{self.name} to reach {target}",
            seconds,
        )

    # -- questions ---------------------------------------------------------------

    def reaches(
        self,
        target: Node | Interface,
        *,
        tcp: int = 0,
        udp: int = 0,
        family: int = 0,
        seconds: float = 0.5,
    ) -> Reach:
        """Try with a real packet if the node reaches another place.

        A ping, or TCP or UDP to a port.

        Where nobody listens on that port a listener is brought along. A published port of the host
        is one of the container behind it.

        Args:
            target: a place, or one of its interfaces (`db.on("backend")`).
            tcp, udp: the port; none: a ping.
            family: 4 or 6; 0: the lab's.
            seconds: how long to wait for an answer. Where the lab's networks promise one, silence
                is followed by a second request, which has twice as long and at least 2 s.

        Returns:
            What is true or false by the outcome; a failed assertion about it tells the story.
        """
        __tracebackhide__ = True
        protocol, port = protocol_of(tcp, udp)
        version = family or self.lab.family
        if isinstance(target, Interface):
            address, node = target.address(version), target.node
        else:
            address, node = self.lab.address_for(self.name, target.name, version), target.name
        if address is None:
            raise NotFound(f"{node} has no IPv{version} address there")
        return self.lab.knock(Asked(self.name, node, address, protocol, port), seconds)


class Container(Node):
    """A container of the lab."""

    @property
    def id(self) -> str:
        """Id of the container, 64 hex digits."""
        return self.lab.plumb.container(self.name).id


def _ports(listeners: list[tuple[str, int]]) -> str:
    return (
        ", ".join(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip, port in listeners)
        or "nobody"
    )


def _news(news: socket.socket, most: float) -> None:
    """Wait until the kernel has told of something, and take all that it has told."""
    news.settimeout(max(most, 0.001))
    try:
        news.recv(1 << 16)
        news.setblocking(False)
        while True:
            news.recv(1 << 16)
    except OSError:
        pass
