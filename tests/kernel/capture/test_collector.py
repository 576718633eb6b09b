"""A trace of the firewall.

Each rule that a packet meets is told, whichever tool wrote it, and nobody's rules are touched for
it.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from plumb.kernel.capture import nftrace, packet_taps
from plumb.kernel.capture.collector import Collector, Records
from plumb.kernel.capture.flow_filter import Asked
from plumb.kernel.netlink.codec import attribute, attribute_be32, nest
from plumb.kernel.netlink.nfnetlink import NfMessage
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFNL_SUBSYS_NFTABLES,
    NFT_MSG_TRACE,
    NFTA_TRACE_CHAIN,
    NFTA_TRACE_TABLE,
    NFTA_TRACE_TYPE,
    NFTA_TRACE_VERDICT,
    NFTA_VERDICT_CODE,
)
from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from plumb.model.observations import Flow, Netns, RuleHit, RuleKind
from tests.kernel.capture.router_lab import (
    BOX,
    HOST,
    PORT,
    PUBLISHED,
    TARGET,
    TOOL,
    Crossroads,
    base_chain,
    flow,
    way,
)
from tests.labs import sh, within

FIREWALLS = ["nft", "legacy", "native"]
NATIVE = """
table inet shop {
    chain pre { type nat hook prerouting priority -100; jump ports
    }
    chain ports { tcp dport 9999 drop
        iifname "eth0" meta nfproto ipv4 tcp dport 8080 dnat ip to 10.77.0.2:80
        iifname "eth0" meta nfproto ipv6 tcp dport 8080 dnat ip6 to [fd77::2]:80
    }
    chain replies { ct state established,related accept
    }
    chain wall { type filter hook forward priority 0; policy drop; jump replies; tcp dport 80 accept
    }
}
"""


def furnish(firewall: str, version: int) -> None:
    """A published port, and a wall with a chain that is jumped to, in the calling thread's
    namespace."""
    if firewall == "native":
        sh(f"nft -f - <<'END'\n{NATIVE}\nEND")
        return
    tool = f"{TOOL[version]}-{firewall}"
    sh(f"""{tool} -t nat -N PORTS; {tool} -t nat -A PREROUTING -j PORTS
        {tool} -t nat -A PORTS -p tcp --dport 9999 -j RETURN
        {tool} -t nat -A PORTS -p tcp --dport 8080 -j DNAT --to-destination {TARGET[version]}
        {tool} -N REPLIES; {tool} -A FORWARD -j REPLIES
        {tool} -A FORWARD -p tcp --dport 80 -j ACCEPT; {tool} -P FORWARD DROP
        {tool} -A REPLIES -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT""")


def told(records: Records) -> list[tuple[str, str, str]]:
    """Table, chain and kind of the steps of the question, which are those before the first step of
    the answer."""
    question: list[tuple[str, str, str]] = []
    for step in records.ruled:
        if question and step.indev == "br0":
            break
        question.append((step.table, step.chain, str(step.kind)))
    return question


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("firewall", FIREWALLS)
def test_every_rule_that_a_packet_meets_is_told(
    crossroads: Crossroads, firewall: str, version: int
) -> None:
    """Jumps, ends of chains, the rule that decides; and the taps show what was rewritten."""
    furnish(firewall, version)
    with crossroads.listening():
        records = crossroads.traced(flow(version, port=PUBLISHED), HOST[version])
    iptables, native = (
        ("nat", "PREROUTING", "PORTS", "filter", "FORWARD", "REPLIES"),
        ("shop", "pre", "ports", "shop", "wall", "replies"),
    )
    nat, pre, ports, table, forward, replies = native if firewall == "native" else iptables
    steps = [
        (nat, pre, "rule"),
        (nat, ports, "rule"),
        (table, forward, "rule"),
        (table, replies, "return"),
        (table, forward, "rule"),
    ]
    assert told(records)[:5] == steps
    assert {step.backend for step in records.ruled} == {"legacy" if firewall == "legacy" else "nft"}
    assert {step.place for step in records.ruled} == {crossroads.host}
    arrived = next(each for each in records.frames if each.place == crossroads.box)
    assert struct.pack(">H", PORT) == arrived.frame[36:38] if version == 4 else arrived.frame[56:58]


def test_a_jump_names_its_chain_and_a_rule_its_handle(crossroads: Crossroads) -> None:
    """As nft lists them, with `nft -a list ruleset`."""
    furnish("native", 4)
    with crossroads.listening():
        records = crossroads.traced(flow(port=PUBLISHED), HOST[4])
    listed = sh("nft -a list chain inet shop wall")
    jump, accept = (
        next(step for step in records.ruled if (step.chain, step.verdict) == ("wall", verdict))
        for verdict in ("jump replies", "accept")
    )
    assert f"jump replies # handle {jump.handle}" in listed
    assert f"tcp dport 80 accept # handle {accept.handle}" in listed
    assert (jump.indev, jump.outdev, jump.id) == ("eth0", "br0", accept.id)
    assert jump.packet[16:20] == socket.inet_aton(BOX[4])


def test_a_legacy_rule_is_told_by_its_number_and_packet(crossroads: Crossroads) -> None:
    """As `iptables -L --line-numbers` counts them."""
    furnish("legacy", 4)
    with crossroads.listening():
        records = crossroads.traced(flow(port=PUBLISHED), HOST[4])
    dnat, accept = (
        next(step for step in records.ruled if step.chain == chain and step.number == 2)
        for chain in ("PORTS", "FORWARD")
    )
    assert (dnat.indev, dnat.outdev) == ("eth0", "")
    assert dnat.packet[16:20] == socket.inet_aton(HOST[4])
    assert (accept.indev, accept.outdev) == ("eth0", "br0")
    assert accept.packet[16:20] == socket.inet_aton(BOX[4])


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("firewall", FIREWALLS)
def test_a_policy_that_drops_is_the_last_word(
    crossroads: Crossroads, firewall: str, version: int
) -> None:
    """A packet that no rule wants ends in the chain's policy, and is seen to leave nowhere."""
    furnish(firewall, version)
    records = crossroads.traced(flow(version, port=81))
    last = records.ruled[-1]
    assert (last.kind, last.chain) == (
        RuleKind.POLICY,
        "wall" if firewall == "native" else "FORWARD",
    )
    assert last.verdict == ("" if firewall == "legacy" else "drop")
    assert set(way(records.frames)) == {"lan:port0>", ">host:eth0"}


