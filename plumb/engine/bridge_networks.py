"""Bridge networks in the intent: what must be chosen and seen to before one can be built."""

from __future__ import annotations

from dataclasses import replace

from plumb.drivers.bridge import FORWARDING, forwarding
from plumb.engine import allocate
from plumb.engine.host_facts import HostFacts
from plumb.engine.operation import Operation
from plumb.errors import Conflict, Invalid, Unsupported
from plumb.model.cnm import IPAddress, Network, Pool, ip_on
from plumb.model.driver_options import GatewayMode
from plumb.things.layer3 import Address, Sysctl


def _check(net: Network) -> None:
    if not (net.ipv4 or net.ipv6):
        raise Invalid("IPv4 or IPv6 must be enabled")
    if net.ipv6 and net.bridge.mtu and net.bridge.mtu < 1280:
        raise Invalid(f"invalid MTU number: {net.bridge.mtu}: IPv6 needs 1280 at least (RFC 8200)")
    for version in (4, 6):
        if sum(pool.subnet.version == version for pool in net.pools) > 1:
            raise Invalid("bridge driver doesn't support multiple subnets")
        if net.bridge.mode(version) is GatewayMode.ISOLATED and not net.internal:
            raise Invalid(
                "gateway mode 'isolated' can only be used for an internal network", "add --internal"
            )
    for pool in net.pools:
        routers = [name for name, _ in pool.aux if name.startswith("DefaultGatewayIPv")]
        if routers and net.internal:
            raise Invalid("no gateway can be set on an internal bridge network")


def complete(op: Operation, machine: HostFacts, net: Network) -> Network:
    """The network with all that must be chosen, and no other network in its way.

    Raises:
        Invalid, Conflict, Exhausted, Unsupported: with Docker's words where it has some.
    """
    _check(net)
    kind = machine.kind_of(net.bridge.name) if net.bridge.name else None
    recorded = op.store.thing(("link", "", net.link)) is not None
    for other in op.all(Network):
        if other.driver == "bridge" and other.id != net.id and other.link == net.link:
            raise Conflict(
                f"cannot create network {net.name} ({net.link}): conflicts with network {other.name} "
                f"({other.link}): networks have same bridge name"
            )
    if kind is not None and kind != "bridge" and not recorded:
        raise Conflict(
            f"existing interface {net.link} is not a bridge",
            "choose another com.docker.network.bridge.name",
        )
    foreign = kind == "bridge" and not recorded
    net = allocate.subnets(
        op, replace(net, foreign=foreign, opens=_opens(op, net)), machine.on_link()
    )
    for pool in net.pools:
        for other in op.all(Network):
            if (
                other.driver == "bridge"
                and other.id != net.id
                and any(_overlap(pool, theirs) for theirs in other.pools)
            ):
                raise Conflict(
                    f"cannot create network {net.name} ({net.link}): conflicts with network {other.name} ({other.link}): "
                    f"networks have overlapping IPv{pool.subnet.version}"
                )
    suits_nftables(op, net)
    return replace(net, kept=_kept(op, net)) if foreign else net


def _overlap(one: Pool, other: Pool) -> bool:
    return one.subnet.version == other.subnet.version and one.subnet.overlaps(other.subnet)


def _kept(op: Operation, net: Network) -> tuple[IPAddress, ...]:
    """The gateway addresses that a foreign bridge has already."""
    wanted = [
        Address(net.link, ip_on(pool.gateway, pool.subnet.prefixlen))
        for pool in net.pools
        if pool.gateway is not None
    ]
    there = zip(wanted, op.kernel.look(wanted), strict=True)
    return tuple(address.ip.ip for address, now in there if now is not None)


def _opens(op: Operation, net: Network) -> tuple[int, ...]:
    """The families for which the host did not forward before plumb made it."""
    found = []
    for version in (v for v, on in ((4, net.ipv4), (6, net.ipv6)) if on):
        if not op.settings.opens or op.settings.ip_forward_no_drop:
            continue
        asked = Sysctl(FORWARDING[version], "1")
        was = op.store.previous(asked.key) or op.kernel.look([asked])[0]
        if isinstance(was, Sysctl) and was.value == "0":
            found.append(version)
    return tuple(found)


FORWARDS_NOT = {
    4: "IPv4 forwarding is disabled: check your host's firewalling and set sysctl net.ipv4.ip_forward=1",
    6: "IPv6 global forwarding is disabled: check your host's firewalling and set sysctls "
    "net.ipv6.conf.all.forwarding=1 and net.ipv6.conf.default.forwarding=1",
}


def suits_nftables(op: Operation, net: Network) -> None:
    """See whether a network can be with this host's back end, if that is nftables.

    The host must forward by itself then: plumb has no policy there to keep the rest of it closed
    (Docker's rule).

    Raises:
        Unsupported: it does not, or does so only because plumb made it, for iptables.
        Invalid: the bridge's name cannot be part of a chain's.
    """
    if op.settings.firewall_backend != "nftables" or net.driver != "bridge":
        return
    if "@" in net.link:
        raise Invalid(
            f"invalid bridge name {net.link}: nftables has chains of that name, and none with '@' in it"
        )
    for version in (v for v, on in ((4, net.ipv4), (6, net.ipv6)) if on and op.settings.ip_forward):
        wanted = list(forwarding(version))
        was = [
            op.store.previous(asked.key) or now
            for asked, now in zip(wanted, op.kernel.look(wanted), strict=True)
        ]
        if any(isinstance(each, Sysctl) and each.value == "0" for each in was):
            ours = op.store.thing(wanted[0].key) is not None
            raise Unsupported(
                f'{FORWARDS_NOT[version]}, or disable this check using "ip-forward": false',
                "it is on only because plumb turned it on for the iptables back end, and goes off with that: first "
                'set "ip-forward": false, then the sysctl by hand, then firewall-backend'
                if ours
                else "",
            )
