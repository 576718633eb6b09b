"""Causes, from recorded values.

A lab's kernel cannot show some causes; others need missing evidence.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from plumb.model.cnm import Endpoint, Network, Pool, Sandbox
from plumb.model.driver_options import IpvlanFlag, IpvlanOptions, MacvlanMode, MacvlanOptions
from plumb.model.net.targets import Member, Published
from plumb.model.netns_state import (
    ConntrackEntry,
    ConnTuple,
    Facts,
    Link,
    Listener,
    Neighbour,
    NeighbourTable,
    RouteAnswer,
)
from plumb.model.netns_state import Port as BridgePort
from plumb.model.observations import Flow, Netns, RuleKind
from plumb.model.ports import Port
from plumb.trace.causes import by_neighbour, by_socket
from plumb.trace.causes.case import Case
from plumb.trace.causes.order import find, remarks
from plumb.trace.headers import Direction, Packet
from plumb.trace.path import Crossing, End, Ending, Story
from plumb.trace.rule_steps import RuleLine

C1, C2, HOST, LAN = Netns("c1", "/c1"), Netns("c2", "/c2"), Netns("host", ""), Netns("lan", "/lan")
IP1, IP2 = IPv4Address("172.20.0.2"), IPv4Address("172.20.0.3")
NET = Network(
    "1" * 64,
    "n1",
    "bridge",
    (Pool(IPv4Network("172.20.0.0/24"), gateway=IPv4Address("172.20.0.1")),),
)
END1 = Endpoint(
    "e1",
    NET.id,
    "s1",
    "veth1",
    "eth0",
    "02:00:00:00:00:01",
    IPv4Interface("172.20.0.2/24"),
    ports=(Port(53, "udp", IPv4Address("0.0.0.0"), 8053),),
)
END2 = Endpoint(
    "e2", NET.id, "s2", "veth2", "eth0", "02:00:00:00:00:02", IPv4Interface("172.20.0.3/24")
)
MEMBERS = (
    Member(Sandbox("s1", "c1"), C1, ((END1, NET),)),
    Member(Sandbox("s2", "c2"), C2, ((END2, NET),)),
)
BRIDGE = Link(HOST, 4, NET.link, "bridge")
VETHS = tuple(
    Link(HOST, index, name, "veth", master=4, peer=2, port=BridgePort())
    for index, name in ((5, "veth1"), (6, "veth2"))
)
GATEWAY = (NET.link, IPv4Interface("172.20.0.1/24"))
HOST_FACTS = Facts(HOST, (BRIDGE, *VETHS), (GATEWAY,))
INSIDE = {
    name: Facts(place, (Link(place, 2, "eth0", "veth"),), (("eth0", ip),))
    for name, place, ip in (
        ("c1", C1, IPv4Interface("172.20.0.2/24")),
        ("c2", C2, IPv4Interface("172.20.0.3/24")),
    )
}
SYN = Packet(4, "tcp", IP2, IP1, 20001, 80, "SYN", 64, 60)


def case(
    end: End,
    *steps: Crossing | RuleLine,
    facts: dict[str, Facts] | None = None,
    source: Netns = C2,
    **more: Any,
) -> Case:
    """Case of a packet from c2 to c1's port 80."""
    story = Story(
        Flow(4, "tcp", 20001, 80),
        source,
        C1,
        {Direction.THERE: steps, Direction.BACK: (), Direction.COMPLAINT: ()},
        end,
    )
    known = {"host": HOST_FACTS, **INSIDE, **(facts or {})}
    return Case(
        **{
            "story": story,
            "ip": IP1,
            "port": 80,
            "protocol": "tcp",
            "facts": known,
            "members": MEMBERS,
            "networks": (NET,),
            **more,
        }
    )


