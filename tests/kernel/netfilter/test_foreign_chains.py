"""Other firewalls on the host: what they drop is found, said, and told apart from what passes.

A shop on a dual-stack network named br-shop, with the internet behind the host's LAN. What is said
of each foreign ruleset is held against what happens: pings of a container that come back, or do
not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from ipaddress import ip_network

import pytest

from plumb import Host
from plumb.engine.foreign.firewalls import dropped_ports, own_rules
from plumb.kernel.netfilter import backends, foreign_chains
from plumb.kernel.netns import namespaces
from plumb.model.foreign_firewall import ForeignFirewall, Traffic, TrafficKind
from tests import REPOSITORY, labs
from tests.host.trial_hosts import tried
from tests.labs import INTERNET, INTERNET6, Lab, sh
from tests.waiting import until

SUBNETS = {4: ip_network("10.9.0.0/24"), 6: ip_network("2001:db8:9::/64")}
TARGETS = {4: INTERNET, 6: INTERNET6}
UPLINKS = frozenset({"eth0"})
VARIANTS = ("nf_tables", "legacy")
FORWARDED = (TrafficKind.OUT, TrafficKind.BACK, TrafficKind.IN)
UNPRIVILEGED = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
OTHER = {"nf_tables": "legacy", "legacy": "nft"}


def build(host: Host) -> None:
    """The shop, open."""
    host.create_network(
        "shop",
        subnet=[str(subnet) for subnet in SUBNETS.values()],
        ipv6=True,
        options={"com.docker.network.bridge.name": "br-shop"},
    )
    host.run("web", network="shop")


def passes(lab: Lab, host: Host, version: int = 4) -> bool:
    """Whether a ping of web's to the internet comes back."""
    return "1 received" in lab.inside(
        host, "web", f"ping -q -c1 -W0.3 {TARGETS[version]}", check=False
    )


def arrives(lab: Lab, host: Host, version: int = 4) -> None:
    """Wait until a ping of web's to the internet comes back."""
    until(lambda: passes(lab, host, version), "the ping comes back")


def stopped(
    walls: Sequence[ForeignFirewall],
    version: int = 4,
    ways: Sequence[TrafficKind] = (TrafficKind.OUT, TrafficKind.BACK),
) -> bool:
    """Whether a wall drops what a ping needs."""
    return any(
        wall.concerns(version) and wall.stops(Traffic(way, "br-shop", SUBNETS[version], UPLINKS))
        for wall in walls
        for way in ways
    )


def guard(rules: str, policy: str = "drop", hook: str = "forward", before: str = "") -> None:
    """Put in a table of somebody's with one base chain; rules are parted by semicolons."""
    text = "\n".join(rules.split("; "))
    rest = "\n".join(before.split("; "))
    nft = (
        f"table inet guard {{\n{rest}\nchain wall {{\n"
        f"type filter hook {hook} priority 10; policy {policy};\n{text}\n}}\n}}"
    )
    sh(f"nft -f - <<'END'\n{nft}\nEND")


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[Lab, Host]]:
    """The shop, for all that leave it as it was."""
    with labs.lab(lan=True) as lab, lab.host() as host:
        build(host)
        yield lab, host


@pytest.fixture(autouse=True)
def own_variant() -> Iterator[None]:
    """Which iptables is written is chosen anew for each test."""
    backends.writer.cache_clear()
    yield
    backends.writer.cache_clear()


