"""A cluster in this process: for tests of what a host makes of a cluster's answers.

It allots addresses in a row, as a manager does, and keeps what a host publishes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface

from plumb.address import IPAddress, ip_on
from plumb.engine.cluster.reservations import Reservations
from plumb.engine.verbs import Transaction
from plumb.errors import Conflict, NotFound
from plumb.kernel.cluster import endpoint_records
from plumb.kernel.cluster.publisher import Row
from plumb.model.cluster import (
    FIRST_VNI,
    Attached,
    AttachRequest,
    Encryption,
    Node,
    NodeRole,
    RemoteEndpoint,
    balancer_id,
)
from plumb.model.cnm import Network, Pool
from plumb.model.driver_options import OverlayOptions

OTHER = IPv4Address("192.0.2.11")
"""The data path address of the other node."""
INGRESS = Network(
    "1" * 64,
    "ingress",
    "overlay",
    (Pool(IPv4Network("10.0.0.0/24"), gateway=IPv4Address("10.0.0.1")),),
    overlay=OverlayOptions(vnis=(FIRST_VNI,), ingress=True),
)


def node(address: IPAddress, role: NodeRole = NodeRole.MANAGER, ident: str = "a" * 25) -> Node:
    """A node whose tunnels end at that address."""
    return Node(ident, "labhost", address, address, role)


@dataclass
class FakeCluster:
    """A cluster of this host, and of others as far as `remotes` says.

    Attributes:
        me: this host as a node.
        nets: the networks by id.
        others: last bytes of the addresses that the other host has in each network, and the names
            there; empty for a balancer.
        published: what this host has published, by endpoint.
        reserved: addresses by endpoint; last: the number that each subnet gave last.
        parts: ids of the networks that this host has built; parts_elsewhere: that others have.
        keys: those of encrypted networks; none where tests give them, as a cluster process does.
    """

    me: Node
    nets: dict[str, Network] = field(default_factory=dict)
    others: Mapping[int, str] = field(default_factory=dict)
    published: dict[str, Row] = field(default_factory=dict)
    reserved: dict[str, tuple[IPv4Interface | None, IPv6Interface | None]] = field(
        default_factory=dict
    )
    last: dict[str, int] = field(default_factory=dict)
    parts: set[str] = field(default_factory=set)
    parts_elsewhere: set[str] = field(default_factory=set)
    keys: Encryption | None = None

    # -- what the engine asks ---------------------------------------------------------------

    def node(self) -> Node | None:
        """This host."""
        return self.me

    def connected(self) -> bool:
        """It is in this process."""
        return True

    def networks(self) -> Sequence[Network]:
        """All networks."""
        return list(self.nets.values())

    def network(self, reference: str) -> Network | None:
        """A network by id or name."""
        found = (net for net in self.nets.values() if reference in (net.id, net.name))
        return next(found, None)

    def create_network(self, net: Network) -> Network:
        """Record it, with a gateway for each subnet and serial VNIs."""
        if net.swarm:
            self.nets[net.id] = net
            return net
        used = 1 + sum(len(other.overlay.vnis) for other in self.nets.values())
        pools = net.pools or (Pool(IPv4Network(f"10.0.{used}.0/24"), given=False),)
        pools = tuple(
            replace(pool, gateway=pool.gateway or pool.subnet.network_address + 1) for pool in pools
        )
        count = sum(pool.subnet.version == 4 for pool in pools)
        vnis = net.overlay.vnis or tuple(FIRST_VNI + used + k for k in range(count))
        made = replace(net, pools=pools, overlay=replace(net.overlay, vnis=vnis))
        self.nets[net.id] = made
        return made

    def remove_network(self, ident: str) -> None:
        """Remove one that nobody is on."""
        if ident not in self.nets:
            raise NotFound(f"network {ident} not found")
        used = any(record["network"] == ident for record in self.published.values())
        if used or ident in self.parts_elsewhere:
            raise Conflict(f"network {ident} is in use")
        del self.nets[ident]
        self.parts.discard(ident)

    def attach(self, wish: AttachRequest) -> Attached:
        """Reserve the next addresses, the endpoint's and then the balancer's."""
        net = self.network(wish.network)
        if net is None:
            raise NotFound(f"network {wish.network} not found")
        four, six = self._reserve(net, wish.endpoint, wish.ip, wish.ip6)
        balancer, balancer6 = self._reserve(net, balancer_id(net.id, self.me.id), None, None)
        assert four is not None
        mac = wish.mac or "02:42:" + four.ip.packed.hex(":")
        there = tuple(remote(net, last, name=name) for last, name in self.others.items())
        return Attached(net, four, six, mac, balancer, there, balancer6)

    def _reserve(
        self, net: Network, owner: str, ip: IPAddress | None, ip6: IPAddress | None
    ) -> tuple[IPv4Interface | None, IPv6Interface | None]:
        if owner not in self.reserved:
            found = [self._next(net, version, ip6 if version == 6 else ip) for version in (4, 6)]
            self.reserved[owner] = (found[0], found[1])  # type: ignore[assignment]  # of the version asked for
        return self.reserved[owner]

    def _next(
        self, net: Network, version: int, wanted: IPAddress | None
    ) -> IPv4Interface | IPv6Interface | None:
        pool = net.pool_of(wanted) if wanted is not None else net.pool(version)
        if pool is None:
            return None
        if wanted is not None:
            return ip_on(wanted, pool.subnet.prefixlen)
        key = str(pool.subnet)
        self.last[key] = self.last.get(key, 1) + 1
        return ip_on(pool.subnet.network_address + self.last[key], pool.subnet.prefixlen)

    def encryption(self) -> Encryption | None:
        """The keys of encrypted networks."""
        return self.keys

    def part(self, network: str) -> None:
        """Note that this host has built a network."""
        self.parts.add(network)

    def release(self, endpoints: Sequence[str]) -> None:
        """Give addresses back."""
        for ident in endpoints:
            self.reserved.pop(ident, None)
            self.parts.discard(ident)

    # -- what the writer of endpoint records asks ---------------------------------------------

    def publish(self, rows: Sequence[Row]) -> None:
        """Keep rows."""
        self.published.update((row["id"], row) for row in rows)

    def withdraw(self, endpoints: Sequence[str]) -> None:
        """Drop records."""
        for ident in endpoints:
            self.published.pop(ident, None)

    def rows(self) -> list[Row]:
        """The rows that this host has published."""
        return list(self.published.values())

    # -- for tests ---------------------------------------------------------------

    def taken_by(self, verbs: Transaction) -> None:
        """Make an operation under way one of a host in this cluster."""
        operation = verbs._operation  # a Host is given it, a case has none to give it to
        operation.cluster, operation.reservations = self, Reservations(self)


@contextmanager
def processes() -> Iterator[dict[str, FakeCluster]]:
    """A cluster process on each host, which keeps what it is to publish, for a with block.

    By folder.
    """
    found: dict[str, FakeCluster] = {}
    real = endpoint_records.connect

    def connect(folder: str) -> FakeCluster:
        return found.setdefault(folder, FakeCluster(node(OTHER)))

    endpoint_records.connect = connect  # type: ignore[assignment]  # it has what is asked of it
    try:
        yield found
    finally:
        endpoint_records.connect = real


def remote(net: Network, last: int, vtep: IPAddress = OTHER, name: str = "") -> RemoteEndpoint:
    """An endpoint on another node, at the address that ends in `last` of the first subnets."""
    pool = net.pool(4)
    assert pool is not None
    ip = ip_on(pool.subnet.network_address + last, pool.subnet.prefixlen)
    assert isinstance(ip, IPv4Interface)
    six = net.pool(6)
    ip6 = ip_on(six.subnet.network_address + last, six.subnet.prefixlen) if six else None
    assert not isinstance(ip6, IPv4Interface)
    mac = "02:42:" + ip.ip.packed.hex(":")
    names = (name,) if name else ()
    ident = f"{net.overlay.vnis[0]:x}{last:x}".ljust(64, "0")
    return RemoteEndpoint(ident, net.id, "b" * 25, vtep, mac, ip, ip6, names, ident)
