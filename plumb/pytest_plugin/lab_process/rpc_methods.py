"""What can be asked of a lab's host: each public method is a verb of the wire."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from plumb import root
from plumb.engine.host import Host
from plumb.engine.verbs import Transaction
from plumb.errors import Invalid, NotFound
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netns import fake_host
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.process import commands
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.gateways import gateway_order
from plumb.plan import plan
from plumb.probes.promises.promise import Member
from plumb.pytest_plugin.lab_process.enter import enter
from plumb.pytest_plugin.rpc import Handed
from plumb.pytest_plugin.values import HOST, Asked, Found, Interface, Route
from plumb.things import Thing
from plumb.things.layer3 import Sysctl
from plumb.things.links import Up

ROOT = f"{fake_host.OWN_FILES}/root"


class Answers:
    """A host in its namespaces, and plumb on it.

    Attributes:
        ended: exit status of commands that have ended, by pid.
        places: the namespace file of each place that is no container.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.ended: dict[int, int] = {}
        self.places = {HOST: fake_host.pin(f"{fake_host.OWN_FILES}/host")}
        self.interfaces: dict[str, Interface] = {}
        self._host = Host(ROOT, settings=settings)
        self._verbs: Transaction | None = None
        self._open = ExitStack()
        LinuxKernel().take(plan([], list(_ground(settings))))

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
        """What the command line needs to know to be about this host's plumb."""
        return {"PLUMB_ROOT": ROOT, "PLUMB_CONFIG": "", "PYTHONPATH": root.IMPORT_PATH}

    # -- places ---------------------------------------------------------------

    def facts(self, node: str) -> list[Interface]:
        """The interfaces of a place, the one that leads outside first.

        Raises:
            NotFound: there is no such place.
        """
        if node == HOST:
            return [*filter(None, [self.interfaces.get(HOST)]), *self._gateways()]
        if node in self.places:
            return [self.interfaces[node]]
        ends = self.ends(self._host.container(node))
        ordered = [
            *gateway_order(ends),
            *(pair for pair in ends if pair not in gateway_order(ends)),
        ]
        return [_interface(node, end, net) for end, net in ordered]

    def _gateways(self) -> list[Interface]:
        """The host's own addresses on its networks' bridges."""
        found = []
        for net in self._host.networks():
            if net.bridge_in_host and (not net.default or self._host.endpoints(net)):
                gateways = [pool.gateway for pool in net.pools]
                ip = next(
                    (gateway for gateway in gateways if isinstance(gateway, IPv4Address)), None
                )
                ip6 = next(
                    (gateway for gateway in gateways if isinstance(gateway, IPv6Address)), None
                )
                found.append(Interface(HOST, net.name, net.link, ip, ip6))
        return found

    def ends(self, box: Sandbox) -> list[tuple[Endpoint, Network]]:
        """A container's endpoints with their networks.

        Of one that shares another's sandbox, that one's.
        """
        owner = self._host.container(box.target) if box.target else box
        return [(end, self._host.network(end.network)) for end in self._host.endpoints(owner)]

    def members(self) -> list[Member]:
        """All containers with what they are attached to."""
        return [(box, self.ends(box)) for box in self._host.containers() if not box.target]

    def place(self, node: str) -> str:
        """The file of a place's network namespace.

        Raises:
            NotFound: there is no such place.
        """
        if node in self.places:
            return self.places[node]
        if node.startswith("("):
            raise NotFound(f"this lab has no {node.strip('()')}", "lab.lan() makes one")
        return self._host.namespace(self._host.container(node)) or self.places[HOST]

    def way(self, node: str) -> Route:
        """How to get to a place: into a container as `exec --privileged` does."""
        if node in self.places or node.startswith("("):
            return Route(self.place(node))
        box = self._host.container(node)
        command = self._host.command(box, ["true"], privileged=True)
        return Route(self.place(node), commands.spec(command, commands.alive(command.folder)[0]))

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

    def links(self, node: str) -> list[dict[str, Any]]:
        """The links of a place: name, state, addresses that can be used."""
        from plumb.kernel.netns.snapshot_rtnl import links

        with entered(self.place(node)):
            return links()

    def lan(self) -> None:
        """Put the host on a LAN, if it is not on one yet."""
        from plumb.pytest_plugin.lab_process import lan

        if not self.interfaces:
            self.interfaces.update(lan.attach(self.places))

    # -- questions ---------------------------------------------------------------

    def reach(self, asked: Asked, seconds: float) -> Found:
        """Whether one place reaches another, tried."""
        from plumb.pytest_plugin.lab_process import reachability

        return reachability.knock(self, self._host, asked, seconds)

    def tell(self, asked: Asked, seconds: float = 1.0) -> str:
        """The story of a packet that asks this."""
        from plumb.pytest_plugin.lab_process import trace

        return trace.tell(self, self._host, asked, seconds)

    def address_for(self, source: str, target: str, family: int) -> str:
        """The address by which one would look for another.

        On a network of both, else the one that leads outside; "" without.
        """
        theirs = [each for each in self.facts(target) if each.address(family) is not None]
        mine = {each.network for each in self.facts(source)}
        shared = [each for each in theirs if each.network in mine]
        return str(next(iter([*shared, *theirs])).address(family)) if theirs else ""

    def gather(self) -> dict[str, str]:
        """All that is worth keeping of a lab, as texts by file name."""
        from plumb.pytest_plugin.lab_process import dump_state

        return dump_state.gather(self, self._host)


def _ground(settings: dict[str, Any]) -> Iterator[Thing]:
    """What whoever sets up a host has seen to.

    With nftables, Docker leaves it to them to let packets be forwarded.
    """
    yield Up("lo")
    yield Sysctl("net/ipv6/conf/default/accept_dad", "0")
    if settings.get("firewall-backend") == "nftables":
        for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            yield Sysctl(name, "1")


class Abandoned(Exception):
    """An operation is not carried out."""


def _interface(node: str, end: Endpoint, net: Network) -> Interface:
    return Interface(
        node,
        net.name,
        end.ifname,
        end.ip.ip if end.ip else None,
        end.ip6.ip if end.ip6 else None,
        end.mac,
    )
