"""overlay: a segment that containers on several hosts share, in VXLAN packets between the hosts.

On each host that has a member of it, the network has a network namespace of its own, with a bridge
and a VXLAN link as one of the bridge's ports. All other ports are containers of this host.

    host h1                                               host h2
    container c1                                          container c2
    eth0 10.50.0.2                                        eth0 10.50.0.4
       │                                                     │
    ┌ veth0 ─ br0 10.50.0.1 ─ vxlan0 ┐                    ┌ vxlan0 ─ br0 10.50.0.1 ─ veth0 ┐
    └ network namespace 1-…          │                    │          network namespace 1-… ┘
                    UDP from any port to 4789, VNI 4097
                    eth0 192.0.2.10 ───────── the underlay ───────── eth0 192.0.2.11

A frame from c1 to c2 goes through the bridge into vxlan0, which looks up c2's MAC address in its
forwarding table (FDB): "192.0.2.11". The frame leaves as a UDP packet from 192.0.2.10 to there; the
host that vxlan0 was created in sends and receives these, whatever namespace the link is in now. On
h2 the packet's VNI says whose it is, and the frame goes on through the bridge to c2.

**No broadcasts.** c1 asks by ARP who has 10.50.0.4. vxlan0 answers in c2's name (proxy), from its
neighbour table. Both tables are filled by hand: for every endpoint on another host there is a
neighbour (IP → MAC) and an FDB entry (MAC → host), and nothing else. So an unknown address is asked
after on this host alone, and broadcasts and multicasts end here too. Each endpoint's MAC address is
02:42 and the four bytes of its IPv4 address, so that nobody has to remember it.

**Sizes.** A frame's inner IP packet has 50 more bytes around it on the way, and must still fit into
a packet of the underlay, which is never taken apart:

    inner Ethernet 14 + VXLAN 8 + UDP 8 + outer IPv4 20 = 50      1500 - 50 = 1450
    the outer packet over IPv6: 20 more                           1500 - 70 = 1430
    ESP around it (`encrypted`), 26, and a multiple of 4          1500 - 50 - 26 = 1424

**Several subnets** are several such segments, br0 and vxlan0, br1 and vxlan1, in one namespace,
which is a router between them: each container has a route to every other subnet by way of its own
subnet's gateway. An IPv6 subnet shares the segment of the IPv4 subnet that is given in the same
place.

**The way out** is not here: the bridge's address is the same on every host and leads to the other
subnets only. Containers get one more interface, on the bridge network plumb_gwbridge, with the
default route; not with `--internal`.

**Who may send.** VXLAN has no password: a host takes a frame from anybody who knows a VNI. So port
4789 is closed but to hosts that have an endpoint of a network of this one, which every node of the
cluster has, and what a container sends there itself is dropped on its way: it would leave with this
host's address, as if it came from vxlan0.

    raw PREROUTING        UDP to 4789 → PLUMB-OVERLAY       what comes in, and what is forwarded
    raw PLUMB-OVERLAY     from 192.0.2.11, by the link that leads there → taken
                          to 192.0.2.11, from anybody else → dropped
                          to this host, from anybody else → dropped

A host on the same link can still write another's address into its packets: only ESP answers that.

Options: `com.docker.network.driver.mtu` (of the underlay; else it is that of the link that has this
host's end of the tunnels), `com.docker.network.driver.overlay.vxlanid_list`, `encrypted`, `dsr`;
`plumb.ingress.source` of an ingress network (drivers/services/source.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest

from plumb.address import IPAddress, ip_on
from plumb.drivers.driver import Driver, HostView
from plumb.drivers.options import Keys
from plumb.drivers.sandbox import interface
from plumb.errors import Invalid
from plumb.frozen import frozen, replace
from plumb.model.cluster import LAST_VNI, RemoteEndpoint
from plumb.model.cnm import Endpoint, Network, Pool
from plumb.model.driver_options import OverlayOptions
from plumb.model.parse import INGRESS_SOURCE, PREFIX, VXLANID_LIST, flag, ingress_source, whole
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.iptables import Chain, Family, Position, Rule
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Bridge, Master, Up, Veth
from plumb.things.nftables import NftChain, NftFamily, NftRule, NftTable
from plumb.things.sandbox import Namespace
from plumb.things.vxlan import TABLE, FdbEntry, Neighbour, Vxlan

ENCAPSULATION = {4: 14 + 8 + 8 + 20, 6: 14 + 8 + 8 + 40}
"""Bytes around an inner IP packet, by the IP version of the underlay."""
ESP = 26
THRESHOLDS = (8192, 49152, 65536)
"""Neighbours that the kernel keeps in any case, in the long run, and at most: the endpoints of all
networks are among them."""
GUARD, NFT_GUARD = "PLUMB-OVERLAY", "vxlan-in"
TUNNELS = "what comes to the port of the tunnels, or passes by, must come from another node"
A_NODE = "another node of the cluster, heard on the link that leads to it"
FORWARDED = "a container does not speak to another node's tunnels in this host's name"
STRANGERS = "nobody else puts frames into this host's overlay networks"


@frozen
class Segment:
    """A layer-2 segment of a network: an IPv4 subnet and the IPv6 subnet beside it.

    Attributes:
        number: counts a network's segments from 0.
        vni: its VXLAN network identifier.
    """

    number: int
    vni: int
    pools: tuple[Pool, ...]

    @property
    def bridge(self) -> str:
        """Name of its bridge in the network's namespace."""
        return f"br{self.number}"

    @property
    def vxlan(self) -> str:
        """Name of its VXLAN link there."""
        return f"vxlan{self.number}"

    def __contains__(self, ip: IPAddress) -> bool:
        return any(ip in pool.subnet for pool in self.pools)


