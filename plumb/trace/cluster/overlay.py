"""Overlays: the VXLAN packets of a story, and the other host, where it is on this machine.

Hosts of a lab (`plumb lab hosts`) know each other's namespaces. There a trace captures on both of
them, and what it calls "c2 on h2" is the container c2 of h2.

    c1 ── overlay n1 ── vxlan0 ═══ the wire ═══ vxlan0 ── overlay n1 on h2 ── c2 on h2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as with_fields
from functools import partial

from plumb.address import IPAddress
from plumb.engine.reader import Reader
from plumb.engine.targets import TargetResolver
from plumb.errors import PlumbError
from plumb.foreign.values import ForeignHost
from plumb.frozen import frozen, replace
from plumb.kernel.net.inventory import LinkInventory
from plumb.kernel.net.route_lookup import RouteLookup
from plumb.kernel.netns import lab_host
from plumb.kernel.netns.lab_host import Neighbour
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Network
from plumb.model.net.targets import Member
from plumb.model.netns_state import Link
from plumb.model.observations import HOST, Netns
from plumb.trace import link_labels
from plumb.trace.path import Crossing, Step, Story, Tunnelled


@frozen
class OtherHost:
    """Another host on this machine, with its own record.

    Attributes:
        place: its network namespace.
        members: its running containers; networks: its overlay networks. Their names end in the
            host's, and the paths of namespaces are as this host sees them.
    """

    place: Netns
    members: tuple[Member, ...] = ()
    networks: tuple[Network, ...] = ()

    def places(self, ip: IPAddress) -> list[Netns]:
        """Namespaces that a packet to an overlay's address crosses there."""
        nets = [net for net in self.networks if any(ip in pool.subnet for pool in net.pools)]
        member = self.member(ip)
        inside = [member.place] if member else []
        return [self.place, *(link_labels.place_of(net) for net in nets), *inside]

    def member(self, ip: IPAddress) -> Member | None:
        """Container that has an overlay's address."""
        known = {net.id for net in self.networks}
        return next(
            (
                member
                for member in self.members
                for end, net in member.ends
                if net.id in known and any(own.ip == ip for own in end.ips)
            ),
            None,
        )


def other_host(vtep: IPAddress) -> OtherHost | None:
    """Read the record of the lab's host that has an address; None outside of labs."""
    for neighbour in lab_host.neighbours():
        place = Netns(neighbour.name, neighbour.netns)
        try:
            with LinkInventory(place) as inventory:
                addresses = inventory.addresses(inventory.links())
            if any(own.ip == vtep for _, own in addresses):
                return lab_host.among_files_of(neighbour, partial(_recorded, neighbour, place))
        except PlumbError:  # a host that has ended
            continue
    return None


def _recorded(neighbour: Neighbour, place: Netns) -> OtherHost:
    with Reader(neighbour.plumb, settings={}) as reader:
        resolver = TargetResolver(reader, ForeignHost())
        members = tuple(_member(each, neighbour) for each in resolver.members)
        nets = tuple(_network(net, neighbour) for net in resolver.networks if net.multi_host)
    return OtherHost(place, members, nets)


def _member(member: Member, neighbour: Neighbour) -> Member:
    name = f"{member.place.name} on {neighbour.name}"
    return replace(
        member,
        box=replace(member.box, name=f"{member.box.name} on {neighbour.name}"),
        place=Netns(name, _path(member.place.ns, neighbour)),
        ends=tuple((end, _network(net, neighbour)) for end, net in member.ends),
    )


def _network(net: Network, neighbour: Neighbour) -> Network:
    netns = _path(net.overlay.netns, neighbour)
    name = f"{net.name} on {neighbour.name}"
    return replace(net, name=name, overlay=replace(net.overlay, netns=netns))


def _path(own: str, neighbour: Neighbour) -> str:
    """Path of a namespace that the host's record names; its own namespace has none there."""
    return neighbour.path(own) if own else neighbour.netns


# -- the tunnel ---------------------------------------------------------------


@frozen
class Tunnels:
    """VXLAN links of a trace's namespaces.

    Attributes:
        networks: all networks, those of another host among them.
        links: the links of each namespace, by its name.
        beyond: the other host, if it is on this machine.
    """

    networks: tuple[Network, ...]
    links: Mapping[str, tuple[Link, ...]]
    beyond: OtherHost | None

    def beside(self, story: Story) -> Story:
        """Add the VXLAN packet beside each crossing of a VXLAN link."""
        nets = {link_labels.place_of(net): net for net in self.networks if net.multi_host}
        ways = {
            way: tuple(
                each
                for step in steps
                for each in (
                    self._with_tunnel(step, nets[step.place])
                    if isinstance(step, Crossing) and step.place in nets
                    else (step,)
                )
            )
            for way, steps in story.ways.items()
        }
        return with_fields(story, ways=ways)

    def _with_tunnel(self, step: Crossing, net: Network) -> tuple[Step, ...]:
        """A crossing in an overlay's namespace, with the VXLAN packet if it is at a VXLAN link."""
        link = next((one for one in self.links[step.place.name] if one.name == step.dev), None)
        if link is None or link.kind != "vxlan":
            return (step,)
        own, port = net.overlay.vtep, net.overlay.port
        mac = step.packet.mac[0 if step.inbound else 1]
        with RouteLookup(step.place) as lookup:
            entries = (row for row in lookup.fdb() if (row.dev, row.mac) == (step.dev, mac))
            peer = next((row.ip for row in entries if row.ip), None)
        uplink = ""
        if peer is not None:
            with RouteLookup(self._host_of(net)) as lookup:
                route = lookup.route(peer)
            uplink, own = route.dev, own or route.src  # Docker's link has no address of its own
        vni = link.vni
        src, dst = (peer, own) if step.inbound else (own, peer)
        spi = self._spi(net, src, dst) if net.overlay.encrypted else None
        outer = Tunnelled(step.place, step.dev, uplink, vni, port, mac, src, dst, step.inbound, spi)
        return (outer, step) if step.inbound else (step, outer)

    def _host_of(self, net: Network) -> Netns:
        """Namespace of the host whose part of a network this is."""
        there = self.beyond is not None and net in self.beyond.networks
        return self.beyond.place if self.beyond and there else Netns(HOST, "")

    def _spi(self, net: Network, src: IPAddress | None, dst: IPAddress | None) -> int | None:
        """SPI that the sending host's policy names; 0 for a host that is not on this machine."""
        from plumb.kernel.linux import LinuxKernel  # lazy: few networks are encrypted
        from plumb.things.ipsec import XfrmPolicy

        parts = [part for part in self.networks if part.id == net.id]
        sender = next((self._host_of(part) for part in parts if part.overlay.vtep == src), None)
        if sender is None or src is None or dst is None:
            return 0
        with entered(sender.ns):
            [found] = LinuxKernel().look([XfrmPolicy(src, dst, net.overlay.port, 0)])
        return found.spi if isinstance(found, XfrmPolicy) else None