def dropped(text: str, **more: Any) -> Case:
    """Case of a packet that a rule dropped."""
    line = RuleLine(
        **{
            "place": HOST,
            "where": "filter FORWARD",
            "number": 3,
            "text": text,
            "why": "",
            "verdict": "drop",
            "hook": "forward",
            "family": "ip",
            "table": "filter",
            "chain": "FORWARD",
            **more,
        }
    )
    came = Crossing(HOST, NET.link, True, SYN, 0)
    return case(End(Ending.DROPPED, place=HOST, dev=NET.link, packet=SYN, line=line), came, line)


def lost(*steps: Crossing, **more: Any) -> Case:
    """Case of a packet that was lost, or arrived and got no reply."""
    last = steps[-1] if steps else None
    ending = Ending.UNSENT if last is None else Ending.SILENT if last.place == C1 else Ending.LOST
    at = End(
        ending,
        place=last.place if last else C2,
        dev=last.dev if last else "",
        inbound=bool(last and last.inbound),
        packet=last.packet if last else None,
    )
    return case(at, *steps, **more)


def test_a_rule_that_drops_invalid_packets() -> None:
    """Connection tracking knows no connection that they belong to."""
    found = find(dropped("-m conntrack --ctstate INVALID -j DROP"))

    assert found is not None
    assert (found.id, found.sure) == ("invalid", True)
    assert any("iptables -w -t filter -D FORWARD" in remedy for remedy in found.remedies)


RAW = {"hook": "prerouting", "chain": "PREROUTING", "table": "raw"}


@pytest.mark.parametrize(
    ("text", "more", "means"),
    [
        ("-d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8081 -j DROP", RAW, "loopback-port"),
        ("-d 172.17.0.2/32 ! -i docker0 -j DROP", RAW, "other-network"),
        ("! -i docker0 -o docker0 -j DROP", {"chain": "DOCKER"}, "unpublished"),
        ("-i br-0 -o br-1 -j DROP", {"chain": "DOCKER-ISOLATION-STAGE-2"}, "internal"),
        ("policy DROP", {"kind": RuleKind.POLICY}, "forward-policy"),
        ("policy DROP", {"kind": RuleKind.POLICY, "hook": "postrouting"}, "policy"),
        (
            "ct state invalid counter drop",
            {"native": True, "table": "fw", "chain": "guard", "family": "inet"},
            "invalid",
        ),
    ],
)
def test_drop_rules_of_a_real_docker_are_known(
    text: str, more: dict[str, object], means: str
) -> None:
    """plumb knows them by text and chain, without a record."""
    found = find(dropped(text, **more))

    assert found is not None
    assert found.id == means
    assert found.evidence


def test_a_veth_pair_that_is_gone() -> None:
    """The host has no link of the endpoint's name."""
    found = find(lost(facts={"host": replace(HOST_FACTS, links=(BRIDGE, VETHS[1]))}))

    assert found is not None
    assert (found.id, found.remedies) == ("no-link", ("plumb repair",))
    assert found.says == "c1's veth pair to n1 is gone"


def test_a_bridge_that_is_gone() -> None:
    """The host has no link of the bridge's name."""
    found = find(
        lost(
            facts={
                "host": replace(HOST_FACTS, links=tuple(replace(each, master=0) for each in VETHS))
            },
            members=MEMBERS[1:],
        )
    )

    assert found is not None
    assert found.id == "no-bridge"


def between_neighbours(net: Network) -> Case:
    """Case of a packet that c2 sent to c1 on a network of that kind."""
    members = tuple(replace(each, ends=((each.ends[0][0], net),)) for each in MEMBERS)
    return lost(Crossing(C2, "eth0", False, SYN, 0), members=members, networks=(net,))


MACVLAN_VEPA = replace(
    NET, driver="macvlan", macvlan=MacvlanOptions(parent="eth0", mode=MacvlanMode.VEPA)
)
IPVLAN_PRIVATE = replace(
    NET, driver="ipvlan", ipvlan=IpvlanOptions(parent="eth0", flag=IpvlanFlag.PRIVATE)
)


