"""Facts: state of a namespace while a packet passes, one value for each reading.

They are the kernel's own state, not the intended one: links with the other ends of their veth
pairs, addresses, neighbours, listeners, entries of connection tracking, settings.
Causes (`causes`) are found in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from plumb.address import IPAddress, IPInterface
from plumb.frozen import frozen
from plumb.model.observations import Netns

FORWARDING = 3
"""The state of a bridge's port in which it passes frames on (BR_STATE_FORWARDING)."""
STATES = {0: "disabled", 1: "listening", 2: "learning", 3: "forwarding", 4: "blocking"}


@frozen
class Port:
    """State of a bridge's port, as the bridge has it.

    Attributes:
        state: by the spanning tree protocol's number, 3 is forwarding.
        hairpin: a frame may leave by the port that it came in by.
        isolated: it passes no frames to and from other isolated ports.
    """

    state: int = FORWARDING
    hairpin: bool = False
    isolated: bool = False


@frozen
class Link:
    """A link, as its namespace has it.

    Attributes:
        index: its number there; kind: "bridge", "veth", "macvlan", … or "" for hardware.
        up: it was set up; carrier: there is something at the other end.
        master: the index of the bridge that it is a port of, or 0.
        peer: the index of the other end, or of the parent, in whatever namespace that is; 0 for
        none.
        peer_ns: the number by which this namespace knows that one; None: it is this one.
        mode: a macvlan's or ipvlan's; vlan: a VLAN's number; vni: a VXLAN's.
    """

    place: Netns
    index: int
    name: str
    kind: str = ""
    mac: str = ""
    mtu: int = 1500
    up: bool = True
    carrier: bool = True
    master: int = 0
    peer: int = 0
    peer_ns: int | None = None
    mode: str = ""
    vlan: int = 0
    port: Port | None = None
    vni: int = 0


@frozen
class Neighbour:
    """An entry of a namespace's neighbour table (ARP, NDP).

    Its state is "REACHABLE", "FAILED", … as `ip neigh` has it.
    """

    dev: str
    ip: IPAddress
    mac: str
    state: str


@frozen
class NeighbourTable:
    """State of the kernel's neighbour table of an address family, one for all namespaces.

    Attributes:
        file: the file of its statistics.
        entries: the number of its entries.
        fulls: how often the kernel had no room for another one (table_fulls), since it started or
            between two readings.
        limit: the most that it takes (gc_thresh3 of the first namespace), 0 if it is not known.
    """

    file: str
    entries: int
    fulls: int
    limit: int = 0

    def since(self, before: NeighbourTable) -> NeighbourTable:
        """The table, with the refusals since an earlier reading."""
        return replace(self, fulls=self.fulls - before.fulls)


HOLDERS = ("conmon, ", "dockerd, ")
"""Programs that listen at published ports so that nobody else does, and take no connection.

Podman has conmon hold them, and dockerd itself holds them where there is no user-land proxy.
"""


@frozen
class Listener:
    """A socket that waits for what comes in.

    Attributes:
        ip: 0.0.0.0 or :: for every address; :: takes IPv4 as well unless `v6only`.
        who: the program and its pid, as far as they are known: "nginx, pid 4711".
    """

    protocol: str
    ip: IPAddress
    port: int
    v6only: bool = False
    who: str = ""

    def takes(self, ip: IPAddress) -> bool:
        """True if a packet for that address reaches the listener."""
        if self.ip == ip:
            return True
        return self.ip.is_unspecified and (
            self.ip.version == ip.version or (ip.version == 4 and not self.v6only)
        )


@frozen
class RouteAnswer:
    """Result of a route lookup (RTM_GETROUTE).

    Attributes:
        dst: where to; type: "unicast", "local", "broadcast", "blackhole", "prohibit",
        "unreachable", or "" where it said no.
        dev, via, src, net, table: what the route says: its link, gateway, source, which
        destinations it is for ("default"), its table.
        error: the name of the errno that came back ("ENETUNREACH"), empty for yes.
    """

    dst: IPAddress
    type: str = ""
    dev: str = ""
    via: IPAddress | None = None
    src: IPAddress | None = None
    net: str = ""
    table: int = 254
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return f"no route ({self.error})"
        how = f" via {self.via}" if self.via else ""
        return (
            f"{self.net or self.dst}{how} dev {self.dev}"
            if self.type == "unicast"
            else f"{self.type} {self.net}".strip()
        )


@frozen
class ConnTuple:
    """Addresses and ports of one direction of a flow, as connection tracking has them.

    Attributes:
        sport, dport: ports, 0 where the protocol has none.
        icmp_id: the identifier of an echo, 0 for anything else.
    """

    src: IPAddress
    dst: IPAddress
    sport: int
    dport: int
    icmp_id: int = 0

    def __str__(self) -> str:
        return " > ".join(
            f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
            for ip, port in ((self.src, self.sport), (self.dst, self.dport))
        )


@frozen
class ConntrackEntry:
    """An entry of connection tracking: how the question came in, and how its answer will.

    Attributes:
        protocol: "tcp", "udp", "sctp", "icmp", "icmp6", or a number as text.
        answered: packets have gone both ways (IPS_SEEN_REPLY).
        state: TCP's ("ESTABLISHED"); of others "UNREPLIED", "REPLIED" or "ASSURED".
        handle: the attributes by which the kernel knows it, as bytes of netlink.
    """

    protocol: str
    way: ConnTuple
    reply: ConnTuple
    answered: bool = True
    state: str = ""
    handle: bytes = field(default=b"", repr=False)

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.way.dst.version

    def is_of(self, protocol: str, version: int) -> bool:
        """Tell if it is of this protocol ("icmp" is that of the IP version) and IP version."""
        mine = "icmp" if self.protocol == "icmp6" else self.protocol
        return (mine, self.version) == (protocol, version)


@frozen
class Facts:
    """State that was read in one namespace.

    Attributes:
        there: the routing's answer for the question's destination as the namespace saw it; back:
        for the answer's.
        settings: sysctls by name, as net/ipv4/ip_forward.
        far: the other ends of veth pairs in namespaces that were not read, by the link's name.
    """

    place: Netns
    links: tuple[Link, ...] = ()
    addresses: tuple[tuple[str, IPInterface], ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    listeners: tuple[Listener, ...] = ()
    tracked: tuple[ConntrackEntry, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    there: RouteAnswer | None = None
    back: RouteAnswer | None = None
    far: Mapping[str, Link] = field(default_factory=dict)

    def link(self, name: str) -> Link | None:
        """A link by its name."""
        return next((link for link in self.links if link.name == name), None)

    def bridge(self, link: Link) -> Link | None:
        """The bridge that a link is a port of."""
        return (
            next((each for each in self.links if each.index == link.master), None)
            if link.master
            else None
        )

    def has(self, ip: IPAddress) -> bool:
        """True if the namespace has this address itself."""
        return ip.is_loopback or any(address.ip == ip for _, address in self.addresses)

    def setting(self, name: str) -> str:
        """A sysctl's value, empty where the kernel has none."""
        return self.settings.get(name, "")
