"""Published ports that another has: snapshots that are made by hand."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from plumb.doctor import document
from plumb.doctor.anonymise import anonymised
from plumb.foreign import docker
from plumb.frozen import replace
from plumb.model.diagnosis.failed_start import FailedStart
from plumb.model.diagnosis.snapshot import (
    ChainState,
    NamespaceState,
    RouteState,
    RuleState,
    Snapshot,
)
from plumb.model.netns_state import Listener
from tests.doctor.made import SHOP, chain, found, rule, web
from tests.doctor.test_counted import host

PORT = {"l4proto": "tcp", "dport": "8080"}
OWN = rule("-j DNAT --to-destination 172.20.0.2:80", "accept", PORT)
OLD = rule("-j DNAT --to-destination 172.20.0.9:80", "accept", {"!iifname": "br0", **PORT})
ADDRESS_IN_USE = "listen tcp4 0.0.0.0:8080: bind: address already in use"


def snapshot(*rules: RuleState, engine: str = "docker", who: str = "") -> Snapshot:
    """A host with web's port 8080, rules in the engine's chain, and a program at the port."""
    name = "DOCKER" if engine == "docker" else "NETAVARK-DN-1"
    routes = (RouteState(ip_network("0.0.0.0/0"), dev="eth0"),)
    at = (Listener("tcp", ip_address("0.0.0.0"), 8080, who=who),) if who else ()
    own: ChainState = chain(name, *rules, table="nat")
    given = replace(host(own), listeners=at, routes=routes)
    net = replace(SHOP, engine=engine)
    return Snapshot(given, (), (web("tcp", engine=engine),), (net,))


@pytest.mark.parametrize(
    ("engine", "who", "remedy"),
    [
        ("docker", "dockerd, pid 7", "systemctl restart docker"),
        ("podman", "conmon, pid 7", "podman network reload web"),
    ],
)
def test_a_port_whose_holder_serves_nobody(engine: str, who: str, remedy: str) -> None:
    """Without its rule; Podman's other programs do serve, or lead on."""
    mine = found(snapshot(engine=engine, who=who))
    assert mine["port-held"].subject.endswith("only holds it")
    assert str(mine["port-held"].remedies[0]).startswith(remedy)
    assert "port-not-rewritten" not in mine
    assert "port-held" not in found(snapshot(OWN, engine=engine, who=who))
    assert "port-held" not in found(snapshot(engine=engine, who="rootlessport, pid 7"))


def test_the_rule_of_another_container_comes_first() -> None:
    mine = found(snapshot(OLD, OWN))["port-rule-stale"]
    assert mine.subject == "port 8080/tcp of web leads to 172.20.0.9, which no container has"
    assert "rule 1:" in mine.read[0]


@pytest.mark.parametrize(
    "rules",
    [
        (OWN, OLD),
        (OWN,),
        (replace(OLD, conditions=(*OLD.conditions, ("daddr", ("192.0.2.10",), False))), OWN),
        (replace(OLD, conditions=(("l4proto", ("udp",), False), OLD.conditions[2])), OWN),
        (replace(OLD, conditions=(("l4proto", ("tcp",), False),)), OWN),
    ],
    ids=["behind", "own", "one-address", "udp", "every-port"],
)
def test_a_rule_that_does_not_decide_is_no_finding(rules: tuple[RuleState, ...]) -> None:
    """It stands behind, or is for some packets only."""
    assert "port-rule-stale" not in found(snapshot(*rules))


def failed(error: str = ADDRESS_IN_USE, who: str = "") -> Snapshot:
    """A host on which late did not start, and a program listens at its port."""
    late = FailedStart("late", "docker", error, (("tcp", 8080),))
    return replace(snapshot(OWN, who=who), containers=(), failed=(late,))


def test_a_port_that_a_program_has_keeps_a_container_from_starting() -> None:
    mine = found(failed(who="nginx, pid 7"))["port-in-use"]
    assert (mine.grade, mine.severity) == ("proven", "problem")
    assert "8080/tcp, which it publishes, is nginx, pid 7's" in mine.subject