def test_a_switch_that_does_not_send_back() -> None:
    """vepa needs a switch outside with a reflective relay, which plumb cannot see."""
    found = find(between_neighbours(MACVLAN_VEPA))

    assert found is not None
    assert (found.id, found.sure) == ("vepa", False)


@pytest.mark.parametrize(
    ("net", "evidence", "remedy"),
    [
        (MACVLAN_VEPA, "n1: -o macvlan_mode=vepa", "the network with -o macvlan_mode=bridge"),
        (IPVLAN_PRIVATE, "n1: -o ipvlan_flag=private", "the network with -o ipvlan_flag=bridge"),
    ],
)
def test_the_option_that_lets_links_reach_each_other(
    net: Network, evidence: str, remedy: str
) -> None:
    """It is the mode of macvlan, and the flag of ipvlan."""
    found = find(between_neighbours(net))

    assert found is not None
    assert found.evidence == (evidence,)
    assert remedy in found.remedies


def test_an_answer_that_would_leave_elsewhere() -> None:
    """A container on two networks answers by its gateway: only probable, without a frame."""
    arrived = Crossing(C1, "eth0", True, replace(SYN, src=IPv4Address("192.0.2.1")), 0)
    facts = replace(
        INSIDE["c1"],
        there=RouteAnswer(IP1, "local", "lo"),
        back=RouteAnswer(arrived.packet.src, "unicast", "eth1", net="default"),
    )
    found = find(lost(arrived, facts={"c1": facts}, source=LAN))

    assert found is not None
    assert (found.id, found.sure) == ("reply-elsewhere", False)


def test_a_neighbour_that_does_not_answer() -> None:
    """No running container has the address."""
    gone = IPv4Address("172.20.0.99")
    facts = replace(
        INSIDE["c2"],
        there=RouteAnswer(gone, "unicast", "eth0"),
        neighbours=(Neighbour("eth0", gone, "", "FAILED"),),
    )
    found = find(lost(ip=gone, facts={"c2": facts}))

    assert found is not None
    assert found.id == "target-gone"


ROUTER = IPv4Address("172.20.0.1")


@pytest.mark.parametrize("state", ["INCOMPLETE", "FAILED"])
def test_a_gateway_is_not_called_gone(state: str) -> None:
    """It is no container's address; while the kernel still asks for it, nothing is sure."""
    outside = IPv4Address("198.51.100.1")
    facts = replace(
        INSIDE["c2"],
        there=RouteAnswer(outside, "unicast", "eth0", via=ROUTER, net="default"),
        neighbours=(Neighbour("eth0", ROUTER, "", state),),
    )
    host = replace(HOST_FACTS, addresses=(("br1", IPv4Interface("172.20.0.1/24")),))
    asked = lost(ip=outside, facts={"c2": facts, "host": host})
    found = find(asked)

    assert found is not None
    assert (found.id, found.sure) == ("no-neighbour", state == "FAILED")
    assert (by_neighbour.undecided(asked) is not None) == (state == "INCOMPLETE")


def test_a_wrong_route_is_found_when_the_host_has_given_up_on_the_neighbour() -> None:
    """After three seconds the host sends an error about its own packet, over lo."""
    own = IPv4Address("172.20.0.1")
    asked = replace(SYN, src=own)
    error = Packet(4, "icmp", own, own, kind="host unreachable", about=asked)
    facts = replace(
        HOST_FACTS,
        there=RouteAnswer(IP1, "unicast", "br9", net="172.20.0.0/25"),
        back=RouteAnswer(own, "local", "lo"),
        neighbours=(Neighbour("br9", IP1, "", "FAILED"),),
    )
    end = End(Ending.REJECTED, Direction.BACK, HOST, "lo", False, error, error=error.kind)
    found = find(case(end, source=HOST, facts={"host": facts}))

    assert found is not None
    assert (found.id, found.remedies[0]) == ("other-route", "ip route del 172.20.0.0/25 dev br9")


