"""Allocation of ids, names, MACs, subnets, addresses and DNS ports, before a driver narrates.

The chosen values become part of the intent, so that the drivers compute all things from values.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address

from plumb.address import IPAddress, IPInterface, IPNetwork, ip_on, reserved
from plumb.drivers import driver_of
from plumb.drivers.embedded_dns import served_on
from plumb.engine.operation import Operation
from plumb.engine.predefined import with_routers
from plumb.errors import Conflict, Exhausted, Invalid, KernelRefused
from plumb.frozen import replace
from plumb.model import etc_files, ipam
from plumb.model.cluster import Node
from plumb.model.cnm import Attachment, Endpoint, Network, Pool, Sandbox
from plumb.model.net import resolv_conf
from plumb.model.settings import Settings
from plumb.things import Key, Thing

# -- networks ---------------------------------------------------------------


class OperationHost:
    """View of the host and of an operation's intent for the drivers (`drivers.driver.HostView`)."""

    def __init__(self, op: Operation) -> None:
        self._op = op

    @property
    def settings(self) -> Settings:
        """The host's settings."""
        return self._op.settings

    def networks(self) -> list[Network]:
        """List all networks, including those of the operation."""
        return self._op.all(Network)

    def kind_of(self, link: str) -> str | None:
        """Return the kind of a link of the host, None if no link has that name."""
        return self._op.system.kind_of(link)

    def recorded(self, key: Key) -> Thing | None:
        """Return the thing that is recorded under a key."""
        return self._op.store.thing(key)

    def previous(self, key: Key) -> Thing | None:
        """Return the state of a standing thing before plumb changed it."""
        return self._op.store.previous(key)

    def look(self, things: Sequence[Thing]) -> Sequence[Thing | None]:
        """Read the current state of each thing from the kernel."""
        return self._op.kernel.look(things)

    def netns(self, network: str) -> str:
        """Return the file for the namespace of a network that has one of its own."""
        return self._op.layout.overlay(network)

    def new_mac(self) -> str:
        """Return a random, locally administered unicast MAC address."""
        return self._op.system.new_mac()

    def node(self) -> Node | None:
        """Return the host as a node of its cluster, None where it is in none."""
        return self._op.cluster.node()

    def mtu_of(self, ip: IPAddress) -> int:
        """Return the MTU of the link that has an address, bytes; 1500 where none has it."""
        return self._op.system.mtu_of(ip)

    def allot_subnets(self, net: Network) -> Network:
        """Add subnets and gateways to a network, as `subnets` chooses them."""
        return subnets(self._op, net, self._op.system.on_link())


def subnets(op: Operation, net: Network, on_link: Sequence[IPNetwork]) -> Network:
    """Add a subnet for each family of a network, with a gateway, and allocate the addresses.

    Args:
        on_link: the networks that the host itself is attached to; subnets of the user's choice may
            overlap them.

    Raises:
        Conflict: a subnet overlaps another network's.
        Exhausted: no subnet or address is free.
    """
    theirs = [
        pool
        for other in op.all(Network)
        for pool in other.pools
        if other.id != net.id and not other.config_only
    ]
    for pool in net.pools:
        if any(_clash(pool, other) for other in theirs):
            raise Conflict(
                "invalid pool request: Pool overlaps with other one on this address space",
                f"{pool.subnet} is in use: 'plumb network inspect' shows by which network",
            )
    others, pools = [pool.subnet for pool in theirs], list(net.pools)
    for version in (v for v, on in ((4, net.ipv4), (6, net.ipv6)) if on and net.pool(v) is None):
        candidates = ipam.pools(op.settings.default_address_pools, version, host_id(op))
        occupied = [*others, *on_link, *name_servers(op)]
        pools.append(Pool(ipam.choose_subnet(candidates, occupied), given=False))
    made = replace(net, pools=tuple(pools))
    if made.default:
        made = with_routers(made, op.settings)
    return replace(made, pools=tuple(_gateway(op, made, pool) for pool in made.pools))


def _clash(pool: Pool, other: Pool) -> bool:
    """Check a new subnet against another: True if they overlap.

    A subnet with an --ip-range of its own may overlap another one (Docker's rule).
    """
    if pool.subnet.version != other.subnet.version or not pool.subnet.overlaps(other.subnet):
        return False
    return pool.range is None or (pool.subnet, pool.range) == (other.subnet, other.range)