def test_a_port_that_is_free_again_is_likely_to_be_had() -> None:
    mine = found(failed())["port-in-use"]
    assert mine.grade == "likely"
    assert [str(each) for each in mine.remedies] == ["docker start late"]


@pytest.mark.parametrize(
    "error",
    ["", "exec: no such file", ADDRESS_IN_USE.replace("8080", "18080")],
    ids=["none", "another", "another-port"],
)
def test_what_did_not_start_for_another_reason_is_no_finding(error: str) -> None:
    assert "port-in-use" not in found(failed(error, "nginx, pid 7"))


def test_a_container_that_did_not_start_has_another_name_without_its_own() -> None:
    """`--save --anonymise`."""
    hidden = anonymised(failed(f"driver failed on endpoint late (7f3a): {ADDRESS_IN_USE}"))
    assert "late" not in document.written(hidden)
    assert set(found(hidden)) == set(found(failed()))


@pytest.mark.parametrize(
    "error",
    [
        "listen tcp4 192.0.2.10:8080: bind: address already in use",
        "Bind for 192.0.2.10:8080 failed: port is already allocated",
        "failed to bind host port for 192.0.2.10:8080:172.20.0.3:80/tcp: address already in use",
        "failed to bind host port 192.0.2.10:8080/tcp: address already in use",
    ],
    ids=["20.10", "allocated", "28", "29"],
)
@pytest.mark.parametrize(
    ("at", "grade"),
    [
        ("127.0.0.1", "likely"),
        ("192.0.2.11", "likely"),
        ("::1", "likely"),
        ("192.0.2.10", "proven"),
        ("0.0.0.0", "proven"),
        ("::", "proven"),
    ],
)
def test_who_has_the_port_at_another_address_is_not_blamed(error: str, at: str, grade: str) -> None:
    """A program that listens there, or another container that publishes it there."""
    program = Listener("tcp", ip_address(at), 8080, who="nginx, pid 7")
    alone = failed(error)
    listened = replace(alone, host=replace(alone.host, listeners=(program,)))
    assert found(listened)["port-in-use"].grade == grade

    (end,) = web("tcp").ends
    port = end.ports[0]._replace(host_ip=ip_address(at))
    other = replace(web("tcp"), ends=(replace(end, ports=(port,)),))
    if at != "::":  # Docker takes a port of IPv6 for IPv6 alone
        assert found(replace(alone, containers=(other,)))["port-in-use"].grade == grade


@pytest.mark.parametrize("words", ["0.0.0.0:8080:172.20.0.3:80/tcp", "[::]:8080:[fd00::3]:80/tcp"])
def test_the_port_is_the_host_s_and_not_the_container_s(words: str) -> None:
    """Both stand in the words of dockerd 28, and the container may publish the other one too."""
    error = f"failed to bind host port for {words}: address already in use"
    late = FailedStart("late", "docker", error, (("tcp", 80), ("udp", 8080), ("tcp", 8080)))
    mine = found(replace(snapshot(OWN), containers=(), failed=(late,)))["port-in-use"]
    assert mine.subject.startswith("late has not started: port 8080/tcp")


def test_the_end_of_a_long_error_of_docker_s_is_read() -> None:
    """As dockerd 28 writes it: its reason stands behind the container's name and an id."""
    error = (
        "failed to set up container networking: driver failed programming external connectivity on"
        f" endpoint shop-frontend-1 ({'7f' * 32}): failed to bind host port for"
        " 0.0.0.0:8080:172.20.0.3:80/tcp: address already in use"
    )
    box = docker.container({"Id": "1", "State": {"Error": error}}, {}).box
    assert box.error == error


def test_what_a_client_of_udp_is_answered_has_no_rst() -> None:
    """Nor does docker-proxy close anything."""
    space = NamespaceState("web", resolv="nameserver 127.0.0.11\n")
    why = {
        each: found(replace(snapshot(OWN), spaces=(space,), containers=(web(each),)))[
            "nobody-listens"
        ].why
        for each in ("tcp", "udp")
    }
    assert "with a RST; docker-proxy" in why["tcp"]
    assert "with an ICMP error, port unreachable." in why["udp"]
    assert "docker-proxy" not in why["udp"]