ONE = 'chain one {; oifname "eth0" accept; iifname "eth0" accept; }'
RULESETS = {
    "nothing is let pass": "",
    "all is": "accept",
    "one way only": 'iifname "br-shop" accept',
    "the other way only": 'oifname "br-shop" accept',
    "both ways": 'iifname "br-shop" accept; oifname "br-shop" accept',
    "out, and answers": 'ct state established,related accept; iifname "br-shop" accept',
    "answers only": "ct state established,related accept",
    "answers from a set": 'ct state { established, related } accept; iif "br-shop" accept',
    "answers from a map": (
        "ct state vmap { established : accept, related : accept, invalid : drop }; "
        'iifname "br-shop" accept'
    ),
    "answers to another bridge": (
        'ct state established oifname "br-cafe" accept; iifname "br-shop" accept'
    ),
    "another bridge": 'iifname "br-cafe" accept; oifname "br-cafe" accept',
    "all bridges by name": 'iifname "br-*" accept; oifname "br-*" accept',
    "all bridges by kind": 'meta iifkind "bridge" accept; meta oifkind "bridge" accept',
    "some of several": (
        'iifname { "br-cafe", "br-shop" } accept; oifname { "br-cafe", "br-*" } accept'
    ),
    "none of several": 'iifname { "br-cafe", "br-bar" } accept; oifname "br-shop" accept',
    "a named set": "iifname @ours accept; oifname @ours accept",
    "a named set without it": "iifname @theirs accept; oifname @theirs accept",
    "all but other links": 'iifname != "eth0" accept; oifname != "eth0" accept',
    "all but this bridge": 'iifname != "br-shop" accept; ct state established accept',
    "pairs of links": 'iifname . oifname { "br-shop" . "eth0", "eth0" . "br-shop" } accept',
    "pairs of other links": 'iifname . oifname { "br-cafe" . "eth0", "eth0" . "br-cafe" } accept',
    "a map to verdicts": 'iifname vmap { "br-shop" : accept }; oifname vmap { "br-shop" : accept }',
    "a named map to chains": "iifname vmap @doors; oifname vmap @doors",
    "by the uplink": 'oifname "eth0" accept; iifname "eth0" accept',
    "by another uplink": 'oifname "wg0" accept; iifname "wg0" accept',
    "not by the uplink": 'oifname "eth0" drop; accept',
    "a jump": "jump one",
    "a jump from the bridge": 'iifname "br-shop" jump one; oifname "br-shop" goto one',
    "a jump that comes back": 'iifname "br-shop" jump back; oifname "br-shop" accept',
    "a goto that comes back": 'iifname "br-shop" goto back; accept',
    "dropped before it is accepted": (
        'iifname "br-shop" drop; iifname "br-shop" accept; oifname "br-shop" accept'
    ),
    "other things dropped before": (
        'tcp dport 25 drop; iifname "br-shop" counter accept; '
        'oifname "br-shop" log prefix "x" accept'
    ),
    "subnets": (
        "ip saddr 10.9.0.0/16 accept; ip daddr 10.0.0.0/8 accept; "
        "ip6 saddr 2001:db8::/32 accept; ip6 daddr 2001:db8:9::/64 accept"
    ),
    "other subnets": (
        "ip saddr 10.8.0.0/24 accept; ip6 saddr 2001:db8:8::/64 accept; ct state established accept"
    ),
    "a range of addresses": "ip saddr 10.9.0.0-10.9.0.255 accept; ct state established accept",
    "IPv4 only": 'meta nfproto ipv4 iifname "br-shop" accept; ip daddr 10.9.0.0/24 accept',
    "IPv6 only": 'meta protocol ip6 iifname "br-shop" accept; ip6 daddr { 2001:db8:9::/64 } accept',
    "a state that is not": "ct state != invalid accept",
    "ports that a ping has not": "tcp dport 1-65535 accept; udp dport 1-65535 accept",
}
SETS = (
    'set ours {; type ifname; elements = { "br-cafe", "br-shop" }; }; '
    'set theirs {; type ifname; elements = { "br-cafe" }; }; '
    + ONE
    + (
        "; chain back {; return; accept; }; map doors {; type ifname : verdict; "
        'elements = { "br-shop" : jump one }; }'
    )
)


@pytest.fixture
def clear() -> Iterator[None]:
    """The foreign table goes again."""
    yield
    sh("nft delete table inet guard", check=False)


@pytest.mark.parametrize("what", RULESETS)
@pytest.mark.parametrize("ending", ["a policy", "a last rule"])
def test_what_is_said_is_what_happens(
    what: str, ending: str, shop: tuple[Lab, Host], clear: None
) -> None:
    """A ruleset is said to stop a network exactly if its packets do not come through."""
    rules = RULESETS[what]
    guard(rules, before=SETS) if ending == "a policy" else guard(
        f"{rules}; counter reject", "accept", before=SETS
    )
    found = foreign_chains.firewalls("nf_tables", own_rules(shop[1].store))

    assert [(wall.table, wall.chain, wall.priority) for wall in found] == [("guard", "wall", 10)]
    for version in (4, 6):
        if stopped(found, version):
            assert not passes(*shop, version)
        else:
            arrives(*shop, version)


