"""The story: what taps and rules have seen, put into order, from values as they were recorded."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Ether

from plumb.model.observations import CapturedFrame, Flow, KernelDrop, Netns, RuleHit, RuleKind
from plumb.trace.assemble import tell
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing, Ending, Material, Rewritten, Routed, Story, TraceOutcome
from plumb.trace.rule_steps import RuleLine, RulesetListing

C1, HOST, LAN = Netns("c1", "/c1"), Netns("host", ""), Netns("lan", "/lan")
FLOW = Flow(4, "tcp", 20001, 8080)
SAVED = {
    "FORWARD": ("ACCEPT", ["-d 172.20.0.2/32 -j DROP"]),
    "PREROUTING": ("ACCEPT", ["-p tcp -j DNAT --to-destination 172.20.0.2:80"]),
}
BOOKS = {
    "host": RulesetListing(
        handles={("ip", "filter", "FORWARD"): [5], ("ip", "nat", "PREROUTING"): [7]},
        saved={("nft", "ip"): {"filter": SAVED, "nat": SAVED}},
    )
}


def packet(dst: str = "192.0.2.10", dport: int = 8080, ttl: int = 64, flags: str = "S") -> bytes:
    """The question, or with other flags the answer, as it is on the wire."""
    if flags == "S":
        return bytes(
            IP(src="192.0.2.1", dst=dst, ttl=ttl) / TCP(sport=20001, dport=dport, flags="S")
        )
    return bytes(IP(src=dst, dst="192.0.2.1", ttl=ttl) / TCP(sport=dport, dport=20001, flags=flags))


def seen(time: int, place: Netns, dev: str, inbound: bool, data: bytes) -> CapturedFrame:
    """A sighting."""
    return CapturedFrame(
        time,
        place,
        dev,
        inbound,
        bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02"))[:12] + b"\x08\x00" + data,
    )


WAY = (
    seen(1000, LAN, "port0", False, packet()),
    seen(3000, HOST, "eth0", True, packet()),
    seen(50000, HOST, "br1", False, packet("172.20.0.2", 80, 63)),
    seen(52000, HOST, "veth1", False, packet("172.20.0.2", 80, 63)),
    seen(53000, C1, "eth0", True, packet("172.20.0.2", 80, 63)),
)
DNAT = RuleHit(
    9,
    HOST,
    "nft",
    "ip",
    "nat",
    "PREROUTING",
    RuleKind.RULE,
    "accept",
    7,
    packet=packet(),
    indev="eth0",
    id=1,
)
DROP = RuleHit(
    9,
    HOST,
    "nft",
    "ip",
    "filter",
    "FORWARD",
    RuleKind.RULE,
    "drop",
    5,
    packet=packet("172.20.0.2", 80, 63),
    indev="eth0",
    id=1,
)


def told(
    *sightings: CapturedFrame,
    ruled: tuple[RuleHit, ...] = (),
    answered: bool = False,
    error: str = "",
    dropped: tuple[KernelDrop, ...] = (),
) -> Story:
    """The story of these."""
    route = Routed(HOST, "172.20.0.0/24 dev br1", "br1")
    return tell(
        Material(
            FLOW,
            LAN,
            C1,
            TraceOutcome(answered, error),
            sightings,
            ruled,
            dropped,
            BOOKS,
            {},
            {("host", Direction.THERE): route},
        )
    )


def outline(story: Story) -> list[str]:
    """The question's steps in a word each."""
    return [
        f"{step.place.name}:{step.dev}"
        if isinstance(step, Crossing)
        else step.where
        if isinstance(step, RuleLine)
        else step.what
        if isinstance(step, Rewritten)
        else "route"
        for step in story.ways[Direction.THERE]
    ]


def test_the_order_of_a_visit() -> None:
    """In by a link; what prerouting said, the rewriting, the route; out again."""
    story = told(*WAY, ruled=(DNAT,), answered=True)

    assert outline(story) == [
        "lan:port0",
        "host:eth0",
        "nat PREROUTING",
        "destination",
        "route",
        "host:br1",
        "host:veth1",
        "c1:eth0",
    ]
    assert story.end.ending is Ending.ANSWERED
    assert (story.begin, story.took) == (1000, 52000)


