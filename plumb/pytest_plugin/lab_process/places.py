"""Places of a lab: the host, the machines of its LAN and its containers, by their names."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from plumb.engine.host import Host
from plumb.errors import NotFound
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.net.gateways import gateway_order
from plumb.probes.promises.promise import Member
from plumb.pytest_plugin.values import HOST, Interface


class Places:
    """The places of a lab, and their interfaces.

    Args:
        host: plumb on it.
        netns: the file of the host's own network namespace.

    Attributes:
        places: the namespace file of each place that is no container.
        interfaces: those of these places, but for the host's bridges.
    """

    def __init__(self, host: Host, netns: str) -> None:
        self._host = host
        self.places = {HOST: netns}
        self.interfaces: dict[str, Interface] = {}

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
        """The containers with what they are attached to."""
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

    def links(self, node: str) -> list[dict[str, Any]]:
        """The links of a place: name, state, addresses that can be used."""
        from plumb.kernel.netns.snapshot_rtnl import links

        with entered(self.place(node)):
            return links()

    def address_for(self, source: str, target: str, family: int) -> str:
        """The address by which one would look for another.

        On a network of both, else the one that leads outside; "" without.
        """
        theirs = [each for each in self.facts(target) if each.address(family) is not None]
        mine = {each.network for each in self.facts(source)}
        shared = [each for each in theirs if each.network in mine]
        return str(next(iter([*shared, *theirs])).address(family)) if theirs else ""


def _interface(node: str, end: Endpoint, net: Network) -> Interface:
    return Interface(
        node,
        net.name,
        end.ifname,
        end.ip.ip if end.ip else None,
        end.ip6.ip if end.ip6 else None,
        end.mac,
    )
