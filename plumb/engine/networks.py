"""Networks in the intent: create, rm, prune, and the predefined ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from plumb.drivers import DRIVERS, OTHER_NAMES, driver_of
from plumb.drivers.driver import Driver
from plumb.drivers.options import asked
from plumb.engine import allocate, port_publishing
from plumb.engine.cluster import configurations
from plumb.engine.cluster.access import ADVICE, NOT_A_MANAGER
from plumb.engine.desired_state import (
    HOST_OWNER,
    endpoint_owner,
    network_owner,
    sandbox_owner,
    service_owner,
)
from plumb.engine.operation import Operation
from plumb.engine.predefined import DEFAULT_DRIVER, default_network, on_bridge, others
from plumb.errors import Conflict, Invalid, KernelRefused, NotFound, PlumbError, Unsupported
from plumb.frozen import replace
from plumb.model.cluster import NodeRole
from plumb.model.cnm import PREDEFINED, Attachment, Network, Pool, Sandbox
from plumb.model.net.gateways import GATEWAY_NETWORK, check_gateway_network, lacks_gateway
from plumb.model.parse import BRIDGE, network_name
from plumb.store import codec

WORKER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
    "Please run this command on a manager node or promote the current node to a manager."
)


def known(op: Operation, reference: str) -> Network:
    """Return a network of this host, or else of the cluster, by id, name or prefix.

    Raises:
        NotFound: no network matches.
    """
    there = op.find(Network, reference) or op.cluster.network(reference)
    return there or op.the_network(reference)


# -- create ---------------------------------------------------------------


def create(
    op: Operation,
    name: str,
    *,
    driver: str = DEFAULT_DRIVER,
    pools: Sequence[Pool] = (),
    ipv4: bool | None = None,
    ipv6: bool | None = None,
    internal: bool = False,
    attachable: bool = False,
    ingress: bool = False,
    scope: str = "",
    config_only: bool = False,
    config_from: str = "",
    options: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Network:
    """Create a network.

    Args:
        name: its name, unique.
        pools: the requested subnets; for a family without one, plumb chooses one from the default
            pools.
        ipv4, ipv6: the families; None: as the options say, else IPv4 only.
        ingress: whether it is the network by which ports are published on every node.
        scope: "local" or "swarm"; empty: the driver's own. A network of scope swarm whose driver
            spans no hosts is built by each node for itself.
        config_only: whether it is a configuration for others; config_from: the name of the one
            that it takes over.
        options: the driver's options, Docker's labels.

    Raises:
        Invalid, Conflict, Exhausted: with Docker's words where it has some.
    """
    network_name(name)
    if name in PREDEFINED or name == "default":
        raise Conflict(f"operation is not permitted on predefined {name} network")
    driver = configurations.NO_DRIVER if config_only else driver or DEFAULT_DRIVER
    kind = DRIVERS[driver] if config_only else _driver(driver)
    swarm = _scope(kind, scope) and not config_only
    if swarm:
        require_manager(op)
    if op.named(Network, name) is not None or _known_in_cluster(op, name):
        raise Conflict(f"network with name {name} already exists")
    net = asked(
        replace(op.settings, default_network_opts=()) if config_from else op.settings,
        name,
        driver=driver,
        pools=pools,
        ipv4=ipv4,
        ipv6=ipv6,
        internal=internal,
        attachable=attachable,
        options=options,
        labels=labels,
    )
    net = replace(
        net,
        id=op.system.new_id(),
        **({} if config_only else kind.network_fields(dict(net.options))),
        config_only=config_only,
        config_from=config_from,
        swarm=swarm and not kind.multi_host,
        created=op.system.now(),
        number=op.number(Network),
    )
    for pool in pools:
        if not (net.ipv4 if pool.subnet.version == 4 else net.ipv6):
            raise Invalid(
                f"subnet {pool.subnet} is given, but IPv{pool.subnet.version} is off",
                "add --ipv6" if pool.subnet.version == 6 else "leave out --ipv4=false",
            )
    configurations.check(net, scope=scope, ingress=ingress)
    if ingress:
        net = _ingress(net)
    if config_only:
        op.put(net)
        return net
    if net.swarm:
        return op.reservations.create(net)  # each node builds it, with its first container there
    net = configurations.applied(op, net)
    net = kind.complete(net, allocate.OperationHost(op))
    if kind.multi_host:
        return op.reservations.create(net)  # it comes to a host with its first container there
    op.put(net)
    return net


def _scope(kind: Driver, asked: str) -> bool:
    """Tell whether a network of a driver is to be the cluster's.

    Raises:
        Invalid: its scope cannot be the one that was asked for.
    """
    if asked not in ("", "local", "swarm"):
        raise Invalid(f"invalid scope '{asked}'", "it can be local or swarm")
    if kind.multi_host and asked == "local":
        raise Invalid(f"cannot downgrade network scope for {kind.name} networks")
    return kind.multi_host or asked == "swarm"


def _ingress(net: Network) -> Network:
    """The network as the one for published ports.

    Raises:
        Invalid: it is of this host alone.
    """
    if not net.multi_host:
        raise Invalid(
            f"network driver '{net.driver}' cannot be used for an ingress network", "add -d overlay"
        )
    return replace(net, overlay=replace(net.overlay, ingress=True))


def _known_in_cluster(op: Operation, name: str) -> bool:
    """Look for a name in the cluster.

    A cluster that does not answer keeps nobody from making a network of this host, as in Docker,
    nor holds it up; one of its own it refuses itself.
    """
    with suppress(PlumbError):
        return op.cluster.connected() and op.cluster.network(name) is not None
    return False


def require_manager(op: Operation) -> None:
    """Refuse, in Docker's words, on a host that is no manager of a cluster.

    Raises:
        Unsupported: it is a worker, or in no cluster.
    """
    node = op.cluster.node()
    if node is None:
        raise Unsupported(NOT_A_MANAGER, ADVICE)
    if node.role is not NodeRole.MANAGER:
        raise Unsupported(WORKER)


def _driver(name: str) -> Driver:
    """Return the driver for a user-defined network."""
    found = DRIVERS.get(OTHER_NAMES.get(name, name))
    if found is None:
        *free, last = sorted(DRIVERS, key=lambda known: DRIVERS[known].only_predefined)
        raise NotFound(f'plugin "{name}" not found', f"drivers are {', '.join(free)} and {last}")
    if found.only_predefined:
        raise Conflict(f'only one instance of "{name}" network is allowed')
    return found


# -- remove ---------------------------------------------------------------


def remove(op: Operation, reference: str) -> Network:
    """Remove a network.

    Raises:
        Conflict: the network is predefined, or a running container is on it, on any host.
        NotFound: no network matches.
        Unsupported: it is the cluster's, and this host is no manager.
    """
    if reference in PREDEFINED:
        raise Conflict(f"{reference} is a pre-defined network and cannot be removed")
    net = known(op, reference)
    if net.predefined:
        raise Conflict(f"{net.name} is a pre-defined network and cannot be removed")
    ends = op.endpoints(network=net.id)
    by_hand = [end for end in ends if (box := op.sandbox(end.sandbox)) and box.task is None]
    if net.multi_host or (net.swarm and not by_hand):
        require_manager(op)
        _remove_from_cluster(op, net)
        return net
    configurations.check_unused(op, net)
    if ends:
        names = [
            (box.name if (box := op.sandbox(end.sandbox)) else "?", end.id[:12]) for end in ends
        ]
        active = ", ".join(f'name:"{name}" id:"{ident}"' for name, ident in names[:8])
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        raise Conflict(
            f"error while removing network: network {net.name} has active endpoints"
            f" ({active}{more})",
            "stop or disconnect them first",
        )
    op.drop(net)
    return net


def _remove_from_cluster(op: Operation, net: Network) -> None:
    """Remove a network of the cluster, and the part that stopped containers have kept here.

    The cluster has removed it when this operation fails after that, so a container that leaves it
    must have done so by an operation before.

    Raises:
        Conflict: somebody is on it, on any host, or leaves it by this operation.
    """
    ends = op.store.endpoints(network=net.id) if net.swarm else ()
    if any(op.endpoint(end.id) is None for end in ends):
        raise Conflict(
            f"network {net.id} is in use on this host until this operation has ended",
            "remove the network by one of its own",
        )
    op.cluster.remove_network(net.id)
    if op.network(net.id) is not None:
        configurations.end_part(op, net)


def prune(
    op: Operation, keep: Callable[[Network], bool], unseen: Callable[[PlumbError], None]
) -> list[Network]:
    """Remove the networks without endpoints, except the predefined ones and those to keep.

    Args:
        unseen: takes the error of a cluster that does not answer; its networks stay.
    """
    unused = [
        net
        for net in op.all(Network)
        if not net.predefined
        and not net.of_cluster
        and not net.config_only
        and not keep(net)
        and not op.endpoints(network=net.id)
    ]
    for net in unused:
        op.drop(net)
    removed: list[Network] = []
    try:
        _prune_in_cluster(op, keep, removed)
    except KernelRefused as error:
        unseen(error)
    return [*unused, *removed]


def _prune_in_cluster(
    op: Operation, keep: Callable[[Network], bool], removed: list[Network]
) -> None:
    """Remove the cluster's networks that nobody is on; a manager finds out by trying."""
    node = op.cluster.node()
    for net in op.cluster.networks() if node and node.role is NodeRole.MANAGER else ():
        if not (net.overlay.ingress or keep(net) or op.endpoints(network=net.id)):
            with suppress(Conflict):
                _remove_from_cluster(op, net)
                removed.append(net)


