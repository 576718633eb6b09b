"""Networks in the intent: create, rm, prune, and the three that are always there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from plumb import options as opt
from plumb.cnm import (
    PREDEFINED,
    GatewayMode,
    IPAddress,
    Network,
    Pool,
    Sandbox,
    ip_on,
)
from plumb.drivers.bridge import FORWARDING, forwarding
from plumb.engine import allot, publish
from plumb.engine.machine import Machine
from plumb.engine.narration import HOST_OWNER
from plumb.engine.operation import Operation, endpoint_owner, network_owner, sandbox_owner
from plumb.engine.predefined import default_network, others
from plumb.errors import Conflict, Invalid, NotFound, Unsupported
from plumb.store import codec
from plumb.things.layer3 import Address, Sysctl

DRIVERS = ("bridge",)
LATER = ("macvlan", "ipvlan", "overlay")


# -- create ---------------------------------------------------------------


def create(op: Operation, machine: Machine, name: str, *, driver: str = "bridge", pools: Sequence[Pool] = (),
           ipv4: bool | None = None, ipv6: bool | None = None, internal: bool = False, attachable: bool = False,
           options: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None) -> Network:
    """A new network.

    Args:
        name: its name, unique.
        pools: the subnets that were asked for; a family without one gets one from the default pools.
        ipv4, ipv6: the families; None: as the options say, else IPv4 only.
        options: the driver's options, Docker's labels.

    Raises:
        Invalid, Conflict, Exhausted: with Docker's words where it has some.
    """
    opt.network_name(name)
    if name in PREDEFINED or name == "default":
        raise Conflict(f"operation is not permitted on predefined {name} network")
    if driver in ("host", "null", "none"):
        raise Conflict(f'only one instance of "{driver}" network is allowed')
    if driver not in DRIVERS:
        raise NotFound(f'plugin "{driver}" not found', f"the {driver} driver is not built yet" if driver in LATER
                       else f"drivers are {', '.join(DRIVERS)}, host and null")
    if op.named(Network, name) is not None:
        raise Conflict(f"network with name {name} already exists")
    defaults = dict(dict(op.settings.default_network_opts).get(driver, ()))
    given = {**{key: text for key, text in defaults.items() if key not in (opt.ENABLE4, opt.ENABLE6)}, **(options or {})}
    both = {**defaults, **given}
    net = Network(
        allot.new_id(), name, driver, tuple(pools), ipv4=_family(both, opt.ENABLE4, ipv4, True),
        ipv6=_family(both, opt.ENABLE6, ipv6, False), internal=internal or _family(given, opt.INTERNAL, None, False),
        attachable=attachable, options=tuple(given.items()), labels=tuple((labels or {}).items()),
        bridge=opt.bridge_options(given), created=allot.now(), number=op.number(Network))
    net = complete(op, machine, check(net))
    op.put(net)
    return net


def _family(options: Mapping[str, str], key: str, given: bool | None, default: bool) -> bool:
    if given is not None:
        return given
    return opt.parsed(key, options[key], opt.boolean) if key in options else default


def check(net: Network) -> Network:
    """A network that makes sense in itself.

    Raises:
        Invalid: it does not.
    """
    if not (net.ipv4 or net.ipv6):
        raise Invalid("IPv4 or IPv6 must be enabled")
    for pool in net.pools:
        if not (net.ipv4 if pool.subnet.version == 4 else net.ipv6):
            raise Invalid(f"subnet {pool.subnet} is given, but IPv{pool.subnet.version} is off",
                          "add --ipv6" if pool.subnet.version == 6 else "leave out --ipv4=false")
    if net.ipv6 and net.bridge.mtu and net.bridge.mtu < 1280:
        raise Invalid(f"invalid MTU number: {net.bridge.mtu}: IPv6 needs 1280 at least (RFC 8200)")
    for version in (4, 6):
        if sum(pool.subnet.version == version for pool in net.pools) > 1:
            raise Invalid("bridge driver doesn't support multiple subnets")
        if net.bridge.mode(version) is GatewayMode.ISOLATED and not net.internal:
            raise Invalid("gateway mode 'isolated' can only be used for an internal network", "add --internal")
    for pool in net.pools:
        routers = [name for name, _ in pool.aux if name.startswith("DefaultGatewayIPv")]
        if routers and net.internal:
            raise Invalid("no gateway can be set on an internal bridge network")
    return net


def complete(op: Operation, machine: Machine, net: Network) -> Network:
    """The network with all that must be chosen, and no other network in its way."""
    kind = machine.kind_of(net.bridge.name) if net.bridge.name else None
    recorded = op.store.thing(("link", "", net.link)) is not None
    for other in op.all(Network):
        if other.driver == "bridge" and other.id != net.id and other.link == net.link:
            raise Conflict(f"cannot create network {net.name} ({net.link}): conflicts with network {other.name} "
                           f"({other.link}): networks have same bridge name")
    if kind is not None and kind != "bridge" and not recorded:
        raise Conflict(f"existing interface {net.link} is not a bridge", "choose another com.docker.network.bridge.name")
    foreign = kind == "bridge" and not recorded
    net = allot.subnets(op, replace(net, foreign=foreign, opens=_opens(op, net)), machine.on_link())
    suits_nftables(op, net)
    return replace(net, kept=_kept(op, net)) if foreign else net


def _kept(op: Operation, net: Network) -> tuple[IPAddress, ...]:
    """The gateway addresses that a foreign bridge has already."""
    wanted = [Address(net.link, ip_on(pool.gateway, pool.subnet.prefixlen)) for pool in net.pools if pool.gateway is not None]
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


FORWARDS_NOT = {4: "IPv4 forwarding is disabled: check your host's firewalling and set sysctl net.ipv4.ip_forward=1",
                6: "IPv6 global forwarding is disabled: check your host's firewalling and set sysctls "
                   "net.ipv6.conf.all.forwarding=1 and net.ipv6.conf.default.forwarding=1"}


def suits_nftables(op: Operation, net: Network) -> None:
    """See whether a network can be with this host's back end, if that is nftables.

    The host must forward by itself then: plumb has no policy there to keep the rest of it closed (Docker's rule).

    Raises:
        Unsupported: it does not, or does so only because plumb made it, for iptables.
        Invalid: the bridge's name cannot be part of a chain's.
    """
    if op.settings.firewall_backend != "nftables" or net.driver != "bridge":
        return
    if "@" in net.link:
        raise Invalid(f"invalid bridge name {net.link}: nftables has chains of that name, and none with '@' in it")
    for version in (v for v, on in ((4, net.ipv4), (6, net.ipv6)) if on and op.settings.ip_forward):
        wanted = list(forwarding(version))
        was = [op.store.previous(asked.key) or now for asked, now in zip(wanted, op.kernel.look(wanted), strict=True)]
        if any(isinstance(each, Sysctl) and each.value == "0" for each in was):
            ours = op.store.thing(wanted[0].key) is not None
            raise Unsupported(f'{FORWARDS_NOT[version]}, or disable this check using "ip-forward": false',
                              "it is on only because plumb turned it on for the iptables back end, and goes off with that: first "
                              'set "ip-forward": false, then the sysctl by hand, then firewall-backend' if ours else "")


# -- remove ---------------------------------------------------------------


def remove(op: Operation, reference: str) -> Network:
    """Take a network away.

    Raises:
        Conflict: it is predefined, or a running container is on it.
        NotFound: there is none.
    """
    if reference in PREDEFINED:
        raise Conflict(f"{reference} is a pre-defined network and cannot be removed")
    net = op.the_network(reference)
    if net.predefined:
        raise Conflict(f"{net.name} is a pre-defined network and cannot be removed")
    ends = op.endpoints(network=net.id)
    if ends:
        names = [(box.name if (box := op.sandbox(end.sandbox)) else "?", end.id[:12]) for end in ends]
        active = ", ".join(f'name:"{name}" id:"{ident}"' for name, ident in names[:8])
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        raise Conflict(f"error while removing network: network {net.name} has active endpoints ({active}{more})",
                       "stop or disconnect them first")
    op.drop(net)
    return net


def prune(op: Operation, keep: Callable[[Network], bool] = lambda net: False) -> list[Network]:
    """Take away all networks that nobody is on, but the predefined ones and those to keep."""
    unused = [net for net in op.all(Network) if not net.predefined and not keep(net) and not op.endpoints(network=net.id)]
    for net in unused:
        op.drop(net)
    return unused


# -- the predefined ---------------------------------------------------------------


def ensure(op: Operation, machine: Machine) -> None:
    """What must be there before anything else: the predefined networks, as the settings say now.

    The default network is made anew when its settings have changed, as soon as no container is on it. Other settings
    (iptables, userland-proxy, …) change the things of all networks, which are all narrated again.
    """
    current = codec.dumps(op.settings)
    changed = op.store.meta("settings") != current
    if changed:
        op.remark("settings", current)
        op.touch(HOST_OWNER)
        for net in others(op.layout):
            if op.network(net.id) is None:
                op.put(replace(net, created=allot.now()))
    if op.store.meta("default") != current and _ensure_default(op, machine):
        op.remark("default", current)
    for net in op.all(Network) if changed else ():
        suits_nftables(op, net)
        op.touch(network_owner(net))
        for end in op.endpoints(network=net.id):
            op.touch(endpoint_owner(end))
            box = op.sandbox(end.sandbox)
            if box is not None:
                op.touch(sandbox_owner(box))
    for box in op.all(Sandbox) if changed else ():
        publish.publish(op, machine, box)


def _ensure_default(op: Operation, machine: Machine) -> bool:
    """Make the default network as the settings say; whether that could be done now."""
    wanted = default_network(op.settings, op.layout)
    there = op.network(wanted.id)
    if there is not None and op.endpoints(network=there.id):
        return False                          # Docker would have to restart; here it waits until nobody is on it
    if op.settings.bridge == "none":
        if there is not None:
            op.drop(there)
        return True
    if op.settings.bridge:
        wanted = _adopt_address(op, machine, wanted)
    if there is not None:
        if not wanted.pool(4) and (kept := there.pool(4)) and not kept.given:
            wanted = replace(wanted, pools=(*wanted.pools, Pool(kept.subnet, given=False)))
        op.drop(there)
        wanted = replace(wanted, created=there.created)
    op.put(complete(op, machine, check(replace(wanted, created=wanted.created or allot.now(), number=0))))
    return True


def _adopt_address(op: Operation, machine: Machine, net: Network) -> Network:
    """The setting `bridge` names a bridge of the administrator's; the address that it has is the gateway."""
    if machine.kind_of(op.settings.bridge) != "bridge":
        raise NotFound(f"bridge device with non default name {op.settings.bridge} must be created manually",
                       f"ip link add {op.settings.bridge} type bridge")
    own = machine.address_of(op.settings.bridge)
    if own is None:
        return net
    others4 = tuple(pool for pool in net.pools if pool.subnet.version != 4)
    return replace(net, pools=(*others4, Pool(own.network, op.settings.fixed_cidr, own.ip)))