def segments(net: Network) -> list[Segment]:
    """List a network's segments, in the order of its IPv4 subnets."""
    four, six = ([pool for pool in net.pools if pool.subnet.version == v] for v in (4, 6))
    pairs = zip_longest(four, six[: len(four)])
    return [
        Segment(number, vni, tuple(pool for pool in pair if pool is not None))
        for number, (vni, pair) in enumerate(zip(net.overlay.vnis, pairs, strict=False))
    ]


def segment_of(net: Network, ip: IPAddress) -> Segment:
    """The segment that an address of the network is in.

    Raises:
        Invalid: it is in none.
    """
    found = next((segment for segment in segments(net) if ip in segment), None)
    if found is None:
        raise Invalid(f"network {net.name} has no subnet with {ip}")
    return found


def inner_mtu(net: Network) -> int:
    """MTU of containers' interfaces, bytes: what fits into a packet between the hosts."""
    outer = net.overlay.vtep.version if net.overlay.vtep else 4
    plain = (net.overlay.mtu or 1500) - ENCAPSULATION[outer]
    return (plain - ESP) // 4 * 4 if net.overlay.encrypted else plain


# -- what must exist ---------------------------------------------------------------


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """The network's part on this host: its namespace with a bridge and a VXLAN link per segment."""
    ns = net.overlay.netns
    for number, value in enumerate(net.overlay.thresholds, 1):
        if value:
            yield Sysctl(f"net/ipv4/neigh/default/gc_thresh{number}", str(value))
    yield Namespace(ns)
    # A new namespace takes forwarding over from the machine's first one, where it may be either.
    several = len(segments(net)) > 1
    yield Sysctl("net/ipv4/ip_forward", "1" if several else "0", ns)
    if net.ipv6:
        yield Sysctl("net/ipv6/conf/all/forwarding", "1" if several else "0", ns)
    yield Up("lo", ns)
    yield from GUARDS[settings.firewall_backend].closed(net)
    if net.overlay.encrypted:
        from plumb.drivers import overlay_encryption  # lazy: few networks are encrypted

        yield from overlay_encryption.network(net, settings)
    for segment in segments(net):
        yield from _segment(net, segment, ns)


def _segment(net: Network, segment: Segment, ns: str) -> Iterator[Thing]:
    mtu = inner_mtu(net)
    br, vxlan = segment.bridge, segment.vxlan
    yield Bridge(br, _bridge_mac(net, segment), mtu, default_pvid=0, ns=ns)
    yield Vxlan(
        vxlan,
        ns,
        f"vx-{segment.vni:06x}-{net.id[:5]}",
        segment.vni,
        net.overlay.port,
        mtu,
        ipv6=net.overlay.vtep is not None and net.overlay.vtep.version == 6,
    )
    yield Master(vxlan, br, ns)
    six = any(pool.subnet.version == 6 for pool in segment.pools)
    if speaks_ipv6(net):
        yield Sysctl(f"net/ipv6/conf/{br}/disable_ipv6", "0" if six else "1", ns)
    if six:
        # It is this segment's router, and takes no container's word for another one.
        yield Sysctl(f"net/ipv6/conf/{br}/accept_ra", "0", ns)
        # A link takes IPv6 neighbours if it has IPv6 itself; it need not have an address.
        yield Sysctl(f"net/ipv6/conf/{vxlan}/addr_gen_mode", "1", ns)
    if speaks_ipv6(net):
        yield Sysctl(f"net/ipv6/conf/{vxlan}/disable_ipv6", "0" if six else "1", ns)
    for pool in segment.pools:
        if pool.gateway is not None:
            yield Address(br, ip_on(pool.gateway, pool.subnet.prefixlen), ns)
    yield Up(br, ns)
    yield Up(vxlan, ns)


