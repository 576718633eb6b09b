"""What must be known of the machine before anything is planned, besides the things that are on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface

from plumb.model.cnm import IPAddress, IPNetwork

Ports = tuple[int, int]


@dataclass(frozen=True)
class HostFacts:
    """Questions to the machine; the defaults answer for one that nobody else uses.

    Attributes:
        kind_of: the kind of a link, None where there is none of that name.
        address_of: a link's first IPv4 address.
        on_link: the networks that the machine itself is attached to.
        trial: the errno with which a port (protocol, address, port) cannot be bound, 0 if it can.
        holder: who has a port, as far as that can be seen: "nginx (pid 12)", or "".
        listens_v6: whether a program can listen on IPv6.
        ephemeral: the first and the last port that are given out where none was asked for, and
        those that are not.
        spare: a UDP and a TCP port that can be bound in a namespace; those that are named, if they
        can.
    """

    kind_of: Callable[[str], str | None] = lambda name: None
    address_of: Callable[[str], IPv4Interface | None] = lambda name: None
    on_link: Callable[[], Sequence[IPNetwork]] = lambda: ()
    trial: Callable[[str, IPAddress, int], int] = lambda protocol, ip, port: 0
    holder: Callable[[str, IPAddress, int], str] = lambda protocol, ip, port: ""
    listens_v6: Callable[[], bool] = lambda: True
    ephemeral: Callable[[], tuple[int, int, frozenset[int]]] = lambda: (32768, 60999, frozenset())
    spare: Callable[[str, Ports], Ports] = lambda ns, wanted: (
        wanted if all(wanted) else (61053, 61054)
    )


def this_machine() -> HostFacts:
    """The machine itself."""
    from plumb.kernel.net import host_links
    from plumb.kernel.ports import free_ports, host_ports

    return HostFacts(
        host_links.kind_of,
        host_links.address_of,
        host_links.on_link_networks,
        host_ports.trial,
        host_ports.holder_of,
        host_ports.listens_v6,
        host_ports.ephemeral,
        free_ports.ports,
    )
