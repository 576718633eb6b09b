"""Commands on the host of a real containerd, whose containers' networks CNI's plugins have made."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from plumb.explain.known_rules import known
from plumb.foreign import read_host
from plumb.foreign.values import Engine, ForeignContainer
from plumb.kernel.foreign import processes
from plumb.kernel.netfilter.iptables_save import saved
from tests import labs
from tests.foreign.containerd import MISSING, Containerd, containerd
from tests.labs import INTERNET, within

pytestmark = pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING))


@pytest.fixture(scope="module")
def engine() -> Iterator[Containerd]:
    """containerd with containers in two of its namespaces.

    web and c2 are on CNI's network mynet, twin in either namespace; hosty is on the host's network,
    bare in a namespace of its own.
    """
    with containerd() as made:
        made.run("web", "/bin/httpd", "-f", "-h", "/www", "-p", "80")
        made.run("c2", namespace="apart")
        made.run("hosty", option="--net-host")
        made.run("bare", option="")
        made.run("twin", namespace="apart")
        made.run("twin")
        made.listens("web", 80)
        yield made


@pytest.fixture(scope="module")
def found(engine: Containerd) -> dict[str, ForeignContainer]:
    """What plumb knows of that host, by name."""
    return {each.name: each for each in read_host.read().containers}


def plumb(engine: Containerd, *argv: str, status: int | None = 0) -> str:
    """What a command prints on that host."""
    ran = engine.lab.plumb(*argv, status=status)
    return ran.stdout + ran.stderr


def test_containers_have_containerd_s_ids(
    found: dict[str, ForeignContainer], engine: Containerd
) -> None:
    """Each once, with its first process; where two namespaces have an id, with theirs."""
    assert set(found) == {"web", "c2", "hosty", "bare", "apart-twin", "default-twin"}
    assert {each.source.engine for each in found.values()} == {Engine.CONTAINERD}
    for name in ("web", "c2", "hosty", "bare"):
        assert found[name].pid == engine.pids[name]
    assert found["default-twin"].pid == engine.pids["twin"]


def test_namespaces_are_the_containers(
    found: dict[str, ForeignContainer], engine: Containerd
) -> None:
    """Of one that is on the host's network, the host's."""
    for name in ("web", "c2", "hosty", "bare"):
        there = found[name].member.place.ns
        assert processes.identity(there) == processes.identity(engine.netns(name))
    assert found["hosty"].member.place.name == "host"


def test_addresses_are_those_of_the_plugins(
    found: dict[str, ForeignContainer], engine: Containerd
) -> None:
    """As the interfaces have them, and host-local's leases."""
    leases = engine.cni / "networks/mynet"
    for name in ("web", "c2"):
        ((end, net),) = found[name].member.ends
        shown = json.loads(within(engine.netns(name), "ip -j addr show eth0"))[0]
        own = next(each for each in shown["addr_info"] if each["family"] == "inet")
        assert str(end.ip) == f"{own['local']}/{own['prefixlen']}"
        assert (end.mac, end.ifname) == (shown["address"], "eth0")
        assert (net.name, net.link, str(net.pools[0].gateway)) == ("mynet", "cni0", "10.22.0.1")
        assert end.ip is not None
        assert name in (leases / str(end.ip.ip)).read_text()
    assert found["bare"].member.ends == ()


def test_a_story_names_the_containers(engine: Containerd) -> None:
    """By the id that somebody chose, or that which the plugins were given."""
    for name in ("web", "default-web"):
        story = plumb(engine, "trace", "c2", f"{name}:80")
        assert "web   eth0 in" in story
        assert "web's port on mynet" in story
    assert "host → web:80" in plumb(engine, "trace", "hosty", "web:80")
    assert "source " in plumb(engine, "trace", "c2", INTERNET)


def test_each_rule_of_the_plugins_has_a_reason(engine: Containerd) -> None:
    """In a sentence, with its owner."""
    rules = [
        (table, chain, spec)
        for table, chains in saved("iptables-save").items()
        for chain, (_, specs) in chains.items()
        for spec in specs
    ]

    assert len(rules) > 10
    for rule in rules:
        assert known(*rule).startswith("CNI: "), rule


def test_a_clean_host_has_no_finding(engine: Containerd) -> None:
    """And is the same after it was looked at."""
    before = labs.state()
    assert "no problem found" in plumb(engine, "doctor")
    plumb(engine, "draw")
    plumb(engine, "stats")
    assert labs.state() == before


def test_what_the_bridge_plugin_has_set_is_explained(engine: Containerd) -> None:
    """Link and network."""
    assert "network mynet" in plumb(engine, "explain", "cni0")
    assert "containerd" in plumb(engine, "explain", "10.22.0.1")


def test_a_dropped_answer_is_explained(engine: Containerd) -> None:
    """A policy of FORWARD, and no rule of the plugin's."""
    labs.sh("iptables -P FORWARD DROP; iptables -D FORWARD 1")
    try:
        story = plumb(engine, "trace", "c2", INTERNET, status=1)
    finally:
        labs.sh("iptables -P FORWARD ACCEPT; iptables -A FORWARD -j CNI-FORWARD")
    words = " ".join(story.split())
    assert "containerd's own rules for this network are not there" in words
