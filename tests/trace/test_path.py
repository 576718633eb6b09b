"""Path: captured frames and rule hits, assembled into a story, from recorded values."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Ether

from plumb.model.observations import CapturedFrame, Flow, KernelDrop, Netns, RuleHit, RuleKind
from plumb.trace.assemble import assemble
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing, Ending, Material, Rewritten, Routed, Story, TraceOutcome
from plumb.trace.rule_steps import NO_RECORD, RuleLine, RulesetListing

C1, HOST, LAN = Netns("c1", "/c1"), Netns("host", ""), Netns("lan", "/lan")
FLOW = Flow(4, "tcp", 20001, 8080)
SAVED = {
    "FORWARD": ("ACCEPT", ["-d 172.20.0.2/32 -j DROP"]),
    "PREROUTING": ("ACCEPT", ["-p tcp -j DNAT --to-destination 172.20.0.2:80"]),
}
LISTINGS = {
    "host": RulesetListing(
        handles={("ip", "filter", "FORWARD"): [5], ("ip", "nat", "PREROUTING"): [7]},
        saved={("nft", "ip"): {"filter": SAVED, "nat": SAVED}},
    )
}


def packet(dst: str = "192.0.2.10", dport: int = 8080, ttl: int = 64, flags: str = "S") -> bytes:
    """Probe packet, or with other flags its reply, as bytes."""
    if flags == "S":
        return bytes(
            IP(src="192.0.2.1", dst=dst, ttl=ttl) / TCP(sport=20001, dport=dport, flags="S")
        )
    return bytes(IP(src=dst, dst="192.0.2.1", ttl=ttl) / TCP(sport=dport, dport=20001, flags=flags))


def captured(time: int, place: Netns, dev: str, inbound: bool, data: bytes) -> CapturedFrame:
    """Captured frame with an Ethernet header."""
    return CapturedFrame(
        time,
        place,
        dev,
        inbound,
        bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02"))[:12] + b"\x08\x00" + data,
    )


WAY = (
    captured(1000, LAN, "port0", False, packet()),
    captured(3000, HOST, "eth0", True, packet()),
    captured(50000, HOST, "br1", False, packet("172.20.0.2", 80, 63)),
    captured(52000, HOST, "veth1", False, packet("172.20.0.2", 80, 63)),
    captured(53000, C1, "eth0", True, packet("172.20.0.2", 80, 63)),
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


def story_of(
    *sightings: CapturedFrame,
    ruled: tuple[RuleHit, ...] = (),
    answered: bool = False,
    error: str = "",
    dropped: tuple[KernelDrop, ...] = (),
) -> Story:
    """Story of these frames and rule hits."""
    route = Routed(HOST, "172.20.0.0/24 dev br1", "br1")
    return assemble(
        Material(
            FLOW,
            LAN,
            C1,
            TraceOutcome(answered, error),
            sightings,
            ruled,
            dropped,
            LISTINGS,
            NO_RECORD,
            {("host", Direction.THERE): route},
        )
    )


def outline(story: Story) -> list[str]:
    """Steps of the probe packet, in a word each."""
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
    """Crossing in, rules of prerouting, rewritten address, route, crossing out."""
    story = story_of(*WAY, ruled=(DNAT,), answered=True)

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


def test_frames_come_in_any_order() -> None:
    """The kernel's timestamps order them."""
    assert outline(story_of(*reversed(WAY), answered=True)) == outline(
        story_of(*WAY, answered=True)
    )


def test_a_retransmission_is_left_out() -> None:
    """The kernel sends a SYN again after a second."""
    again = [
        CapturedFrame(each.time + 10**9, each.place, each.dev, each.inbound, each.frame)
        for each in WAY
    ]

    assert outline(story_of(*WAY, *again, answered=True)) == outline(story_of(*WAY, answered=True))


def test_a_rule_that_drops_is_the_end() -> None:
    """The packet has the addresses of the rule hit: rewritten, before any crossing shows it."""
    story = story_of(*WAY[:2], ruled=(DNAT, DROP))

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
    """The end has the last crossing, and the rewritten address from the rule's text."""
    story = story_of(*WAY[:2], ruled=(DNAT,))

    assert (story.end.ending, story.end.dev, str(story.end.packet and story.end.packet.dst)) == (
        Ending.LOST,
        "eth0",
        "172.20.0.2",
    )


def test_the_kernels_reason() -> None:
    """It counts if it is known to be about this packet."""
    sure = KernelDrop(60000, "NEIGH_FAILED", "neigh_invalidate", sure=True)
    other = KernelDrop(60000, "NO_SOCKET", "tcp_v4_rcv")

    assert story_of(*WAY[:4], dropped=(other, sure)).end.error == "NEIGH_FAILED"
    assert story_of(*WAY[:4], dropped=(other,)).end.ending is Ending.LOST


def test_it_arrived_and_nothing_came_back() -> None:
    """That is another end than a lost packet's."""
    assert story_of(*WAY).end.ending is Ending.SILENT


def test_a_reset_is_a_refusal() -> None:
    """The namespace of its first crossing refused."""
    inside, outside = packet("172.20.0.2", 80, 64, "RA"), packet("192.0.2.10", 8080, 63, "RA")
    back = (
        captured(60000, C1, "eth0", False, inside),
        captured(61000, HOST, "veth1", True, inside),
        captured(70000, LAN, "port0", True, outside),
    )
    end = story_of(*WAY, *back, error="ECONNREFUSED").end

    assert (end.ending, end.place) == (Ending.REFUSED, C1)


def test_an_answer_can_be_lost_too() -> None:
    """It left the target, and did not reach the client."""
    end = story_of(*WAY, captured(60000, C1, "eth0", False, packet("172.20.0.2", 80, 64, "SA"))).end

    assert (end.ending, end.way, end.place) == (Ending.LOST, Direction.BACK, C1)


def test_an_icmp_error_rejects_it() -> None:
    """A router on the path sent an ICMP error."""
    error = bytes(IP(src="192.0.2.10", dst="192.0.2.1") / ICMP(type=3, code=1) / packet())
    end = story_of(*WAY[:2], captured(60000, HOST, "eth0", False, error)).end

    assert (end.ending, end.place, end.error) == (Ending.REJECTED, HOST, "host unreachable")


def test_nothing_was_sent() -> None:
    """The end has the errno of the socket."""
    end = story_of(error="ENETUNREACH").end

    assert (end.ending, end.place, end.error) == (Ending.UNSENT, LAN, "ENETUNREACH")


def test_a_flood_is_one_crossing() -> None:
    """A bridge without a forwarding entry sends the frame out by all ports."""
    flood = [
        captured(52000 + i, HOST, f"veth{i}", False, packet("172.20.0.2", 80, 63))
        for i in (2, 1, 3)
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
        (each.dev, each.also)
        for each in assemble(material).crossings()
        if each.dev.startswith("veth")
    ]

    assert ports == [("veth1", ("veth2", "veth3"))]