@pytest.mark.parametrize("gone", ["172.20.0.99", "172.20.0.2"], ids=["nobody's", "a container's"])
def test_a_neighbour_that_the_kernel_has_forgotten(gone: str) -> None:
    """Where there are many entries it drops those that failed; its ICMP error has said so."""
    own, ip = IPv4Address("172.20.0.1"), IPv4Address(gone)
    asked = replace(SYN, src=own, dst=ip)
    error = Packet(4, "icmp", own, own, kind="host unreachable", about=asked)
    facts = replace(
        HOST_FACTS,
        there=RouteAnswer(ip, "unicast", "br1"),
        back=RouteAnswer(own, "local", "lo"),
        neighbours=(),
    )
    end = End(Ending.REJECTED, Direction.BACK, HOST, "lo", False, error, error=error.kind)
    found = by_neighbour.no_neighbour(case(end, source=HOST, facts={"host": facts}, ip=ip))

    assert (found and found.id) == (None if ip == IP1 else "target-gone")


def test_an_address_that_no_container_has_is_not_waited_for() -> None:
    """The kernel still asks for it, and plumb has looked it up."""
    gone = IPv4Address("172.20.0.99")
    facts = replace(
        INSIDE["c2"],
        there=RouteAnswer(gone, "unicast", "eth0"),
        neighbours=(Neighbour("eth0", gone, "", "INCOMPLETE"),),
    )
    asked = lost(ip=gone, facts={"c2": facts})
    found = find(asked)

    assert found is not None
    assert (found.id, found.sure) == ("target-gone", True)
    assert by_neighbour.undecided(asked) is None


def unasked(fulls: int, *known: Neighbour) -> Case:
    """Case of a packet of c2's that was not sent, while the kernel refused so many neighbours."""
    facts = replace(
        INSIDE["c2"], there=RouteAnswer(IP1, "unicast", "eth0"), neighbours=tuple(known)
    )
    table = NeighbourTable("/proc/1/net/stat/arp_cache", 1024, fulls, 1024)
    return lost(facts={"c2": facts}, neighbour_table=table)


def test_the_neighbour_table_of_all_namespaces_is_full() -> None:
    """The kernel counted a refusal, and has no entry for the next hop: both were read."""
    found = find(unasked(3))

    assert found is not None
    assert (found.id, found.sure) == ("neighbour-table-full", True)
    assert any("table_fulls rose by 3, 1024 entries" in each for each in found.evidence)
    assert any("no entry for 172.20.0.2 dev eth0" in each for each in found.evidence)


def test_a_full_neighbour_table_does_not_explain_every_loss() -> None:
    """Somebody else was refused, or the next hop has its entry."""
    known = Neighbour("eth0", IP1, "02:00:00:00:00:01", "REACHABLE")
    causes = [find(unasked(0)), find(unasked(3, known))]

    assert all(cause is None or cause.id != "neighbour-table-full" for cause in causes)


def test_nothing_is_claimed_without_evidence() -> None:
    """A case without contradictions has no cause."""
    assert (
        find(lost(Crossing(C2, "eth0", False, SYN, 0), Crossing(HOST, "veth2", True, SYN, 1)))
        is None
    )
    assert (
        find(case(End(Ending.DROPPED, place=HOST, error="SKB_DROP", function="somewhere")))
        is not None
    )
    assert find(case(End(Ending.ANSWERED))) is None