# -- the gateway network ---------------------------------------------------------------


def way_out(op: Operation, box: Sandbox) -> None:
    """Add an endpoint on GATEWAY_NETWORK to a running container that has no gateway else.

    It goes as soon as another network provides one. The network stays, as in Docker.
    """
    ends = [pair for pair in op.ends(box) if box.attachment(pair[1]) is not None]
    there = [end for end, net in op.ends(box) if box.attachment(net) is None]
    if not lacks_gateway(ends):
        for end in there:
            op.drop(end)
    elif not there:
        net = op.named(Network, GATEWAY_NETWORK) or _gateway_network(op)
        check_gateway_network(net)
        used = {end.ifname for end, _ in ends}
        op.put(allocate.endpoint(op, net, box, Attachment(net.id), used))


def _gateway_network(op: Operation) -> Network:
    options = {
        BRIDGE + "name": GATEWAY_NETWORK,
        BRIDGE + "enable_icc": "false",
        BRIDGE + "enable_ip_masquerade": "true",
    }
    return create(op, GATEWAY_NETWORK, options=options)


# -- the predefined ---------------------------------------------------------------


def ensure(op: Operation) -> None:
    """Create the predefined networks, and apply changed settings.

    plumb rebuilds the default network when its settings have changed, as soon as no container is
    on it. Other settings (iptables, userland-proxy, …) change the things of all networks, so plumb
    narrates all of them again.
    """
    current = codec.dumps(op.settings)
    changed = op.store.meta("settings") != current
    if changed:
        op.remark("settings", current)
        op.touch(HOST_OWNER)
        for net in others(op.layout):
            if op.network(net.id) is None:
                op.put(replace(net, created=op.system.now()))
    if op.store.meta("default") != current and _ensure_default(op):
        op.remark("default", current)
    host = allocate.OperationHost(op)
    for net in op.all(Network) if changed else ():
        driver_of(net).check_settings(net, host)
        op.touch(network_owner(net))
        for service in op.services(net.id):
            op.touch(service_owner(service))
        for end in op.endpoints(network=net.id):
            op.touch(endpoint_owner(end))
            box = op.sandbox(end.sandbox)
            if box is not None:
                op.touch(sandbox_owner(box))
    for box in op.all(Sandbox) if changed else ():
        port_publishing.publish(op, box)


