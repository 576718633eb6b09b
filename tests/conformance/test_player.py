"""The player itself: it notices what differs, and forgives nothing but names."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from fnmatch import fnmatchcase

import pytest

from tests.conformance import dns, later
from tests.conformance.facts import differences, hide_random, misordered
from tests.conformance.observe import observe
from tests.conformance.scenarios import Recording, recorded, scenarios
from tests.labs import Lab, sh

BOOK = scenarios()


def change(alter: Callable[[Recording], object]) -> list[str]:
    """What differs between Docker's recording of bridge-routed and an altered one."""
    docker = recorded("bridge-routed")
    altered = copy.deepcopy(docker)
    alter(altered)
    return [f"{each.sign} {each.fact}" for each in differences(docker, altered)]


@pytest.mark.parametrize("name", BOOK)
def test_a_recording_is_like_itself(name: str) -> None:
    """Nothing differs between a recording and itself."""
    assert differences(recorded(name), recorded(name)) == []


def test_the_names_are_forgiven() -> None:
    """plumb0 and PLUMB-USER count as docker0 and DOCKER-USER."""
    docker = recorded("bridge-default")
    plumb = json.loads(json.dumps(docker).replace("docker0", "plumb0").replace("DOCKER", "PLUMB"))
    assert plumb != docker
    assert differences(docker, plumb) == []


def _no_wall(r: Recording) -> None:
    r["hosts"]["h1"]["iptables"]["filter"]["DOCKER"]["rules"].remove(
        "! -i br-<n1> -o br-<n1> -j DROP"
    )


def _mtu(r: Recording) -> None:
    r["containers"]["c1"]["state"]["links"]["eth0"]["mtu"] = 1400


def _no_default_route(r: Recording) -> None:
    r["containers"]["c2"]["state"]["routes"].pop()


def _let_in(r: Recording) -> None:
    r["reach"]["lan"]["c2 172.20.0.3 tcp/80"] = "c2 saw 192.0.2.1"


def _step_refused(r: Recording) -> None:
    r["steps"][1]["rc"] = 125


def _left(r: Recording) -> None:
    r["left"] = ["left: h1 link br-<n1> kind bridge"]


def _gateway(r: Recording) -> None:
    r["containers"]["c1"]["inspect"]["Networks"]["n1"]["Gateway"] = "172.20.0.9"


def _other_namespace(r: Recording) -> None:
    r["others"]["h1 veth"] = {"host": "h1", "state": r["containers"]["c1"]["state"]}


@pytest.mark.parametrize(
    "alter",
    [_no_wall, _mtu, _no_default_route, _let_in, _step_refused, _left, _gateway, _other_namespace],
)
def test_an_altered_fact_is_noticed(alter: Callable[[Recording], object]) -> None:
    """No entry of LATER covers a change of what plumb has."""
    assert change(alter)


def test_the_order_of_the_engines_own_chains_is_noticed() -> None:
    """The wall before the way in is another firewall than the way in before the wall."""
    docker = recorded("bridge-routed")
    altered = copy.deepcopy(docker)
    altered["hosts"]["h1"]["iptables"]["filter"]["DOCKER"]["rules"].reverse()
    assert (differences(docker, altered), misordered(docker, docker)) == ([], [])
    assert [each.split(":")[0] for each in misordered(docker, altered)] == [
        "h1 iptables filter DOCKER"
    ]


def test_the_order_of_native_chains_is_noticed() -> None:
    """A port behind the wall is another firewall than one before it."""
    docker = recorded("daemon-nftables")
    altered = copy.deepcopy(docker)
    port = "\t\tip daddr 172.20.0.2 tcp dport 80 counter accept\n"
    wall = '\t\tcounter drop comment "UNPUBLISHED PORT DROP"\n'
    altered["hosts"]["h1"]["nft"] = docker["hosts"]["h1"]["nft"].replace(port + wall, wall + port)
    assert (differences(docker, altered), misordered(docker, docker)) == ([], [])
    assert [each.split(":")[0] for each in misordered(docker, altered)] == [
        "h1 nft table ip docker-bridges / chain filter-forward-in__br-<n1>"
    ]


def test_every_missing_entry_names_a_scenario() -> None:
    """A reason for which no scenario is skipped must go."""
    assert [
        pattern for pattern in later.MISSING if not any(fnmatchcase(name, pattern) for name in BOOK)
    ] == []


def test_every_intended_difference_is_of_a_scenario() -> None:
    """A reason for which nothing is left out must go."""
    assert [
        pattern
        for pattern in later.INTENDED
        if not any(fnmatchcase(name, pattern) for name in BOOK)
    ] == []
    assert later.intended("found-shared-restart", "c2 address eth0 10.1.0.2/24")
    assert not later.intended("found-shared-restart", "c1 address eth0 10.1.0.2/24")
    assert not later.intended("bridge-user", "c2 address eth0 10.1.0.2/24")


def test_observation_reads_back_what_is_there(lab: Lab) -> None:
    """Links, addresses, routes, sysctls, rules and listeners are read from the namespace."""
    sh("""ip link add br0 type bridge; ip link add d0 type veth peer name d1
        ip link set d0 master br0 up; ip link set br0 up mtu 1400
        ip addr add 10.0.0.1/24 dev br0; ip route add 10.1.0.0/16 via 10.0.0.2
        bridge link set dev d0 isolated on
        sysctl -qw net.ipv4.conf.br0.route_localnet=1; iptables-nft -A FORWARD -i br0 -j DROP
        nft add table ip own""")
    seen = observe(lab.netns)
    assert (
        seen["links"]["d0"]["master"],
        seen["links"]["d0"]["port"]["isolated"],
        seen["links"]["br0"]["mtu"],
    ) == ("br0", True, 1400)
    assert seen["addrs"]["br0"] == ["10.0.0.1/24"]
    assert seen["routes"] == [
        "10.0.0.0/24 dev br0 scope link src 10.0.0.1",
        "10.1.0.0/16 via 10.0.0.2 dev br0",
    ]
    assert seen["sysctls"]["net.ipv4.conf.br0.route_localnet"] == "1"
    assert seen["iptables"]["filter"]["FORWARD"]["rules"] == ["-i br0 -j DROP"]
    assert seen["nft"] == "table ip own {\n}"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("external.test", "198.51.100.1"),
        ("EXTERNAL.test/AAAA", "2001:db8:64::1"),
        ("nosuch.test", "nxdomain"),
        ("external.test/PTR", "nodata"),
    ],
)
def test_the_resolver_of_the_world(question: str, answer: str) -> None:
    """It knows external.test, and nothing else."""
    assert dns.told(dns.answer(dns.query(question))) == answer


def test_states_of_ipsec_are_compared_but_for_what_is_random() -> None:
    """A missing state, and one with another mode, are differences; another SPI is none."""
    state = "src 192.0.2.10 dst 192.0.2.11 proto esp spi {} reqid 13681891 mode transport"
    recorded = hide_random(state.format("0xabc09095"))
    assert hide_random(state.format("0x3ccb7f34")) == recorded
    assert hide_random(state.format("<spi>")) == recorded  # as some recordings have it
    assert hide_random(state.format("0x3ccb7f34").replace("transport", "tunnel")) != recorded
    assert not later.intended("overlay-encrypted", f"h1 xfrm state {recorded}")