def name_servers(op: Operation) -> list[IPNetwork]:
    """Return the addresses of the host's name servers, which no subnet may contain."""
    servers = resolv_conf.parse(op.system.resolv_source()).servers
    addresses = (ip_address(server.partition("%")[0]) for server in servers)
    return [ip_on(ip, ip.max_prefixlen).network for ip in addresses]


def host_id(op: Operation) -> str:
    """Return the random id of this root, from which plumb derives its IPv6 subnets."""
    known = op.store.meta("host") or op.remarks.get("host", "")
    if not known:
        known = op.system.new_id()
        op.remark("host", known)
    return known


def _gateway(op: Operation, net: Network, pool: Pool) -> Pool:
    """Choose the gateway of a subnet, and allocate it and then the auxiliary addresses.

    In Docker's order: an auxiliary address cannot be the one that the gateway has by default.
    """
    made = pool
    if driver_of(net).needs_gateway(net, pool.subnet.version) or pool.gateway is not None:
        made = replace(pool, gateway=_take_gateway(op, net, pool))
    for name, ip in pool.aux:
        if op.taken(pool.subnet, ip):
            raise Conflict(
                f"failed to allocate secondary ip address ({name}:{ip}): Address already in use",
                f"--gateway names the gateway, which has {made.gateway} now"
                if ip == made.gateway
                else "",
            )
        op.take_address(pool.subnet, ip, net.id)
    return made


def _take_gateway(op: Operation, net: Network, pool: Pool) -> IPAddress:
    gateway = pool.gateway or ipam.lowest_free(pool, lambda ip: op.taken(pool.subnet, ip))
    if gateway is None:
        raise Exhausted(
            f"failed to allocate gateway in {pool.range or pool.subnet}:"
            " no available addresses on this pool"
        )
    if op.taken(pool.subnet, gateway):
        raise Conflict(f"failed to allocate gateway ({gateway}): Address already in use")
    op.take_address(pool.subnet, gateway, net.id)
    return gateway


# -- endpoints ---------------------------------------------------------------


def endpoint(
    op: Operation, net: Network, box: Sandbox, wish: Attachment, used: set[str]
) -> Endpoint:
    """Create an endpoint with all values chosen.

    Args:
        wish: the requested attachment.
        used: the interface names that the sandbox already has, or that other attachments request.
    """
    ident = op.system.new_id()
    six = wants_ipv6(net, box, wish)
    ip4 = _address(op, net, wish.ip, 4, ident) if net.ipv4 else None
    ip6 = _address(op, net, wish.ip6, 6, ident) if six else None
    if used:
        _check_routes(op, box, [ip for ip in (ip4, ip6) if ip is not None])
    mac = wanted_mac(box, wish)
    if mac and not net.traits.own_mac:
        raise Invalid(
            f"{net.driver} interfaces do not support custom mac address assignment",
            "all of them have their parent's",
        )
    mac = mac or (op.system.new_mac() if net.traits.own_mac else "")
    return Endpoint(
        ident,
        net.id,
        box.id,
        link="veth" + op.system.token_hex(4)[:7],
        ifname=interface_name(net, wish, used),
        mac=mac,
        ip=ip4,  # type: ignore[arg-type]  # _address gives the version asked for
        ip6=ip6,  # type: ignore[arg-type]
        link_local=wish.link_local,
        sysctls=wish.sysctls,
        gw_priority=wish.gw_priority,
        number=op.number(Endpoint),
    )


def wants_ipv6(net: Network, box: Sandbox, wish: Attachment) -> bool:
    """Tell whether an endpoint is to have an IPv6 address."""
    return (
        net.ipv6
        and etc_files.has_ipv6(box)
        and ("net/ipv6/conf/IFNAME/disable_ipv6", "1") not in wish.sysctls
    )


def wanted_mac(box: Sandbox, wish: Attachment) -> str:
    """Return the MAC address that was asked for, of the place or of the container; or empty."""
    return wish.mac or (box.mac if box.attachments and box.attachments[0] == wish else "")


def _check_routes(op: Operation, box: Sandbox, ips: Sequence[IPInterface]) -> None:
    """Refuse an address in a subnet that overlaps one of the sandbox's others, as Docker does.

    Subnets overlap where networks share one by --ip-range. The kernel would send what is meant for
    either by the interface that was there first.
    """
    there = {ip.network for end in op.endpoints(sandbox=box.id) for ip in end.ips}
    for ip in ips:
        for subnet in there:
            if subnet.version == ip.version and subnet.overlaps(ip.network):
                raise Conflict(
                    f"cannot program address {ip} in sandbox interface because it conflicts with "
                    f"existing route {subnet}",
                    "a container can be on one of the networks that share a subnet",
                )


