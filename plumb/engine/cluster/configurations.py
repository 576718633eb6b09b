"""Configurations of networks, and networks that take one over (moby's `network create`).

A configuration is a network that nobody can join: subnets, addresses and driver options under a
name. Another one, made with `--config-from`, takes them over. With `--scope swarm` the cluster has
only the other one's name and driver, and each node builds it from its own configuration of that
name; so on each host a macvlan network can have the host's own parent, and addresses that no other
host gives out.
"""

from __future__ import annotations

from plumb.drivers import driver_of
from plumb.engine import allocate
from plumb.engine.operation import Operation
from plumb.errors import Conflict, Invalid, NotFound
from plumb.frozen import replace
from plumb.model.cnm import Network, Sandbox

NO_DRIVER = "null"
"""Driver that a configuration is shown with; whoever takes it over has a real one."""
OPERATOR_FIELDS = (
    "configuration network can only contain network specific fields. Network operator fields like "
    "[ ingress | internal | attachable | scope ] are not supported."
)
EACH_NODES_OWN = "addresses of a network that each node builds for itself are the node's own"


def check(net: Network, *, scope: str, ingress: bool = False) -> None:
    """Refuse what does not go with a configuration, or beside one that is taken over.

    Args:
        net: as asked for.
        scope: as asked for, empty where it was not; ingress: asked for as the ingress network.

    Raises:
        Invalid: in Docker's words.
    """
    if net.config_only:
        if net.config_from:
            raise Invalid("a configuration network cannot depend on another configuration network")
        if ingress or net.internal or net.attachable or scope:
            raise Invalid(OPERATOR_FIELDS)
    elif net.config_from:
        if net.pools or not net.ipv4 or net.ipv6 or net.labels:
            raise Invalid(
                "user-specified configurations are not supported if the network depends on a "
                "configuration network",
                "give subnets, families and labels to the configuration",
            )
        if net.options:
            raise Invalid(
                "network driver options are not supported if the network depends on a "
                "configuration network",
                "give them to the configuration",
            )
    elif net.swarm and net.pools:
        raise Invalid(
            f"{EACH_NODES_OWN}: --subnet cannot be given with --scope swarm and driver "
            f"{net.driver}",
            "on each node 'plumb network create --config-only --subnet … NAME', then here "
            "--config-from NAME",
        )


def applied(op: Operation, net: Network) -> Network:
    """A network with the configuration that it takes over; itself where it takes none.

    Raises:
        NotFound: this host has no such configuration.
        Invalid: an option of the configuration is none of the network's driver.
    """
    if not net.config_from:
        return net
    found = op.named(Network, net.config_from)
    if found is None or not found.config_only:
        raise NotFound(
            f'configuration network "{net.config_from}" does not exist',
            f"'plumb network create --config-only … {net.config_from}' makes it, on this host",
        )
    return replace(
        net,
        pools=found.pools,
        ipv4=found.ipv4,
        ipv6=found.ipv6,
        options=found.options,
        labels=found.labels,
        **driver_of(net).network_fields(dict(found.options)),
    )


def check_unused(op: Operation, net: Network) -> None:
    """Refuse to remove a configuration that a network of this host has taken over.

    Raises:
        Conflict: one has.
    """
    users = [other.name for other in op.all(Network) if other.config_from == net.name]
    if net.config_only and users:
        raise Conflict(
            f'configuration network "{net.name}" is in use', f"by network {', '.join(users[:8])}"
        )


# -- a node's own part of a network of the cluster ------------------------------------


def part(op: Operation, net: Network) -> Network:
    """A network as this host has it; one that each node builds for itself is built if need be.

    Args:
        net: of this host, or as the cluster has it.

    Raises:
        NotFound, Conflict, Invalid, Exhausted: it cannot be built here.
        KernelRefused: no manager answers, so that the network may be gone.
    """
    if not net.swarm or op.network(net.id) is not None:
        return op.network(net.id) or net
    check_name(op, net)
    made = replace(applied(op, net), number=op.number(Network))
    made = driver_of(made).complete(made, allocate.OperationHost(op))
    op.reservations.part(net.id)
    op.put(made)
    return made


def check_name(op: Operation, net: Network) -> None:
    """Refuse to build a network of the cluster where this host has another one of its name.

    Raises:
        Conflict: it has. One of the two names has to go, and only the user knows which.
    """
    other = op.named(Network, net.name)
    if other is not None and other.id != net.id:
        raise taken(net.name)


def taken(name: str) -> Conflict:
    """Refusal of a network of the cluster whose name one of this host has."""
    return Conflict(
        f"network with name {name} already exists on this host, "
        f"which cannot build the cluster's network {name}",
        f"'plumb network rm {name}' here, once its containers are on another",
    )


def check_join(net: Network, *, task: bool) -> None:
    """Refuse a container a place on a network that is not for containers.

    Args:
        task: the container is a service's.

    Raises:
        Invalid: it is a configuration, or the cluster's and for services alone.
    """
    if net.config_only:
        raise Invalid(
            "cannot create endpoint on configuration-only network",
            f"'plumb network create --config-from {net.name} …' makes a network of it",
        )
    if net.swarm and not net.attachable and not task:
        raise Invalid(
            f"Could not attach to network {net.name}: rpc error: code = PermissionDenied "
            f"desc = network {net.name} not manually attachable",
            "networks made with --attachable take containers; others are for services",
        )


def left(op: Operation, net: Network) -> None:
    """Take this host's part of such a network away, once nobody needs it.

    A container that is stopped does: it starts again without a manager, as after each end of its
    command. One of a task does not: the leader makes another.
    """
    if net.swarm and not op.endpoints(network=net.id) and not _awaited(op, net):
        op.drop(net)
        op.reservations.let_go(net.id)


def end_part(op: Operation, net: Network) -> None:
    """Take the part away that stopped containers have kept of a network that is gone."""
    if net.swarm and not op.endpoints(network=net.id):
        op.drop(net)


def _awaited(op: Operation, net: Network) -> bool:
    return any(box.task is None and box.attachment(net) for box in op.all(Sandbox))


def forgotten(op: Operation, box: Sandbox) -> None:
    """Take the parts away that a container needed which is removed."""
    for wish in box.attachments:
        net = op.network(wish.network) or op.named(Network, wish.network)
        if net is not None:
            left(op, net)
