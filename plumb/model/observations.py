"""Records: one value for each sighting of a packet, whatever mechanism it came from."""

from __future__ import annotations

from enum import StrEnum

from plumb.frozen import frozen

HOST = "host"
"""The name of the host's own network namespace, as commands take it."""
HOST_LABEL = "(host)"
"""The host among containers' names, none of which has parentheses."""


@frozen
class Netns:
    """A network namespace.

    Attributes:
        name: what people call it: "host", a container's name, "lan".
        ns: its file; empty for the namespace that the calling thread is in.
    """

    name: str
    ns: str


@frozen
class CapturedFrame:
    """A frame at a tap.

    Attributes:
        time: nanoseconds since the epoch, the kernel's own stamp.
        place, dev: where.
        inbound: it came in by that link, rather than going out.
        frame: from the Ethernet header on; from the IP header on where the link has none.
        ethernet: whether there is an Ethernet header.
    """

    time: int
    place: Netns
    dev: str
    inbound: bool
    frame: bytes
    ethernet: bool = True


class RuleKind(StrEnum):
    """Part of a chain that decided: a rule, the return from a called chain, the policy."""

    RULE = "rule"
    RETURN = "return"  # the end of a chain that was jumped to
    POLICY = "policy"


@frozen
class RuleHit:
    """A step of a packet through the firewall.

    Attributes:
        time: nanoseconds since the epoch, when it was read.
        place: where.
        backend: "nft" (also for iptables of the nf_tables variant), or "legacy".
        family: "ip", "ip6", "inet" or "bridge"; table, chain: by name.
        kind: what decided; handle: an nft rule's, number: a legacy rule's, from 1; 0 where there is
        none.
        verdict: "accept", "drop", "continue", "jump NAME", "goto NAME", "return", "queue"; empty
        where it is not known.
        indev, outdev: the links that the packet came by and leaves by, as far as they are known
        there.
        packet: from the IP header on, empty where it is not told with every step.
        id: steps of one packet through one hook have the same; 0 for legacy.
    """

    time: int
    place: Netns
    backend: str
    family: str
    table: str
    chain: str
    kind: RuleKind
    verdict: str
    handle: int = 0
    number: int = 0
    indev: str = ""
    outdev: str = ""
    packet: bytes = b""
    id: int = 0


@frozen
class KernelDrop:
    """A packet that the kernel let go of before its time.

    Attributes:
        time: nanoseconds since the epoch.
        reason: the kernel's name for it: "NETFILTER_DROP", "NO_SOCKET"; "NOT_SPECIFIED" where it
        gives none.
        function: the kernel's function that did it, empty where it is not told.
        dev: the link that it came by, empty where it is not known.
        packet: from the IP header on, as far as it is known; empty where it is not.
        sure: it is known to be a packet of the flow, by its bytes or because the same buffer was
            seen at a tap; otherwise it was one of the same protocol at the same time, and may be
            somebody else's.
        place: where, as far as it is known.
    """

    time: int
    reason: str
    function: str
    dev: str = ""
    packet: bytes = b""
    sure: bool = False
    place: Netns | None = None


@frozen
class Flow:
    """Packets of one conversation, identified by what NAT leaves alone.

    Attributes:
        version: 4 or 6.
        protocol: "tcp", "udp", "sctp" or "icmp" (ICMPv6 as well).
        token: the client's port, or an echo's identifier: chosen so that nobody else has it.
        port: the port that was knocked at; 0 for icmp.
    """

    version: int
    protocol: str
    token: int
    port: int = 0
