"""Parents: the host's links that macvlan and ipvlan links stand on.

    -o parent=eth0       a link of the host: it is used as it is, and never changed or taken away
    -o parent=eth0.10    a VLAN on one: where it is not there, it is made with the network and goes
                         with the last one on it
    none                 a dummy of the network's own, which leads nowhere, so that its containers
                         reach only each other

On a trunk, a switch port that carries several VLANs, each frame has a tag with the number of its
VLAN (IEEE 802.1Q). What is sent through eth0.10 leaves eth0 with the tag 10, and what comes in on
eth0 with that tag appears on eth0.10 without it: each VLAN is a segment of its own, on one trunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from plumb.drivers.driver import HostView
from plumb.errors import Invalid, NotFound
from plumb.model.cnm import Network
from plumb.model.parse import link_name, whole
from plumb.things import Thing
from plumb.things.links import Dummy, Up, Vlan


def parent(net: Network) -> Iterator[Thing]:
    """The network's parent, where it is plumb that makes it."""
    if net.foreign:
        return
    if net.parent:
        below, _, number = net.parent.rpartition(".")
        yield Vlan(net.parent, below, int(number))
    else:
        yield Dummy(net.link)
    yield Up(net.link)


def parent_name(driver: str) -> Callable[[str], str]:
    """A parser of `-o parent=`; any link but loopback, whose packets never leave the host."""

    def parse(text: str) -> str:
        if text == "lo":
            raise Invalid(f"loopback interface is not a valid {driver} parent link")
        return link_name(text) if text else ""

    return parse


def beside(net: Network, host: HostView) -> list[Network]:
    """The networks of the same driver that are on a network's parent already."""
    return [
        other for other in host.networks() if other.driver == net.driver and other.link == net.link
    ]


def complete(net: Network, host: HostView) -> Network:
    """The network with its subnets chosen, its parent there or about to be made.

    Raises:
        Invalid, NotFound: there is no such parent; in Docker's words.
    """
    there = host.kind_of(net.link) is not None
    ours = isinstance(host.recorded(("link", "", net.link)), Vlan | Dummy)
    if net.parent and not there and not ours:
        _check_vlan(net.parent, host)
    return host.allot_subnets(replace(net, foreign=there and not ours))


def _check_vlan(name: str, host: HostView) -> None:
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
            "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10,"
            f" instead received {name}"
        )
    try:
        tag = whole(number)
    except ValueError:
        raise Invalid(
            f"unable to parse a valid vlan id from: {number} (ex. eth0.10 for vlan 10)"
        ) from None
    if host.kind_of(below) is None:
        raise NotFound(f"-o parent interface was not found on the host: {below}")
    if not 1 <= tag <= 4094:
        raise Invalid(f"vlan id must be between 1-4094, received: {tag}")


def check_join(net: Network, host: HostView) -> None:
    """Check that a network's parent is there still, for a container that is about to join.

    Raises:
        NotFound: somebody has taken it away.
    """
    if net.foreign and host.kind_of(net.link) is None:
        raise NotFound(
            f"the requested parent interface {net.link} was not found on the Docker host"
        )