def speaks_ipv6(net: Network) -> bool:
    """True if the kernel has IPv6 on this network's links: not below an MTU of 1280 (RFC 8200)."""
    return inner_mtu(net) >= 1280


def _bridge_mac(net: Network, segment: Segment) -> str:
    """A bridge's MAC address: another one on each host, or each would hear its own from others."""
    *head, last = net.overlay.mac.split(":")
    return ":".join([*head, f"{(int(last, 16) + segment.number) % 256:02x}"])


def endpoint(net: Network, end: Endpoint, ns: str, settings: Settings) -> Iterator[Thing]:
    """Things of a container on the network: a veth pair, addresses, routes to other subnets."""
    here = net.overlay.netns
    own = segment_of(net, end.ips[0].ip)
    yield Veth(end.link, own.bridge, end.ifname, ns, end.mac, inner_mtu(net), ns=here)
    if speaks_ipv6(net):
        yield Sysctl(f"net/ipv6/conf/{end.link}/disable_ipv6", "1", here)
    yield from interface(end, ns, ipv6=speaks_ipv6(net))
    for ip in end.ips:
        mine = net.pool_of(ip.ip)
        for other in net.pools:
            if mine is not None and other != mine and other.subnet.version == ip.version:
                yield Route(other.subnet, mine.gateway, end.ifname, ns)


def remote(net: Network, end: RemoteEndpoint, settings: Settings) -> Iterator[Thing]:
    """Things by which an endpoint on another host is reached: which MAC it has, and where it is."""
    ns = net.overlay.netns
    for ip in end.ips:
        vxlan = segment_of(net, ip.ip).vxlan
        yield FdbEntry(vxlan, end.mac, end.vtep, ns)
        yield Neighbour(vxlan, ip.ip, end.mac, ns)
    yield from GUARDS[settings.firewall_backend].opened(end.vtep, net.overlay.port)


# -- who may send ---------------------------------------------------------------


def _iptables_closed(net: Network) -> Iterator[Thing]:
    family = _family(net)
    port = f"-p udp -m udp --dport {net.overlay.port}"
    yield Chain(family, "raw", GUARD)
    yield Rule(family, "raw", "PREROUTING", f"{port} -j {GUARD}", why=TUNNELS)
    yield Rule(family, "raw", GUARD, "-m addrtype --dst-type LOCAL -j DROP", why=STRANGERS)


def _iptables_opened(peer: IPAddress, port: int) -> Iterator[Thing]:
    family, one = (Family.V6, f"{peer}/128") if peer.version == 6 else (Family.V4, f"{peer}/32")
    known = f"-s {one} -m rpfilter -j RETURN"
    yield Rule(family, "raw", GUARD, known, Position.HEAD, A_NODE)
    yield Rule(family, "raw", GUARD, f"-d {one} -j DROP", why=FORWARDED)


def _nftables_closed(net: Network) -> Iterator[Thing]:
    family = NftFamily.V6 if _family(net) is Family.V6 else NftFamily.V4
    yield NftTable(family, TABLE)
    yield NftChain(family, TABLE, NFT_GUARD, "filter", "prerouting", -300, "accept")
    strangers = f"udp dport {net.overlay.port} fib daddr type local counter drop"
    yield NftRule(family, TABLE, NFT_GUARD, strangers, why=STRANGERS)


def _nftables_opened(peer: IPAddress, port: int) -> Iterator[Thing]:
    family = NftFamily.V6 if peer.version == 6 else NftFamily.V4
    known = f"{family} saddr {peer} udp dport {port} fib saddr . iif oif exists counter return"
    yield NftRule(family, TABLE, NFT_GUARD, known, Position.HEAD, why=A_NODE)
    passing = f"{family} daddr {peer} udp dport {port} counter drop"
    yield NftRule(family, TABLE, NFT_GUARD, passing, why=FORWARDED)