def test_sightings_come_in_any_order() -> None:
    """The kernel's stamps put them right."""
    assert outline(told(*reversed(WAY), answered=True)) == outline(told(*WAY, answered=True))


def test_what_is_sent_again_is_told_once() -> None:
    """A SYN is repeated after a second."""
    again = [
        CapturedFrame(each.time + 10**9, each.place, each.dev, each.inbound, each.frame)
        for each in WAY
    ]

    assert outline(told(*WAY, *again, answered=True)) == outline(told(*WAY, answered=True))


def test_a_rule_that_drops_is_the_end() -> None:
    """The packet is known as the rule saw it: rewritten already, though no tap has seen it so."""
    story = told(*WAY[:2], ruled=(DNAT, DROP))

    assert outline(story) == [
        "lan:port0",
        "host:eth0",
        "nat PREROUTING",
        "destination",
        "route",
        "filter FORWARD",
    ]
    assert (story.end.ending, story.end.place, str(story.end.packet and story.end.packet.dst)) == (
        Ending.DROPPED,
        HOST,
        "172.20.0.2",
    )


def test_lost_behind_the_last_link() -> None:
    """Where it was last seen; rewritten as the rule says, where nothing else has seen it since."""
    story = told(*WAY[:2], ruled=(DNAT,))

    assert (story.end.ending, story.end.dev, str(story.end.packet and story.end.packet.dst)) == (
        Ending.LOST,
        "eth0",
        "172.20.0.2",
    )


def test_the_kernels_reason() -> None:
    """It counts where it is known to be about this packet."""
    sure = KernelDrop(60000, "NEIGH_FAILED", "neigh_invalidate", sure=True)
    other = KernelDrop(60000, "NO_SOCKET", "tcp_v4_rcv")

    assert told(*WAY[:4], dropped=(other, sure)).end.error == "NEIGH_FAILED"
    assert told(*WAY[:4], dropped=(other,)).end.ending is Ending.LOST


def test_it_arrived_and_nothing_came_back() -> None:
    """That is another end than being lost."""
    assert told(*WAY).end.ending is Ending.SILENT


def test_a_reset_is_a_refusal() -> None:
    """By the place where it was first seen."""
    inside, outside = packet("172.20.0.2", 80, 64, "RA"), packet("192.0.2.10", 8080, 63, "RA")
    back = (
        seen(60000, C1, "eth0", False, inside),
        seen(61000, HOST, "veth1", True, inside),
        seen(70000, LAN, "port0", True, outside),
    )
    end = told(*WAY, *back, error="ECONNREFUSED").end

    assert (end.ending, end.place) == (Ending.REFUSED, C1)


def test_an_answer_can_be_lost_too() -> None:
    """It left the target, and did not come home."""
    end = told(*WAY, seen(60000, C1, "eth0", False, packet("172.20.0.2", 80, 64, "SA"))).end

    assert (end.ending, end.way, end.place) == (Ending.LOST, Direction.BACK, C1)


def test_an_error_turns_it_back() -> None:
    """An ICMP error of a router on the way."""
    error = bytes(IP(src="192.0.2.10", dst="192.0.2.1") / ICMP(type=3, code=1) / packet())
    end = told(*WAY[:2], seen(60000, HOST, "eth0", False, error)).end

    assert (end.ending, end.place, end.error) == (Ending.REJECTED, HOST, "host unreachable")


def test_nothing_was_sent() -> None:
    """The errno says why, if there is one."""
    end = told(error="ENETUNREACH").end

    assert (end.ending, end.place, end.error) == (Ending.UNSENT, LAN, "ENETUNREACH")


def test_a_flood_is_told_as_one() -> None:
    """A bridge that does not know a MAC address sends the frame out by all ports."""
    flood = [
        seen(52000 + i, HOST, f"veth{i}", False, packet("172.20.0.2", 80, 63)) for i in (2, 1, 3)
    ]
    material = Material(
        FLOW,
        LAN,
        C1,
        TraceOutcome(True),
        (*WAY[:3], *flood, WAY[4]),
        wires={("host", "veth1"): ("c1", "eth0")},
    )
    ports = [
        (each.dev, each.also) for each in tell(material).crossings() if each.dev.startswith("veth")
    ]

    assert ports == [("veth1", ("veth2", "veth3"))]
