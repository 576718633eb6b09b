"""Foreign settings: what somebody else has set on objects of plumb's, with remedies.

    containers' links    another MTU than the one that was given; addresses that plumb has not given
    neighbour tables     a permanent entry, in a container or on the host's bridge, which sends
                         packets for an address of plumb's to another MAC than that address has
    chains of plumb's    rules of iptables that plumb has not put in
    tables of plumb's    chains, rules and elements of nftables that plumb has not put in

plumb reports them and never changes them: a container's program may have meant them. Each namespace
is read once, by a dump of its links, addresses and neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from plumb.address import IPAddress
from plumb.engine.foreign.firewalls import own_rules
from plumb.errors import KernelRefused
from plumb.frozen import frozen
from plumb.kernel.net.inventory import LinkInventory
from plumb.kernel.net.namespace_state import LinkReply
from plumb.kernel.netns.namespaces import NO_NAMESPACE
from plumb.model.cnm import Sandbox
from plumb.model.observations import Netns
from plumb.model.paths import Layout
from plumb.model.settings import Settings
from plumb.store import Store
from plumb.things import HOST
from plumb.things.iptables import Chain
from plumb.things.layer3 import Address
from plumb.things.links import Bridge, Ipvlan, LinkAddress, Macvlan, OnParent, Veth
from plumb.things.nftables import InTable, NftChain, NftElement, NftRule, NftTable

DEFAULT_MTU = 1500
"""MTU of a new veth pair, bytes (ETH_DATA_LEN)."""
FEW = 3
"""Links of a container from which on one dump of all costs less than a question for each."""
ON_PARENT = (Macvlan, Ipvlan)


@frozen
class ForeignSetting:
    """Setting on an object of plumb's that plumb has not made.

    Attributes:
        where: the container's name, or "host".
        what: the setting, in words.
        remedy: the command that removes it.
    """

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"foreign: {self.where}: {self.what}"


def find(store: Store, layout: Layout, settings: Settings) -> list[ForeignSetting]:
    """Find what somebody else has set.

    Args:
        store: plumb's record.
        layout: the paths of the root, by which namespaces get their containers' names.
        settings: the host's settings.
    """
    record = _Record(store)
    names = {HOST: "host", **{layout.place(box): box.name for box in store.all(Sandbox)}}
    found: list[ForeignSetting] = []
    for ns, devs in record.segments.items():
        try:
            namespace = LinkInventory(Netns(names.get(ns, ns), ns))
        except KernelRefused as refused:
            if refused.errno in NO_NAMESPACE:
                continue  # it is gone, which the comparison with the record tells
            raise
        with namespace:
            found += _of_namespace(namespace, devs, record)
    return [*found, *_rules(store, settings), *_nftables(store)]


def _rules(store: Store, settings: Settings) -> Iterator[ForeignSetting]:
    """Yield others' rules in plumb's own chains of iptables; PLUMB-USER is the administrator's."""
    chains = {
        (str(each.family), each.table, each.name)
        for each in store.things_under("chain", HOST)
        if isinstance(each, Chain) and not each.users
    }
    if not chains:
        return
    from plumb.kernel.netfilter import foreign_chains

    backend = foreign_chains.backend(settings.firewall_backend)
    for tool, table, chain, spec in foreign_chains.added(backend, own_rules(store), chains):
        yield ForeignSetting(
            "host",
            f"rule -A {chain} {spec} in {tool} table {table}, in a chain of plumb's",
            f"{tool} -t {table} -D {chain} {spec}",
        )


def _nftables(store: Store) -> Iterator[ForeignSetting]:
    """Yield others' objects in plumb's own tables of nftables, all of which are plumb's."""
    found = store.things_under("nft table", HOST)
    tables = [each for each in found if isinstance(each, NftTable)]
    if not tables:
        return
    from plumb.kernel.netfilter import foreign_objects

    things = store.things_of(NftChain, NftRule, NftElement)
    own = [each for each in things if isinstance(each, InTable)]
    for table in tables:
        inside = [each for each in own if each.home == table.key]
        for what, remedy in foreign_objects.find(table, inside):
            yield ForeignSetting("host", f"{what}, which is plumb's", remedy)