def _family(net: Network) -> Family:
    """The firewall that sees the packets between hosts."""
    six = net.overlay.vtep is not None and net.overlay.vtep.version == 6
    return Family.V6 if six else Family.V4


@frozen
class Guard:
    """A back end's rules about who may send: all that is there, and what each other host adds."""

    closed: Callable[[Network], Iterator[Thing]]
    opened: Callable[[IPAddress, int], Iterator[Thing]]


GUARDS = {
    "iptables": Guard(_iptables_closed, _iptables_opened),
    "nftables": Guard(_nftables_closed, _nftables_opened),
}
"""By the setting firewall-backend."""


# -- before it is built ---------------------------------------------------------------


def complete(net: Network, host: HostView) -> Network:
    """The network, as a manager may record it; the cluster allots subnets, gateways and VNIs.

    Raises:
        Invalid: with Docker's words where it has some.
    """
    if not net.ipv4:
        raise Invalid("IPv4 cannot be disabled in a Swarm scoped network")
    if net.overlay.ingress and net.attachable:
        raise Invalid("ingress network cannot be attachable")
    if net.overlay.preserve_source and not net.overlay.ingress:
        raise Invalid(f"{INGRESS_SOURCE} is an option of the ingress network (--ingress)")
    four, six = (sum(pool.subnet.version == v for pool in net.pools) for v in (4, 6))
    if six > max(four, 1):
        raise Invalid(
            f"{six} IPv6 subnets are given, but {max(four, 1)} of IPv4",
            "each IPv6 subnet shares a segment with an IPv4 subnet: name as many --subnet of both",
        )
    if net.ipv6 and inner_mtu(net) < 1280:
        raise Invalid(
            f"invalid MTU value: {net.overlay.mtu}: inside are {inner_mtu(net)} bytes left, "
            "and IPv6 needs 1280 at least (RFC 8200)"
        )
    return net


def materialise(net: Network, host: HostView) -> Network:
    """The network with what its part on this host needs."""
    node = host.node()
    vtep = node.data_path if node else None
    options = replace(
        net.overlay,
        netns=host.netns(net.id),
        node=node.id if node else "",
        vtep=vtep,
        mac=host.new_mac(),
        mtu=net.overlay.mtu or (host.mtu_of(vtep) if vtep else None),
        thresholds=_thresholds(host),
    )
    return replace(net, overlay=options)


def _thresholds(host: HostView) -> tuple[int, int, int]:
    """Limits of neighbours to raise: those that are there, and lower."""
    asked = [
        Sysctl(f"net/ipv4/neigh/default/gc_thresh{number}", str(least))
        for number, least in enumerate(THRESHOLDS, 1)
    ]
    there = zip(asked, host.look(asked), strict=True)
    now = [host.previous(want.key) or was for want, was in there]
    one, two, three = (
        least if isinstance(was, Sysctl) and int(was.value) < least else 0
        for least, was in zip(THRESHOLDS, now, strict=True)
    )
    return one, two, three


# -- options ---------------------------------------------------------------


def _mtu(text: str) -> int | None:
    number = whole(text)
    if number < 0 or number > 65535 or 0 < number < ENCAPSULATION[4] + 68:
        raise Invalid(
            f"invalid MTU value: {number}",
            f"it is the underlay's; {ENCAPSULATION[4]} bytes of it are VXLAN's, and IPv4 needs 68",
        )
    return number or None


def _vnis(text: str) -> tuple[int, ...]:
    numbers = tuple(whole(word) for word in text.split(",")) if text else ()
    for vni in numbers:
        if not 0 < vni <= LAST_VNI:
            raise Invalid(f"invalid vxlan id value {vni} passed", f"it is 1 to {LAST_VNI}")
    return numbers


KEYS: Keys = {
    PREFIX + "driver.mtu": ("mtu", _mtu),
    VXLANID_LIST: ("vnis", _vnis),
    "encrypted": ("encrypted", flag),
    "dsr": ("direct_return", flag),
    INGRESS_SOURCE: ("preserve_source", ingress_source),
}

DRIVER = Driver(
    name="overlay",
    stored="overlay",
    keys=KEYS,
    defaults=OverlayOptions(),
    multi_host=True,
    complete=complete,
    materialise=materialise,
    network=network,
    endpoint=endpoint,
    remote=remote,
)