def test_listeners_explain_a_refusal() -> None:
    """A namespace with a fitting listener that refuses has another cause."""

    def refused(*listeners: Listener) -> str:
        packet = replace(SYN, src=IP1, dst=IP2, sport=80, dport=20001, kind="RST ACK")
        inside = {"c1": replace(INSIDE["c1"], listeners=listeners)}
        found = find(
            case(End(Ending.REFUSED, Direction.BACK, C1, "eth0", False, packet), facts=inside)
        )
        return found.id if found else ""

    everywhere, loopback = IPv4Address("0.0.0.0"), IPv4Address("127.0.0.1")
    assert refused() == "nobody-listens"
    assert refused(Listener("tcp", everywhere, 81)) == "nobody-listens"
    assert refused(Listener("tcp", loopback, 80)) == "listens-on-loopback"
    assert refused(Listener("tcp", IPv4Address("10.0.0.1"), 80)) == "listens-elsewhere"
    assert refused(Listener("tcp", everywhere, 80)) == ""


@pytest.mark.parametrize(
    ("who", "port", "expected"),
    [
        ("dockerd, pid 7", 8080, True),
        ("dockerd, pid 7", 2377, False),
        ("conmon, pid 8", 2377, True),
        ("nginx, pid 9", 8080, False),
    ],
)
def test_dockerd_serves_what_no_container_publishes(who: str, port: int, expected: bool) -> None:
    """Its API, a swarm's managers and gossip; it only holds a published port without a proxy."""
    ip = IPv4Address("192.0.2.10")
    ends = replace(END1, ports=(Port(80, "tcp", IPv4Address("0.0.0.0"), 8080),))
    asked = replace(SYN, dst=ip, dport=port)
    host = replace(HOST_FACTS, listeners=(Listener("tcp", IPv4Address("0.0.0.0"), port, who=who),))
    answered = case(
        End(Ending.ANSWERED),
        Crossing(HOST, "eth0", True, asked, 0),
        facts={"host": host},
        members=(replace(MEMBERS[0], ends=((ends, NET),)),),
    )
    assert (by_socket.holder(answered) is not None) == expected


def test_older_clients_of_a_port_are_remarked_on() -> None:
    """Connection tracking leads them to the port's former container."""
    way = ConnTuple(IPv4Address("192.0.2.1"), IPv4Address("192.0.2.10"), 7777, 8053)
    old, new = (
        ConntrackEntry("udp", way, ConnTuple(ip, way.src, 53, 7777))
        for ip in (IPv4Address("172.20.0.9"), IP1)
    )
    port = Published(END1.ports[0], MEMBERS[0], END1, NET)

    def noted(*entries: ConntrackEntry) -> tuple[str, ...]:
        facts = {"host": replace(HOST_FACTS, tracked=entries)}
        return remarks(
            case(End(Ending.ANSWERED), facts=facts, published=port, protocol="udp", port=8053)
        )

    assert noted(new) == ()
    assert len(noted(old, new)) == 1
    assert "172.20.0.9" in noted(old)[0]


@pytest.mark.parametrize(
    ("neighbours", "route"),
    [
        ((IP2,), "dev eth0"),
        ((IP2, IPv4Address("172.20.0.9")), "via 172.20.0.9 dev eth0"),
        ((), "dev eth0"),
    ],
)
def test_a_strict_rp_filters_route_leads_over_no_source_of_the_packet(
    neighbours: tuple[IPv4Address, ...], route: str
) -> None:
    """The neighbour with the frame's MAC is the router, unless that is the packet's own source."""
    mac = "02:00:00:00:00:99"
    known = tuple(Neighbour("eth0", ip, mac, "REACHABLE") for ip in neighbours)
    inside = replace(
        INSIDE["c1"],
        neighbours=known,
        settings={"net/ipv4/conf/eth0/rp_filter": "1"},
        there=RouteAnswer(IP1, error="EXDEV"),
    )
    came = Crossing(C1, "eth0", True, replace(SYN, mac=(mac, END1.mac)), 1)
    found = find(lost(came, facts={"c1": inside}))
    assert found is not None
    assert found.id == "rp-filter"
    assert found.remedies[0].endswith(f"ip route replace {IP2} {route}")
