"""macvlan and ipvlan networks in the intent: their parents, and who may share one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from plumb.engine import allocate
from plumb.engine.host_facts import HostFacts
from plumb.engine.operation import Operation
from plumb.errors import Conflict, Invalid, NotFound
from plumb.model.cnm import Network
from plumb.model.driver_options import MacvlanMode
from plumb.model.parse import whole
from plumb.things.links import Dummy, Vlan

KindOf = Callable[[str], str | None]


def complete(op: Operation, machine: HostFacts, net: Network) -> Network:
    """The network with all that must be chosen, its parent there or about to be made.

    Raises:
        Invalid, NotFound, Conflict: there is no such parent, or it is not to be shared; in Docker's
        words.
    """
    for other in op.all(Network):
        if other.driver == net.driver and other.link == net.link:
            SHARED[net.driver](net, other)
    there = machine.kind_of(net.link) is not None
    ours = isinstance(op.store.thing(("link", "", net.link)), Vlan | Dummy)
    if net.parent and not there and not ours:
        check_vlan(net.parent, machine.kind_of)
    return allocate.subnets(op, replace(net, foreign=there and not ours), machine.on_link())


def _shared_macvlan(net: Network, other: Network) -> None:
    """A parent may have many macvlan networks, as long as none of them takes all of it."""
    if net.macvlan.mode is MacvlanMode.PASSTHRU:
        raise Conflict(
            f"cannot use mode passthru, macvlan network {other.id} is already using parent interface {net.parent}"
        )
    if other.macvlan.mode is MacvlanMode.PASSTHRU:
        raise Conflict(
            f"macvlan network {other.id} is already using parent interface {net.parent} in mode passthru"
        )


def _shared_ipvlan(net: Network, other: Network) -> None:
    """Mode and flag are the parent's."""
    raise Conflict(
        f"network di-{other.id[:12]} is already using parent interface {net.parent}",
        f"it is the network {other.name}",
    )


SHARED: dict[str, Callable[[Network, Network], None]] = {
    "macvlan": _shared_macvlan,
    "ipvlan": _shared_ipvlan,
}


def check_vlan(name: str, kind_of: KindOf) -> None:
    """See whether a link of that name can be made, as a VLAN on another.

    Raises:
        Invalid: it is not written like eth0.10, or the VLAN's number is none.
        NotFound: the link that it would be on is not there.
    """
    below, dot, number = name.rpartition(".")
    if not dot:
        raise Invalid(
            f"invalid subinterface vlan name {name}, example formatting is eth0.10",
            f"there is no link {name}",
        )
    if "." in below:
        raise Invalid(
            f"required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received {name}"
        )
    try:
        tag = whole(number)
    except ValueError:
        raise Invalid(
            f"unable to parse a valid vlan id from: {number} (ex. eth0.10 for vlan 10)"
        ) from None
    if kind_of(below) is None:
        raise NotFound(f"-o parent interface was not found on the host: {below}")
    if not 1 <= tag <= 4094:
        raise Invalid(f"vlan id must be between 1-4094, received: {tag}")


def check_parent(net: Network, machine: HostFacts) -> None:
    """See that a network's parent is there still, for a container that is about to join.

    Raises:
        NotFound: somebody has taken it away.
    """
    if net.driver in SHARED and net.foreign and machine.kind_of(net.link) is None:
        raise NotFound(
            f"the requested parent interface {net.link} was not found on the Docker host"
        )