def test_a_legacy_rule_without_a_condition_is_told_as_if_it_were_the_end(
    crossroads: Crossroads,
) -> None:
    """The kernel takes a plain `-j ACCEPT` for the chain's policy.

    Its number is not behind the last rule, though.
    """
    sh(
        "iptables-legacy -A FORWARD -p udp -j DROP; iptables-legacy -A FORWARD -j ACCEPT; "
        "iptables-legacy -A FORWARD -p tcp -j DROP"
    )
    step = crossroads.traced(flow()).ruled[0]
    assert (step.chain, step.kind, step.number) == ("FORWARD", RuleKind.POLICY, 2)


def test_two_firewalls_are_told_in_the_order_in_which_they_are_asked(
    crossroads: Crossroads,
) -> None:
    """The legacy tables accept, then a chain of nftables drops.

    An accept is never the last word.
    """
    sh(
        "iptables-legacy -A FORWARD -p tcp -j ACCEPT; "
        f"{base_chain('ip', 'other', 'late', 'forward', priority=10, policy='drop')}"
    )
    records = crossroads.traced(flow())
    mine = [(step.backend, step.chain, step.kind) for step in records.ruled]
    assert mine.index(("legacy", "FORWARD", RuleKind.RULE)) < mine.index(
        ("nft", "late", RuleKind.POLICY)
    )


