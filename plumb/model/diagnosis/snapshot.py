"""Snapshot of a host: its own network namespace and those of its containers, at one moment.

`plumb doctor` reads one, and all of its checks are functions of it. As JSON it can be sent to
somebody else, so each value has fields of plain types, addresses and values of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from plumb.address import IPAddress, IPInterface, IPNetwork
from plumb.frozen import frozen
from plumb.model.diagnosis.failed_start import FailedStart
from plumb.model.diagnosis.machine_state import MachineState
from plumb.model.diagnosis.overlay_state import OverlayState
from plumb.model.netns_state import Link, Listener, Neighbour
from plumb.model.observations import HOST
from plumb.model.ports import Port

FORMAT = 2
"""Version of a snapshot's JSON."""
PLUMB = "plumb"
"""Engine of plumb's own containers and networks."""
LINKS, ADDRESSES, ROUTES, POLICY = "links", "addresses", "routes", "rules of routing"
NEIGHBOURS, SOCKETS, FIREWALL = "neighbours", "sockets", "firewall rules"
COUNTERS = "counters"
"""Parts of a namespace, each of which may not be readable."""


@frozen
class RouteState:
    """A route.

    Attributes:
        dst: the destinations; table: the number of its table, 254 for main.
        type: "unicast", "blackhole", "unreachable", "prohibit" or "throw".
        dev, via: its link and gateway, where it has them; metric: the lower is preferred.
        rest: further words with which `ip route add` makes it: metric, protocol, scope, source.
    """

    dst: IPNetwork
    table: int = 254
    type: str = "unicast"
    dev: str = ""
    via: IPAddress | None = None
    metric: int = 0
    rest: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [self.type] if self.type != "unicast" else []
        words.append("default" if self.dst.prefixlen == 0 else str(self.dst))
        words += ["via", str(self.via)] if self.via else []
        words += ["dev", self.dev] if self.dev else []
        return " ".join([*words, *(["table", str(self.table)] if self.table != 254 else [])])


@frozen
class PolicyRule:
    """A rule of policy routing (ip rule).

    Attributes:
        priority: the lowest is asked first; version: 4 or 6.
        src, dst, iif, oif: what packets it is for; narrow: it has further conditions, as a mark.
        inverted: it is for all other packets.
        table: where it looks routes up, 0 for none; suppress: routes of prefixes no longer than
            that do not count, -1 for no such limit.
    """

    priority: int
    version: int
    table: int
    src: IPNetwork | None = None
    dst: IPNetwork | None = None
    iif: str = ""
    oif: str = ""
    narrow: bool = False
    inverted: bool = False
    suppress: int = -1


@frozen
class RuleState:
    """A rule of a firewall.

    Attributes:
        words: as its tool prints it.
        conditions: what is compared, with which values, and if they are negated: the fields of
            `plumb.model.foreign_firewall.Condition`.
        verdict, target: as of `plumb.model.foreign_firewall.FirewallRule`.
        packets: how many it has matched, as its counter has it; 0 without one.
    """

    words: str
    conditions: tuple[tuple[str, tuple[str, ...], bool], ...] = ()
    verdict: str = ""
    target: str = ""
    packets: int = 0


@frozen
class ChainState:
    """A chain of a firewall.

    Attributes:
        tool: "nft", "iptables-nft", "iptables-legacy", "ip6tables-nft" or "ip6tables-legacy".
        family: "ip", "ip6" or "inet".
        hook, priority, policy: of a base chain; empty and 0 for another.
        kind: of a base chain: "filter", "nat" or "route"; empty where it is not known.
    """

    tool: str
    family: str
    table: str
    name: str
    rules: tuple[RuleState, ...] = ()
    hook: str = ""
    priority: int = 0
    policy: str = ""
    kind: str = ""

    @property
    def nat(self) -> bool:
        """True if it is asked for the first packet of a connection alone, and rewrites it."""
        return self.kind == "nat" or self.table == "nat"