class _Record:
    """MTUs, addresses and MACs as plumb has given them."""

    def __init__(self, store: Store) -> None:
        things = store.things_of(Veth, Bridge, LinkAddress, *ON_PARENT, Address)
        self.veths = [each for each in things if isinstance(each, Veth)]
        self._bridges = [each for each in things if isinstance(each, Bridge)]
        self._link_addresses = [each for each in things if isinstance(each, LinkAddress)]
        self._on_parent = [each for each in things if isinstance(each, OnParent)]
        addresses = [each for each in things if isinstance(each, Address)]
        self.addresses = {(each.ns, each.dev, each.ip) for each in addresses}

    @cached_property
    def mtus(self) -> dict[tuple[str, str], int]:
        """MTU by namespace and link; the host's end is compared where an option gives its MTU."""
        inside = {(veth.peer_ns, veth.peer): veth.mtu or DEFAULT_MTU for veth in self.veths}
        return inside | {(HOST, veth.name): DEFAULT_MTU for veth in self.veths if veth.mtu is None}

    @cached_property
    def segments(self) -> dict[str, dict[str, str]]:
        """Name of the bridge or parent that a link is on, by namespace and link."""
        found: dict[str, dict[str, str]] = {}
        for bridge in self._bridges:
            found.setdefault(HOST, {})[bridge.name] = bridge.name
        for link in self._link_addresses:
            found.setdefault(HOST, {})[link.dev] = link.dev
        for veth in self.veths:
            found.setdefault(HOST, {}).setdefault(veth.master, veth.master)
            found.setdefault(veth.peer_ns, {})[veth.peer] = veth.master
        for own in self._on_parent:
            found.setdefault(own.ns, {})[own.name] = own.parent
        return found

    @cached_property
    def macs(self) -> dict[tuple[str, IPAddress], str]:
        """MAC by the bridge or parent and an address there; an ipvlan link has its parent's."""
        of_links = {
            **{(HOST, bridge.name): bridge.mac for bridge in self._bridges},
            **{(HOST, link.dev): link.mac for link in self._link_addresses},
            **{(veth.peer_ns, veth.peer): veth.peer_mac for veth in self.veths},
            **{(own.ns, own.name): own.mac for own in self._on_parent if isinstance(own, Macvlan)},
        }
        return {
            (self.segments[ns][dev], ip.ip): of_links[ns, dev]
            for ns, dev, ip in self.addresses
            if (ns, dev) in of_links
        }


def _of_namespace(
    namespace: LinkInventory, devs: dict[str, str], record: _Record
) -> Iterator[ForeignSetting]:
    """Yield what is foreign in a namespace.

    Args:
        namespace: the namespace.
        devs: its links of plumb's, with the bridge or parent that they are on.
        record: what plumb has given.
    """
    in_host = namespace.place.ns == HOST
    links = namespace.link_replies(devs if len(devs) < FEW and not in_host else ())
    yield from _mtus(namespace.place, links, record)
    if not in_host:
        yield from _addresses(namespace, links, devs, record)
    yield from _neighbours(namespace, links, devs, record)


def _mtus(place: Netns, links: Sequence[LinkReply], record: _Record) -> Iterator[ForeignSetting]:
    for link in links:
        given = record.mtus.get((place.ns, link.name), link.mtu)
        if link.mtu != given:
            yield ForeignSetting(
                place.name,
                f"MTU {link.mtu} of {link.name}, which was given {given}",
                _ip(place, f"link set dev {link.name} mtu {given}"),
            )


def _addresses(
    namespace: LinkInventory, links: Sequence[LinkReply], devs: dict[str, str], record: _Record
) -> Iterator[ForeignSetting]:
    place = namespace.place
    for dev, ip in namespace.given_addresses(links):
        if dev in devs and (place.ns, dev, ip) not in record.addresses:
            yield ForeignSetting(
                place.name,
                f"address {ip} on {dev}, which plumb has not given",
                _ip(place, f"address del {ip} dev {dev}"),
            )


def _neighbours(
    namespace: LinkInventory, links: Sequence[LinkReply], devs: dict[str, str], record: _Record
) -> Iterator[ForeignSetting]:
    place = namespace.place
    for entry in namespace.permanent_neighbours(links):
        mac = record.macs.get((devs.get(entry.dev, ""), entry.ip), entry.mac)
        if entry.mac != mac:
            yield ForeignSetting(
                place.name,
                f"permanent neighbour entry {entry.ip} lladdr {entry.mac} on {entry.dev}:"
                f" that address has {mac}",
                _ip(place, f"neigh del {entry.ip} dev {entry.dev}"),
            )


def _ip(place: Netns, words: str) -> str:
    return f"{f'nsenter --net={place.ns} ' if place.ns else ''}ip {words}"