def interface_name(net: Network, wish: Attachment, used: set[str]) -> str:
    """Choose the interface's name in the sandbox.

    It is the requested name, or the network's prefix with the lowest free number.

    Raises:
        Conflict: the requested name is in use.
    """
    if wish.ifname:
        if wish.ifname in used:
            raise Conflict(
                f"cannot name the interface {wish.ifname}: file exists",
                "another interface of the container has it",
            )
        return wish.ifname
    number = 0
    while f"{net.own.iface_prefix}{number}" in used:
        number += 1
    return f"{net.own.iface_prefix}{number}"


def _address(
    op: Operation, net: Network, wanted: IPAddress | None, version: int, owner: str
) -> IPInterface | None:
    pools = [pool for pool in net.pools if pool.subnet.version == version]
    if not pools:
        return None
    pool, ip = _wanted(op, pools, wanted) if wanted is not None else _any(op, net, pools)
    op.take_address(pool.subnet, ip, owner)
    return ip_on(ip, pool.subnet.prefixlen)


def _wanted(op: Operation, pools: Sequence[Pool], ip: IPAddress) -> tuple[Pool, IPAddress]:
    pool = next((pool for pool in pools if ip in pool.subnet), None)
    if pool is None:
        raise Invalid(f"invalid endpoint settings: no configured subnet contains IP address {ip}")
    if reserved(ip, pool.subnet):
        raise Conflict("Address already in use", f"{ip} is reserved in {pool.subnet}")
    if op.taken(pool.subnet, ip):
        raise Conflict("Address already in use", f"{ip} is in use: see 'plumb network inspect'")
    return pool, ip


def _any(op: Operation, net: Network, pools: Sequence[Pool]) -> tuple[Pool, IPAddress]:
    """Find the lowest free address of the first subnet that has one."""
    for pool in pools:
        subnet, span = pool.subnet, str(pool.range or "")
        ip = ipam.lowest_free(pool, partial(op.taken, subnet), op.hint(subnet, span))
        if ip is not None:
            if int(ip) < int(subnet.broadcast_address):
                op.set_hint(subnet, span, ip + 1)
            return pool, ip
    raise Exhausted(
        f"no available IPv{pools[0].subnet.version} addresses on this network's address pools:"
        f" {net.name} ({net.id})"
    )


def resolving(op: Operation, box: Sandbox) -> Sandbox:
    """The container, with a DNS server from the first time that it is on a network with names."""
    if box.dns_udp or not any(served_on(net) for _, net in op.ends(box)):
        return box
    return _with_ports(op, box)


def renewed(op: Operation, box: Sandbox) -> Sandbox:
    """Renew the DNS server of a container, with other ports if a program has taken its own.

    One whose programs have taken all there are goes without: that must not keep the others from
    being mended.
    """
    try:
        return _with_ports(op, box)
    except KernelRefused:
        return replace(box, dns_udp=0, dns_tcp=0)


def _with_ports(op: Operation, box: Sandbox) -> Sandbox:
    udp, tcp = op.system.spare(op.layout.namespace(box.id), (box.dns_udp, box.dns_tcp))
    return replace(box, dns_udp=udp, dns_tcp=tcp)


ADJECTIVES = (
    "brisk",
    "calm",
    "clear",
    "deft",
    "eager",
    "fair",
    "gentle",
    "keen",
    "lucid",
    "merry",
    "neat",
    "quick",
    "sound",
    "steady",
    "tidy",
    "witty",
)
NOUNS = (
    "baran",
    "cerf",
    "clark",
    "davies",
    "deering",
    "floyd",
    "jacobson",
    "kahn",
    "karels",
    "kleinrock",
    "licklider",
    "metcalfe",
    "mockapetris",
    "perlman",
    "pouzin",
    "postel",
)
"""Of people who made networks."""


def random_name(op: Operation) -> str:
    """A name for a container that was not given one, as Docker makes them up."""
    while True:
        name = f"{op.system.choice(ADJECTIVES)}_{op.system.choice(NOUNS)}"
        if op.named(Sandbox, name) is None:
            return name
        name += op.system.choice("0123456789")
        if op.named(Sandbox, name) is None:
            return name