def test_a_packet_of_the_places_own_is_told(crossroads: Crossroads) -> None:
    """What is sent from here meets the output hook, not prerouting."""
    within(crossroads.lan.ns, base_chain("ip", "out", "mine", "output", "tcp dport 80 drop"))
    records = crossroads.traced(flow())
    first = records.ruled[0]
    assert (first.place, first.chain, first.verdict, first.outdev) == (
        crossroads.lan,
        "mine",
        "drop",
        "port0",
    )


@pytest.mark.parametrize("version", [4, 6])
def test_an_error_about_a_packet_is_told_as_well(crossroads: Crossroads, version: int) -> None:
    """ICMP that quotes the flow is the flow's: a rule that drops it is found."""
    icmp = (
        "icmp type destination-unreachable"
        if version == 4
        else "icmpv6 type destination-unreachable"
    )
    within(crossroads.lan.ns, base_chain("inet", "in", "mine", "input", f"{icmp} drop"))
    records = crossroads.traced(flow(version, protocol="udp", port=9))
    assert ("in", "mine", "drop") in [
        (step.table, step.chain, step.verdict) for step in records.ruled
    ]


@pytest.mark.parametrize("version", [4, 6])
def test_an_echo_is_known_by_its_identifier(crossroads: Crossroads, version: int) -> None:
    """There and back."""
    sh(base_chain("inet", "way", "mine", "forward"))
    mine = Flow(version, "icmp", 4711)
    with crossroads.collector(mine) as trace:
        within(crossroads.lan.ns, f"ping -c 1 -W 10 -e 4711 {BOX[version]}")
        records = trace.collect(0.02)
    assert [step.kind for step in records.ruled if step.table == "way"] == [
        RuleKind.POLICY,
        RuleKind.POLICY,
    ]
    assert way(records.frames)[:2] == ["lan:port0>", ">host:eth0"]


def test_what_a_bridge_asks_is_told_where_it_is_wanted(crossroads: Crossroads) -> None:
    """Rules of the family bridge, for frames that pass from port to port."""
    sh(base_chain("bridge", "fence", "mine", "forward", "tcp dport 80 drop"))
    sh("ip link set eth0 master br0; sysctl -qw net.bridge.bridge-nf-call-iptables=0")
    within(crossroads.lan.ns, "ip route del 10.77.0.0/24; ip addr add 10.77.0.3/24 dev port0")
    mine = flow()
    assert "bridge" not in {step.family for step in crossroads.traced(flow()).ruled}
    records = crossroads.traced(mine, bridges=[crossroads.host])
    assert ("bridge", "fence", "drop") in [
        (step.family, step.table, step.verdict) for step in records.ruled
    ]