def _ensure_default(op: Operation) -> bool:
    """Build the default network from the settings; False if a container is still on it."""
    wanted = default_network(op.settings, op.layout)
    there = op.network(wanted.id)
    if there is not None and op.endpoints(network=there.id):
        return False  # dockerd needs a restart; plumb waits until it is unused
    if op.settings.bridge == "none":
        if there is not None:
            op.drop(there)
        return True
    if op.settings.bridge:
        wanted = _adopt_addresses(op, wanted)
    if there is not None:
        if not wanted.pool(4) and (kept := there.pool(4)) and not kept.given:
            wanted = replace(wanted, pools=(*wanted.pools, Pool(kept.subnet, given=False)))
        op.drop(there)
        wanted = replace(wanted, created=there.created)
    wanted = replace(wanted, created=wanted.created or op.system.now(), number=0)
    op.put(driver_of(wanted).complete(wanted, allocate.OperationHost(op)))
    return True


def _adopt_addresses(op: Operation, net: Network) -> Network:
    """Take the gateways from the addresses of the bridge that the setting `bridge` names.

    The administrator created that bridge.
    """
    if op.system.kind_of(op.settings.bridge) != "bridge":
        raise NotFound(
            f"bridge device with non default name {op.settings.bridge} must be created manually",
            f"ip link add {op.settings.bridge} type bridge",
        )
    return on_bridge(net, op.settings, partial(op.system.addresses_of, op.settings.bridge))