DELIBERATE = {
    "to one place only": (
        'iifname "br-shop" oifname "eth0" accept; iifname "eth0" oifname "br-shop" accept'
    ),
    "one protocol only": (
        'iifname "br-shop" meta l4proto { tcp, udp, icmp } accept; ct state established accept'
    ),
    "by a chain of its own": 'iifname "br-shop" jump some; ct state established accept',
    "only so much": 'iifname "br-shop" limit rate 10/second accept; oifname "br-shop" accept',
}


@pytest.mark.parametrize("what", DELIBERATE)
def test_who_names_the_bridge_has_thought_of_it(what: str, lab: Lab) -> None:
    """A rule that accepts what comes from the bridge is enough, whatever else it asks for."""
    guard(DELIBERATE[what], before="chain some {; tcp dport 443 accept; }")

    assert not stopped(foreign_chains.firewalls("nf_tables"))


@pytest.mark.parametrize(
    ("rules", "stops"),
    [
        ('iifname "br-shop" accept; ct state established,related accept', True),
        (
            'iifname "br-shop" accept; ct state established,related accept; ct status dnat accept',
            False,
        ),
        ('iifname "br-shop" accept; oifname "br-shop" accept', False),
    ],
)
def test_published_ports_need_a_way_in(rules: str, stops: bool, lab: Lab) -> None:
    """What lets containers out and answers in does not let in what comes to a published port."""
    guard(rules)

    assert stopped(foreign_chains.firewalls("nf_tables"), ways=[TrafficKind.IN]) is stops
    assert not stopped(foreign_chains.firewalls("nf_tables"))


@pytest.mark.parametrize(("hook", "side"), [("prerouting", "iifname"), ("postrouting", "oifname")])
def test_other_hooks_on_the_way(hook: str, side: str, shop: tuple[Lab, Host], clear: None) -> None:
    """Before and after routing, packets can be dropped as well.

    The side of the bridge is looked at.
    """
    guard(f'{side} "eth0" accept', hook=hook)
    assert stopped(foreign_chains.firewalls("nf_tables", own_rules(shop[1].store)))
    assert not passes(*shop)
    sh(f'nft add rule inet guard wall {side} "br-shop" accept')

    assert not stopped(foreign_chains.firewalls("nf_tables", own_rules(shop[1].store)))
    arrives(*shop)


@pytest.mark.parametrize(
    ("table", "chain"),
    [
        ("inet guard", "wall { type filter hook input priority 0; policy drop; }"),
        ("inet guard", "wall { type filter hook output priority 0; policy drop; }"),
        ("inet guard", "wall { type filter hook forward priority 0; policy accept; }"),
        ("inet guard", "wall { drop; }"),
        ("bridge guard", "wall { type filter hook forward priority 0; policy drop; }"),
        (
            "ip docker-bridges",
            "filter-FORWARD { type filter hook forward priority 0; policy drop; }",
        ),
        (
            "ip plumb-bridges",
            "filter-FORWARD { type filter hook forward priority 0; policy drop; }",
        ),
    ],
)
def test_what_is_no_wall(table: str, chain: str, lab: Lab) -> None:
    """Other hooks, other families, chains that no packet passes, and those of plumb and of
    Docker."""
    sh(f"nft 'table {table} {{ chain {chain}; }}'")

    assert not stopped(foreign_chains.firewalls("nf_tables"), ways=FORWARDED)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("backend", ["nf_tables", "legacy", "nftables"])
def test_the_other_iptables(variant: str, backend: str, lab: Lab) -> None:
    """A policy DROP in FORWARD is foreign where plumb writes the other kind, or nftables of its
    own; both families."""
    sh(f"iptables-{variant} -P FORWARD DROP; ip6tables-{variant} -P FORWARD DROP")
    own = {"nf_tables": "nft", "legacy": "legacy"}.get(backend)

    found = [wall.tool for wall in foreign_chains.firewalls(backend)]
    assert found == ([] if own == variant else [f"iptables-{variant}", f"ip6tables-{variant}"])