def test_what_a_vxlan_carries_is_told(crossroads: Crossroads) -> None:
    """The outer packet is the flow's when the inner one is."""
    sh(base_chain("ip", "way", "mine", "forward"))
    inner = struct.pack(
        ">BBHHHBBH4s4sHHQQ",
        0x45,
        0,
        40,
        1,
        0,
        64,
        6,
        0,
        b"\x0a\0\0\1",
        b"\x0a\0\0\2",
        23456,
        80,
        0,
        0,
    )
    frame = struct.pack(">II12xH", 0x08000000, 256 << 8, 0x0800) + inner
    with crossroads.collector(Flow(4, "tcp", 23456, 80), asked=Asked(vxlan=(4789,))) as trace:
        with entered(crossroads.lan.ns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tunnel:
            tunnel.sendto(frame, (BOX[4], 4789))
        records = trace.collect(0.02)
    assert [step.table for step in records.ruled] == ["way"]


@pytest.mark.alone
def test_collecting_ends_as_soon_as_there_is_enough(crossroads: Crossroads) -> None:
    """And what was said before the last packet that was seen is there by then."""
    furnish("native", 4)
    mine = flow(port=PUBLISHED)
    with crossroads.listening(), crossroads.collector(mine) as trace:
        crossroads.knock(mine, HOST[4])
        before = time.monotonic()
        records = trace.collect(5.0, lambda records: way(records.frames)[-1:] != [])
        assert time.monotonic() - before < 1.0
        assert trace.missing == []
        assert trace.lost() == 0
    assert "accept" in {step.verdict for step in records.ruled}


@pytest.mark.parametrize(
    ("kind", "handle", "code"), [(2, 0, -5), (3, 0, -1)], ids=["Linux 6.1", "Linux 6.18"]
)
def test_the_end_of_a_chain_is_a_return_on_every_kernel(kind: int, handle: int, code: int) -> None:
    """Older kernels say return; newer ones a rule that has no handle, and goes on."""
    body = (
        attribute(NFTA_TRACE_TABLE, "shop")
        + attribute(NFTA_TRACE_CHAIN, "replies")
        + attribute_be32(NFTA_TRACE_TYPE, kind)
        + nest(NFTA_TRACE_VERDICT, attribute(NFTA_VERDICT_CODE, struct.pack(">i", code)))
    )
    step = nftrace.decoded(
        NfMessage(NFNL_SUBSYS_NFTABLES, NFT_MSG_TRACE, 1, body), 1, Netns("host", ""), str
    )
    assert step == RuleHit(
        1, Netns("host", ""), "nft", "inet", "shop", "replies", RuleKind.RETURN, "return"
    )


def test_a_process_that_listens_already_is_left_alone(crossroads: Crossroads) -> None:
    """Where another tool has the log's group, the legacy tables are not told, which is said.

    All else is.
    """
    furnish("legacy", 4)
    with crossroads.collector(flow()), crossroads.collector(flow()) as second:
        assert len(second.missing) == 1
        assert "legacy" in second.missing[0]


def test_a_namespace_of_somebody_elses_process_will_do(crossroads: Crossroads) -> None:
    """A place is any namespace file, as /proc/PID/ns/net."""
    with entered(crossroads.box.ns):
        pid = os.fork()
        if pid == 0:
            select.select([], [], [], 30)
            os._exit(0)
    try:
        mine = flow()
        with Collector(
            [Netns("its", f"/proc/{pid}/ns/net")], mine, memory=crossroads.memory
        ) as trace:
            crossroads.knock(mine)
            assert way(trace.collect(0.02).frames) == [">its:eth0", "its:eth0>"]
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@pytest.mark.alone
def test_it_costs_little(crossroads: Crossroads, tmp_path: Path) -> None:
    """Arming and disarming in twelve namespaces takes some 10 ms.

    No more, in any case, than to start two dozen programs.
    """
    programs = least(lambda: sh("true"))
    with ExitStack() as stack:
        places = list(crossroads.places)
        for number in range(9):
            places.append(Netns(f"more{number}", f"{tmp_path}/{number}"))
            namespaces.make(places[-1].ns)
            stack.callback(namespaces.drop, places[-1].ns)
        assert (
            least(lambda: Collector(places, flow(), memory=crossroads.memory).close())
            < 24 * programs
        )


def least(act: Callable[[], object]) -> float:
    """The seconds that something takes when nothing comes between."""

    def once() -> float:
        before = time.perf_counter()
        act()
        return time.perf_counter() - before

    return min(once() for _ in range(7))


def test_the_kernel_stamps_packets_before_the_first_one_comes(crossroads: Crossroads) -> None:
    """Sockets that ask for stamps get them a little later.

    That is waited for, so that the first packet is in its place as well.
    """
    for _ in range(5):
        mine = flow()
        with crossroads.collector(mine) as trace:
            crossroads.knock(mine)
            seen = [
                each for each in trace.collect(0.01).frames if belongs_to_question(each.frame, mine)
            ]
        assert way(tuple(seen))[:5] == [
            "lan:port0>",
            ">host:eth0",
            "host:br0>",
            "host:v1>",
            ">box:eth0",
        ]
        assert packet_taps.settle([crossroads.host])


def belongs_to_question(frame: bytes, mine: Flow) -> bool:
    """Whether a frame of IPv4 and TCP comes from the client."""
    return int.from_bytes(frame[34:36], "big") == mine.token