@frozen
class NamespaceState:
    """State of a network namespace.

    Attributes:
        name: "host", or the container's.
        routes: those of all tables but local.
        settings: sysctls by name, as net/ipv4/ip_forward.
        counters: counters of the kernel by name, as IPReversePathFilter or UdpInCsumErrors.
        received: packets that came in by a link, of a container's links.
        peers: veth links with the namespace and the name of their other ends, where it is known.
        resolv, hosts: the text of its resolv.conf and hosts.
        wireless: links that are Wi-Fi.
        unread: sentences on what could not be read, each with its part before a colon.
    """

    name: str
    links: tuple[Link, ...] = ()
    addresses: tuple[tuple[str, IPInterface], ...] = ()
    routes: tuple[RouteState, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    listeners: tuple[Listener, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    counters: tuple[tuple[str, int], ...] = ()
    received: tuple[tuple[str, int], ...] = ()
    chains: tuple[ChainState, ...] = ()
    peers: tuple[tuple[str, str, str], ...] = ()
    resolv: str = ""
    hosts: str = ""
    wireless: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def lacks(self, part: str) -> bool:
        """True if a part could not be read, so that what it has not proves nothing."""
        return any(each.startswith(f"{part}:") for each in self.unread)

    def link(self, name: str) -> Link | None:
        """A link by its name."""
        return self._links.get(name)

    @cached_property
    def _links(self) -> dict[str, Link]:
        return {link.name: link for link in self.links}

    @cached_property
    def _settings(self) -> dict[str, str]:
        return dict(self.settings)

    def setting(self, name: str) -> str:
        """A sysctl's value, empty where the kernel has none."""
        return self._settings.get(name, "")

    def counter(self, name: str) -> int:
        """A counter of the kernel, 0 where it has none."""
        return dict(self.counters).get(name, 0)

    def link_with(self, ip: IPAddress) -> Link | None:
        """The link that has an address."""
        return next((self.link(dev) for dev, own in self.addresses if own.ip == ip), None)

    def listening(self, protocol: str, port: int) -> list[Listener]:
        """The sockets that listen at a port."""
        return self._listening.get((protocol, port), [])

    @cached_property
    def _listening(self) -> dict[tuple[str, int], list[Listener]]:
        found: dict[tuple[str, int], list[Listener]] = {}
        for each in self.listeners:
            found.setdefault((each.protocol, each.port), []).append(each)
        return found

    def master(self, link: Link) -> Link | None:
        """The bridge that a link is a port of."""
        return next((one for one in self.links if link.master and one.index == link.master), None)

    def ports(self, bridge: Link) -> list[Link]:
        """The links that are ports of a bridge."""
        return [link for link in self.links if link.master == bridge.index]

    @cached_property
    def _tables(self) -> dict[tuple[int, int], list[RouteState]]:
        found: dict[tuple[int, int], list[RouteState]] = {}
        for route in self.routes:
            found.setdefault((route.table, route.dst.version), []).append(route)
        return found

    def table(self, number: int, version: int) -> list[RouteState]:
        """The routes of a table and an IP version."""
        return self._tables.get((number, version), [])

    def defaults(self, version: int) -> list[RouteState]:
        """Default routes of the main table, the preferred first."""
        found = [
            route
            for route in self.routes
            if route.table == 254 and not route.dst.prefixlen and route.dst.version == version
        ]
        return sorted(found, key=lambda route: route.metric)


@frozen
class EndState:
    """A container's place in a network.

    Attributes:
        network: the network's id.
        ports: those that are published.
    """

    network: str
    mac: str = ""
    ip: IPInterface | None = None
    ip6: IPInterface | None = None
    ports: tuple[Port, ...] = ()

    @property
    def ips(self) -> tuple[IPInterface, ...]:
        """Addresses of it, IPv4 first."""
        return tuple(ip for ip in (self.ip, self.ip6) if ip is not None)


@frozen
class ContainerState:
    """A running container.

    Attributes:
        name: its name, with the engine's before it where two engines have one of that name.
        engine: "plumb", "docker", "podman", …
        place: the name of its namespace, "host" for the host's.
        program: it runs a program, which may listen.
    """

    name: str
    engine: str
    place: str
    ends: tuple[EndState, ...] = ()
    program: bool = True


@frozen
class NetworkState:
    """A network.

    Attributes:
        id, name: as its engine has them; engine: as of a container.
        driver: the driver's name, as its engine has it.
        link: its bridge; parent: the link of the host that its containers' links are made on.
        subnets, gateways: of both families.
        masquerade, icc: the bridge driver's options; nat: the IP versions for which it is in
            gateway mode nat.
        default: it is the default bridge network.
        bridge_in_host, on_lan, own_mac, multi_host: traits of its driver (`driver_traits`).
        vnis, encrypted, vtep: of an overlay: VXLAN identifiers, whether ESP carries it, and this
            node's end of the tunnels, where it is known.
        port: UDP port of its tunnels, 0 where it is not known.
        parted: its engine keeps packets of other networks out.
        unruled: where its engine was told to write no rules of IPv4, in words; else empty.
    """

    id: str
    name: str
    engine: str
    driver: str
    link: str = ""
    parent: str = ""
    subnets: tuple[IPNetwork, ...] = ()
    gateways: tuple[IPAddress, ...] = ()
    ipv6: bool = False
    internal: bool = False
    masquerade: bool = True
    icc: bool = True
    nat: tuple[int, ...] = (4,)
    default: bool = False
    bridge_in_host: bool = False
    on_lan: bool = False
    own_mac: bool = True
    multi_host: bool = False
    vnis: tuple[int, ...] = ()
    encrypted: bool = False
    vtep: IPAddress | None = None
    port: int = 0
    parted: bool = True
    unruled: str = ""

    @property
    def bridged(self) -> bool:
        """True if it has a bridge in the host, which routes for it."""
        return self.bridge_in_host and bool(self.link)


@frozen
class FlowState:
    """A flow of UDP whose destination was rewritten, as connection tracking has it."""

    dst: IPAddress
    port: int
    target: IPAddress
    target_port: int


@frozen
class Snapshot:
    """State of a host.

    Attributes:
        host: its own namespace; spaces: its containers', each once.
        overlays: parts of overlay networks that containers here are on.
        failed: containers that their engines could not start.
        drifts: differences from plumb's record, in words.
        engines: those that were found.
        missing: sentences on what could not be read.
        format: the version of this form.
    """

    host: NamespaceState
    spaces: tuple[NamespaceState, ...] = ()
    containers: tuple[ContainerState, ...] = ()
    networks: tuple[NetworkState, ...] = ()
    flows: tuple[FlowState, ...] = ()
    machine: MachineState = MachineState()
    overlays: tuple[OverlayState, ...] = ()
    failed: tuple[FailedStart, ...] = ()
    drifts: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    format: int = FORMAT

    @cached_property
    def _spaces(self) -> dict[str, NamespaceState]:
        return {HOST: self.host, **{space.name: space for space in self.spaces}}

    @cached_property
    def _networks(self) -> dict[str, NetworkState]:
        return {net.id: net for net in self.networks}

    def space(self, box: ContainerState) -> NamespaceState | None:
        """The namespace of a container; None where it was not read."""
        return self._spaces.get(box.place)

    def network(self, ident: str) -> NetworkState | None:
        """A network by its id."""
        return self._networks.get(ident)

    def ends(self) -> Iterator[tuple[ContainerState, EndState, NetworkState]]:
        """Iterate over the containers' places in networks."""
        for box in self.containers:
            for end in box.ends:
                net = self.network(end.network)
                if net is not None:
                    yield box, end, net

    @cached_property
    def used(self) -> tuple[NetworkState, ...]:
        """Networks that running containers are on."""
        ids = {end.network for box in self.containers for end in box.ends}
        return tuple(net for net in self.networks if net.id in ids)

    @cached_property
    def bridges(self) -> tuple[NetworkState, ...]:
        """Networks in use that have a bridge in the host."""
        return tuple(net for net in self.used if net.bridged)