@pytest.mark.parametrize(
    ("rules", "stops"),
    [
        ([], True),
        (["-i br-shop -j ACCEPT", "-o br-shop -j ACCEPT"], False),
        (["-i br-+ -j ACCEPT", "-o eth0 -j ACCEPT"], True),
        (["-i br-+ -j ACCEPT", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"], False),
        (
            [
                "-s 10.9.0.0/24 -j ACCEPT",
                (
                    '-m state --state RELATED,ESTABLISHED -m comment --comment "two -j words" '
                    "-j ACCEPT"
                ),
            ],
            False,
        ),
        (["-i br-cafe -j ACCEPT", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"], True),
        (["-j DOORS"], False),
        (["-i br-shop -j DROP", "-j ACCEPT"], True),
        (["! -i eth0 -j ACCEPT", "! -o eth0 -j ACCEPT"], False),
        (["-p tcp -m tcp --dport 80 -j ACCEPT"], True),
    ],
)
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_rules_of_the_other_iptables(variant: str, rules: list[str], stops: bool, lab: Lab) -> None:
    """Its rules are read as well; a last rule that rejects all is a wall like a policy."""
    tool = f"iptables-{variant}"
    sh(
        f"{tool} -N DOORS; {tool} -A DOORS -i br-shop -j ACCEPT; "
        f"{tool} -A DOORS -o br-shop -j ACCEPT"
    )
    for rule in [*rules, "-j REJECT"]:
        sh(f"{tool} -A FORWARD {rule}")

    assert stopped(foreign_chains.firewalls("nftables")) is stops


def test_nothing_is_loaded_by_looking(lab: Lab) -> None:
    """Where there are no legacy tables there are none afterwards."""
    assert foreign_chains.firewalls("nf_tables") == []
    assert labs.within(lab.netns, "cat /proc/thread-self/net/ip_tables_names", check=False) == ""


# -- plumb check ---------------------------------------------------------------


def follow(printed: str) -> None:
    """Type what the advice says: the commands up to the first "or"."""
    for line in printed.split("\n  or")[0].splitlines()[1:]:
        sh(line)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("foe", ["nft", "the other iptables"])
def test_check_says_what_to_do(
    variant: str, foe: str, lan: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wall makes check fail; who types what it says is let pass, and check is content."""
    monkeypatch.setenv("PLUMB_IPTABLES", variant)
    with lan.host() as host:
        build(host)
        arrives(lan, host)
        assert tried(lan, "check") == (0, "")
        if foe == "nft":
            guard("")
        else:
            sh(f"iptables-{OTHER[variant]} -P FORWARD DROP")
        assert not passes(lan, host)
        status, printed = tried(lan, "check")
        assert (status, printed.startswith("blocked: shop (br-shop) by ")) == (1, True), printed

        follow(printed)
        assert tried(lan, "check") == (0, "")
        arrives(lan, host)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_plumbs_nftables_beside_iptables(variant: str, lan: Lab) -> None:
    """Where plumb writes nftables of its own, those are no wall, and a policy DROP of either
    iptables is one, for both families."""
    sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    with lan.host(settings={"firewall-backend": "nftables"}) as host:
        build(host)
        assert host.obstacles() == []
        sh(f"iptables-{variant} -P FORWARD DROP; ip6tables-{variant} -P FORWARD DROP")
        assert not passes(lan, host)
        for found in host.obstacles():
            sh("; ".join(found.advice[:2]))

        assert host.obstacles() == []
        arrives(lan, host)
        arrives(lan, host, 6)
        host.reset()


def test_a_published_port_behind_a_wall(lan: Lab) -> None:
    """A wall that lets containers out stops nobody, until a port is published.

    Then clients must come in as well.
    """
    with lan.host() as host:
        build(host)
        guard('ct state established,related accept; iifname "br-shop" accept')
        assert tried(lan, "check") == (0, "")
        web = host.run("web2", network="shop", publish="8080:80")
        with namespaces.entered(host.namespace(web)):
            server = socket.create_server(("", 80))
        with server:
            assert not connects(lan)
            status, printed = tried(lan, "check")
            assert (status, printed.startswith("blocked: shop (br-shop) by ")) == (1, True), printed

            follow(printed)
            assert tried(lan, "check") == (0, "")
            until(lambda: connects(lan), "the port is reached")
        host.reset()


def connects(lab: Lab) -> bool:
    """Whether a client on the LAN reaches port 8080 of the host."""
    with namespaces.entered(lab.lan), socket.socket() as client:
        client.settimeout(0.3)
        return client.connect_ex((labs.HOST_IP, 8080)) == 0


def test_the_other_advice_helps_too(lan: Lab) -> None:
    """The policy can be changed instead."""
    with lan.host() as host:
        build(host)
        guard("")
        line = next(
            line for line in tried(lan, "check")[1].splitlines() if line.startswith("  or: ")
        )
        sh(line.removeprefix("  or: "))

        assert tried(lan, "check") == (0, "")
        arrives(lan, host)


def test_firewalld_is_told_in_its_own_words(lan: Lab) -> None:
    """Its chains are its own, and end in a reject; links are put into a zone of it."""
    with lan.host() as host:
        build(host)
        sh(
            "nft 'table inet firewalld { chain filter_FORWARD { "
            "type filter hook forward priority 10; ct state established accept; "
            "reject with icmpx admin-prohibited; }; }'"
        )
        (found,) = host.obstacles()

        assert found.firewall.why == "its last rule drops all that no other accepts"
        assert found.advice[0] == "firewall-cmd --zone=trusted --add-interface=br-shop"
        assert not any(line.startswith("or: ") for line in found.advice)


def test_several_networks_behind_one_wall(lan: Lab) -> None:
    """They are named together, and one rule lets them all pass; in JSON it is one object."""
    with lan.host() as host:
        build(host)
        host.create_network("cafe", options={"com.docker.network.bridge.name": "br-cafe"})
        host.run("tea", network="cafe")
        guard("")
        (found,) = [json.loads(line) for line in tried(lan, "check", "--json")[1].splitlines()]

        assert (found["State"], found["Networks"], found["Now"]) == (
            "blocked",
            ["shop", "cafe"],
            "its policy is drop",
        )
        assert (
            found["Advice"][0]
            == 'nft insert rule inet guard wall iifname { "br-shop", "br-cafe" } accept'
        )
        follow(tried(lan, "check")[1])
        assert host.obstacles() == []
        arrives(lan, host)


def test_nobody_is_walled_off_where_nobody_is(lan: Lab) -> None:
    """Without containers on it, a network minds no wall.

    Nor do internal ones, nor the host before plumb built anything.
    """
    guard("")
    assert tried(lan, "check") == (0, "")
    with lan.host() as host:
        build(host)
        host.create_network("vault", internal=True)
        host.run("safe", network="vault")
        assert [net.name for found in host.obstacles() for net in found.networks] == ["shop"]
        host.stop("web")
        assert host.obstacles() == []


def test_a_firewall_that_is_the_administrators_own(lan: Lab) -> None:
    """Where plumb writes no rules, all of them are the administrator's, walls too."""
    guard("")
    with lan.host(settings={"iptables": False, "ip6tables": False}) as host:
        build(host)

        assert host.obstacles() == []


def test_plumbs_own_policy_is_no_wall(lan: Lab) -> None:
    """FORWARD's policy is DROP where forwarding was off before, and plumb's networks pass."""
    sh("sysctl -qw net.ipv4.ip_forward=0")
    with lan.host() as host:
        build(host)

        assert ":FORWARD DROP" in sh("iptables-save -t filter")
        assert host.obstacles() == []


def test_looking_at_nft_leaves_iptables_alone(lan: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """libnftables and python-iptables share a C library, and both work in one process, in turns."""
    monkeypatch.setenv("PLUMB_IPTABLES", "legacy")
    with lan.host() as host:
        build(host)
        guard("")
        for _ in range(2):
            assert len(host.obstacles()) == 1
            assert host.check() == []
        sh("iptables-legacy -t nat -F; ip6tables-legacy -F PLUMB")
        assert host.repair() != []
        assert host.check() == []
        assert len(host.obstacles()) == 1


# -- rules that drop in chains that let all else pass --------------------------------

DROPS = {
    "iptables -I FORWARD -i br-shop -j DROP": "chain FORWARD",
    "iptables -I FORWARD -d 10.9.0.0/24 -j REJECT": "chain FORWARD",
    "iptables -N THEIRS; iptables -A THEIRS -j DROP; iptables -I FORWARD -j THEIRS": "FORWARD",
    "iptables -t raw -I PREROUTING -s 10.9.0.0/24 -j DROP": "table raw, chain PREROUTING",
    "iptables -t raw -I PREROUTING -p tcp --dport 8080 -j DROP": "table raw, chain PREROUTING",
    "iptables -t mangle -A PREROUTING -i eth0 -p tcp -m multiport --dports 80,8000:8100 -j DROP": (
        "table mangle, chain PREROUTING"
    ),
}
PASSES = (
    "iptables -I FORWARD -i br-cafe -j DROP",
    "iptables -I FORWARD -d 10.8.0.0/24 -j DROP",
    "iptables -I FORWARD -p tcp --dport 25 -j DROP",
    "iptables -I FORWARD -m conntrack --ctstate INVALID -j DROP",
    "iptables -A FORWARD -j DROP",
    "iptables -I PLUMB-USER -i br-shop -j DROP",
    "iptables -t raw -I PREROUTING -p tcp --dport 22 -j DROP",
    "iptables -t raw -I PREROUTING -s 192.0.2.0/24 -j DROP",
    "iptables -t raw -I PREROUTING -p udp --dport 8080 -j DROP",
    "iptables -t raw -I PREROUTING -s 192.0.2.0/24 -p tcp --dport 8080 -j DROP",
    "iptables -I INPUT -p tcp --dport 8080 -j DROP",
    "iptables -P INPUT DROP",
)


@pytest.fixture(scope="module", params=VARIANTS)
def built(request: pytest.FixtureRequest) -> Iterator[tuple[Lab, Host, str]]:
    """The shop with a published port that rules rewrite, and the variant of iptables."""
    with labs.lab(lan=True) as lab, lab.host() as host:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PLUMB_IPTABLES", request.param)
            backends.writer.cache_clear()
            build(host)
            host.run("web2", network="shop", publish="8080:80")
        yield lab, host, request.param


@pytest.fixture
def published(
    built: tuple[Lab, Host, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[Lab, Host, str]:
    """The shop with a published port; its iptables command, which plumb uses too."""
    lab, host, variant = built
    monkeypatch.setenv("PLUMB_IPTABLES", variant)
    backends.writer.cache_clear()
    return lab, host, {"nf_tables": "iptables-nft", "legacy": "iptables-legacy"}[variant]


def undone(rules: str, tool: str) -> str:
    """The commands that take rules back, in reverse."""
    back = {" -I ": " -D ", " -A ": " -D ", "-P INPUT DROP": "-P INPUT ACCEPT", " -N ": " -X "}
    lines = rules.replace("iptables", tool).split("; ")
    for old, new in back.items():
        lines = [line.replace(old, new) for line in lines]
    return "; ".join(sorted(lines, key=lambda line: " -X " in line))


@pytest.mark.parametrize("rules", DROPS)
def test_a_rule_that_drops_is_named(rules: str, published: tuple[Lab, Host, str]) -> None:
    """It stands in a chain whose policy is accept, among plumb's own rules."""
    _, host, tool = published
    assert host.obstacles() == []
    sh(rules.replace("iptables", tool))
    found = host.obstacles()
    sh(undone(rules, tool))

    assert [found.firewall.why for found in found][:1] in (
        ["a rule of it drops them"],
        ["its last rule drops all that no other accepts"],
    )
    assert DROPS[rules] in str(found[0])
    assert ("port 8080/tcp of shop" in str(found[0])) is ("dport" in rules)


@pytest.mark.parametrize("rules", PASSES)
def test_a_rule_about_other_packets_is_none(rules: str, published: tuple[Lab, Host, str]) -> None:
    """Other links, subnets, ports, and what stands behind plumb's rules or is the user's."""
    _, host, tool = published
    sh(rules.replace("iptables", tool))
    found = host.obstacles()
    sh(undone(rules, tool))

    assert found == []


@pytest.mark.parametrize(
    ("rules", "stops"),
    [
        ("ip6tables -P INPUT DROP", True),
        ("ip6tables -A INPUT -p tcp --dport 8080 -j REJECT", True),
        ("ip6tables -A INPUT -p tcp --dport 8081 -j REJECT", False),
        ("ip6tables -A INPUT -p tcp --dport 8080 -j ACCEPT; ip6tables -P INPUT DROP", False),
        ("ip6tables -A INPUT -i lo -j ACCEPT; ip6tables -P INPUT DROP", True),
        ("ip6tables -A INPUT -s 2001:db8:77::/64 -p tcp --dport 8080 -j DROP", False),
        (
            "nft 'table inet g { chain i { type filter hook input priority 5; policy drop; }; }'",
            True,
        ),
        (
            (
                "nft 'table inet g { chain i { type filter hook input priority 5; policy drop; "
                "tcp dport { 80, 8000-9000 } accept; }; }'"
            ),
            False,
        ),
    ],
)
def test_the_proxys_ports_pass_the_hosts_own_chain(rules: str, stops: bool, lan: Lab) -> None:
    """An IPv6 port of an IPv4 container goes through INPUT, and can be dropped there."""
    with lan.host() as host:
        host.create_network("shop")
        host.run("web", network="shop", publish="[::]:8080:80")
        assert host.obstacles() == []
        sh(rules)
        found = host.obstacles()
        host.reset()

    assert [each.ports for each in found] == ([(("tcp", 8080),)] if stops else [])


@pytest.mark.parametrize(
    ("rules", "stops"),
    [
        ("iptables -A INPUT -i lo -p tcp --dport 8080 -j DROP", True),
        ("iptables -A INPUT -d 127.0.0.0/8 -p tcp --dport 8080 -j REJECT", True),
        ("iptables -t raw -A PREROUTING -i lo -p tcp --dport 8080 -j DROP", True),
        ("iptables -P INPUT DROP", True),
        ("iptables -A INPUT -i lo -j ACCEPT; iptables -P INPUT DROP", False),
        ("iptables -A INPUT -s 127.0.0.0/8 -j ACCEPT; iptables -P INPUT DROP", False),
        ("iptables -A INPUT -i eth0 -j DROP", False),
        ("iptables -A INPUT -i lo -p tcp --dport 8081 -j DROP", False),
    ],
)
def test_a_loopback_port_of_the_proxy_passes_the_hosts_own_chain(
    rules: str, stops: bool, lan: Lab
) -> None:
    """Packets to it come from the host itself, by lo; what is said is what a client meets."""
    with lan.host() as host:
        host.create_network("shop")
        host.run("web", network="shop", publish="127.0.0.1:8080:80")
        assert host.obstacles() == []
        sh(rules)
        found = host.obstacles()
        open_to = [str(wall) for wall in dropped_ports(host.store, host.settings).values()]
        if stops:
            assert not _connects_to_loopback(8080)
        else:
            until(lambda: _connects_to_loopback(8080), "the proxy's listener accepts")
        host.reset()

    assert [each.ports for each in found] == ([(("tcp", 8080),)] if stops else [])
    assert len(open_to) == stops


def _connects_to_loopback(port: int) -> bool:
    """Whether the proxy's listener accepts a connection."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_listing_says_who_is_kept_out(lan: Lab) -> None:
    """`network ports` names the chain; where it may not look, it says so and promises nothing."""
    with lan.host() as host:
        host.create_network("shop")
        host.run("web", network="shop", publish=["8080:80", "[::]:8081:81"])
    sh("ip6tables -P INPUT DROP; iptables -I FORWARD -o br-+ -j DROP")

    listed = lan.plumb("network", "ports", "--json").stdout
    rows = [json.loads(line) for line in listed.splitlines()]
    by = {row["Address"]: row["DroppedBy"] for row in rows}
    assert "chain FORWARD" in by["0.0.0.0:8080"]
    assert "chain INPUT" in by["[::]:8081"]
    assert "nobody outside this host: dropped by ip6tables" in lan.plumb("port").stdout

    blind = [*UNPRIVILEGED, sys.executable, "-m", "plumb", "port", "--json"]
    env = {**os.environ, "PLUMB_ROOT": str(lan.root), "PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(blind, env=env, cwd="/", capture_output=True, text=True, check=True)
    assert "cannot read the other firewalls" in ran.stderr
    assert {json.loads(line)["DroppedBy"] for line in ran.stdout.splitlines()[:2]} == {None}
    lan.plumb("reset", "--force")
