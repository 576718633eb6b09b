"""Host ports that the agent holds: bound sockets, and the proxy of each that has one."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from typing import Any

from plumb.agent.descriptors import Budget
from plumb.agent.loop import Loop
from plumb.agent.proxy.tcp import StreamProxy
from plumb.agent.proxy.udp import CLIENTS, DatagramProxy
from plumb.kernel import agent_verbs as verbs
from plumb.kernel.agent_verbs import PORT_VERBS
from plumb.kernel.ports import host_ports

Target = tuple[str, int]
Port = tuple[str, str, int]


class HeldPort:
    """Port that is held, its target, and its proxy with the target of that."""

    __slots__ = ("proxied", "proxy", "socket", "target")

    def __init__(self, sock: socket.socket, target: Target) -> None:
        self.socket, self.target = sock, target
        self.proxy: StreamProxy | DatagramProxy | None = None
        self.proxied: Target = ("", 0)


class Ports:
    """Ports that an agent holds.

    Args:
        loop: the event loop of the proxies.
        budget: the descriptors of ports and of their clients.
    """

    def __init__(self, loop: Loop, budget: Budget) -> None:
        self._loop, self._budget = loop, budget
        self._held: dict[Port, HeldPort] = {}

    def take(self, verb: str, port: Port, target: Target) -> None:
        """Carry out a row of a request.

        Raises:
            OSError: EEXIST, it is so already; ENOENT, the port is not held; any error of bind.
        """
        {
            verbs.HOLD: self._hold,
            verbs.RETARGET: self._retarget,
            verbs.PROXY: self._proxy,
            verbs.UNPROXY: self._unproxy,
            verbs.RELEASE: self._release,
        }[verb](port, target)

    def _hold(self, port: Port, target: Target) -> None:
        if port in self._held:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        self._held[port] = HeldPort(host_ports.bind(*port), target)
        self._budget.promise(1)

    def _retarget(self, port: Port, target: Target) -> None:
        self._held_port(port).target = target

    def _proxy(self, port: Port, target: Target) -> None:
        held = self._held_port(port)
        if held.proxy is not None:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        held.proxy = self._made_proxy(held.socket, port, target)
        held.proxied = target
        host_ports.accept_packets(held.socket)

    def _made_proxy(
        self, sock: socket.socket, port: Port, target: Target
    ) -> StreamProxy | DatagramProxy:
        shares = self._budget.proxies
        if port[0] == "udp":
            return DatagramProxy(self._loop, sock, target, shares.party(*port, most=CLIENTS))
        return StreamProxy(self._loop, sock, target, self._budget.pipes, shares.party(*port))

    def _unproxy(self, port: Port, target: Target) -> None:
        held = self._held.get(port)
        if held is not None and held.proxy is not None:
            host_ports.drop_packets(held.socket)
            held.proxy.close()
            held.proxy = None
            self._budget.proxies.forget(*port)

    def _release(self, port: Port, target: Target) -> None:
        self._unproxy(port, target)
        held = self._held.pop(port, None)
        if held is not None:
            held.socket.close()
            self._budget.promise(-1)

    def _held_port(self, port: Port) -> HeldPort:
        if port not in self._held:
            raise OSError(errno.ENOENT, "the port is not held")
        return self._held[port]

    def rows(self, wanted: Iterable[Port] | None) -> list[list[Any]]:
        """List these ports, or all: one row for each that is held."""
        found = self._held if wanted is None else [port for port in wanted if port in self._held]
        return [
            [*port, *held.target, *(held.proxied if held.proxy else ("", 0))]
            for port in found
            for held in (self._held[port],)
        ]


def parse_port_row(row: Any) -> tuple[str, Port, Target]:
    """Validate a row of a request that is about a port.

    Raises:
        ValueError: it is not valid. A host name instead of an address is not: the agent resolves
            none.
    """
    verb, protocol, ip, port, to_ip, to_port = row
    if verb not in PORT_VERBS or protocol not in host_ports.KINDS:
        raise ValueError(f"{verb} {protocol}")
    for address, number in ((ip, port), (to_ip, to_port)):
        if not isinstance(address, str) or type(number) is not int or not 0 < number < 1 << 16:
            raise ValueError(f"{address} {number}")
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        except OSError:
            raise ValueError(f"{address} is no address") from None
    return verb, (protocol, ip, port), (to_ip, to_port)
