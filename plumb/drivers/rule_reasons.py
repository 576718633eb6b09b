"""Reasons of the firewall's rules: why each exists, in a sentence, whatever back end spells it.

A rule carries its reason, as views and traces show it. A real Docker writes the same rules and
keeps no reasons; so traces explain those by the same sentences.
"""

from __future__ import annotations

from plumb.model.cnm import Endpoint, Linked, Network
from plumb.model.ports import Port
from plumb.things.host_ports import at

USERS_RULES_FIRST = "the administrator's own rules come first"
ESTABLISHED = "answers to connections that were let through pass"
INTO_CONTAINERS = "towards containers: only what is published"
REPLIES = "replies come back"
UNPUBLISHED = "from outside, only published ports lead in"
UNPROTECTED = "unprotected: whoever can route here reaches every port"
ICMP_OF_ROUTED = "a routed network answers pings and reports errors, as hosts do"
ACCEPTED_MARK = "packets with this mark were let in by the administrator"
OUTGOING = "containers may send anywhere"
NO_ICC = "containers do not reach each other (icc=false)"
LOCAL_SOURCE = "what this host sends through a published port must not come from 127.0.0.1"
FROM_OUTSIDE = "from outside to an address of this host: it may be a published port"
FROM_THIS_HOST = "the same for what this host sends to itself; 127.0.0.1 is the user-land proxy's"
NO_DIRECT_ROUTING = (
    "containers are reached through published ports, not by routing to their addresses"
)
HAIRPIN = "a container that reaches itself through its published port must see the host, not itself"


def masquerade(subnet: str) -> str:
    """The reason why packets of a subnet leave with another source."""
    return f"the world does not know {subnet}: packets leave with this host's address"


def between_containers(net: Network) -> str:
    """The reason why containers of a network are let through to each other, or not."""
    verb = "reach" if net.bridge.icc else "do not reach"
    return f"containers of {net.name} {verb} each other"


def internal_egress(net: Network) -> str:
    """The reason why an internal network's packets are dropped on their way out."""
    return f"nothing leaves the internal network {net.name}"


def internal_ingress(net: Network) -> str:
    """The reason why packets into an internal network are dropped."""
    return f"nothing enters the internal network {net.name}"


def published_filter(port: Port) -> str:
    """The reason why a published port is let through."""
    return f"{port.port}/{port.protocol} is published"


def published_nat(net: Network, end: Endpoint, port: Port) -> str:
    """The reason why the destination of a published port is rewritten."""
    outside, inside = at(port.host_ip, port.host_port), at(end.target(port), port.port)
    return f"published: {outside}/{port.protocol} is {net.name}'s {inside}"


def linked(other: Linked) -> str:
    """The reason why a container is let through to another on the same bridge."""
    return f"a link: exposed ports of {other.names.split()[-1]} are open to this one alone"


def loopback_only(port: Port) -> str:
    """The reason why a port on the loopback address is closed to other hosts."""
    return (
        f"{at(port.host_ip, port.host_port)} is this host's alone, whatever a neighbour routes here"
    )
