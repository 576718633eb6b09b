"""`plumb swarm` and `plumb node`, in Docker's words."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest

from plumb.agent.cluster.certificates import der
from plumb.kernel.netns.namespaces import entered
from tests.agent.cluster.hosts import Machine
from tests.labs import Lab
from tests.waiting import until

TOKEN = re.compile(r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}")


def test_init_says_how_to_join(machines: list[Machine]) -> None:
    said = machines[0].plumb("swarm", "init", "--advertise-addr", "eth0")

    assert re.match(
        r"Swarm initialized: current node \([0-9a-z]{25}\) is now a manager\.\n\n"
        r"To add a worker to this swarm, run the following command:\n\n"
        rf"    plumb swarm join --token {TOKEN.pattern} 192\.0\.2\.10:2377\n\n",
        said,
    )


def test_a_swarm_from_its_first_command_to_its_last(machines: list[Machine]) -> None:
    first, second, _ = machines
    first.plumb("swarm", "init")
    token = first.plumb("swarm", "join-token", "-q", "worker").strip()
    file = f"{second.layout.root}.token"
    with open(file, "w", encoding="ascii") as written:
        written.write(token)

    said = second.plumb("swarm", "join", "--token", file, "192.0.2.10")
    assert said == "This node joined a swarm as a worker.\n"
    assert "already part of a swarm" in second.plumb("swarm", "init", status=1)
    assert "Worker nodes can't be used" in second.plumb("node", "ls", status=1)

    name = os.uname().nodename
    identity = second.ask("status")["node"]["id"]
    assert first.plumb("node", "promote", identity) == (
        f"Node {identity} promoted to a manager in the swarm.\n"
    )
    until(lambda: second.ask("status")["role"] == "manager")
    assert len(second.plumb("node", "ls", "-q").split()) == 2
    assert first.plumb("node", "demote", identity) == (
        f"Manager {identity} demoted in the swarm.\n"
    )
    until(lambda: second.ask("status")["role"] == "worker")

    first.plumb("node", "update", "--availability", "drain", "--label-add", "a=b", identity)
    shown = json.loads(first.plumb("node", "inspect", identity))[0]
    assert shown["Spec"] == {"Labels": {"a": "b"}, "Role": "worker", "Availability": "drain"}
    assert shown["Status"] == {"State": "ready", "Addr": "192.0.2.11"}
    assert shown["Description"]["Hostname"] == name

    assert second.plumb("swarm", "leave") == "Node left the swarm.\n"
    assert first.plumb("node", "rm", identity) == f"{identity}\n"
    assert "participating as a manager" in first.plumb("swarm", "leave", status=1)
    assert first.plumb("swarm", "leave", "--force") == "Node left the swarm.\n"
    assert "This node is not part of a swarm" in first.plumb("swarm", "leave", status=1)


def test_a_manager_is_inspected_as_docker_does(pair: tuple[Machine, Machine]) -> None:
    shown = json.loads(pair[0].plumb("node", "inspect", "self"))[0]

    assert shown["ManagerStatus"] == {
        "Leader": True,
        "Reachability": "reachable",
        "Addr": "192.0.2.10:2377",
    }
    assert " Raft Status:\t\tReachable" in pair[0].plumb("node", "inspect", "--pretty", "self")


def test_nodes_are_listed(pair: tuple[Machine, Machine]) -> None:
    until(lambda: all(node.alive for node in pair[0].nodes().values()))
    heading, *lines = pair[0].plumb("node", "ls").splitlines()

    assert heading.split() == [
        "ID",
        "HOSTNAME",
        "STATUS",
        "AVAILABILITY",
        "MANAGER",
        "STATUS",
        "ENGINE",
        "VERSION",
    ]
    assert sum(" * " in line and " Leader " in line for line in lines) == 1
    assert all(" Ready " in line and " Active " in line for line in lines)


def test_what_is_unknown_is_named(pair: tuple[Machine, Machine]) -> None:
    manager = pair[0]

    assert "node nosuch not found" in manager.plumb("node", "inspect", "nosuch", status=1)
    assert "unknown role king" in manager.plumb("swarm", "join-token", "king", status=1)


def test_a_host_in_no_swarm_has_no_nodes(machines: list[Machine]) -> None:
    assert "This node is not a swarm manager" in machines[0].plumb("node", "ls", status=1)


@pytest.mark.parametrize("argv", [("create", "--name", "s0", "-p", "80:80"), ("rm", "s0")])
def test_services_need_a_swarm(machines: list[Machine], argv: tuple[str, ...]) -> None:
    """Outside a swarm, in Docker's words."""
    assert "This node is not a swarm manager" in machines[0].plumb("service", *argv, status=1)


def test_an_address_is_chosen_only_where_there_is_one(machines: list[Machine]) -> None:
    first = machines[0]
    first.within("ip addr add 192.0.2.100/24 dev eth0")

    said = first.plumb("swarm", "init", status=1)
    assert "could not choose an IP address to advertise" in said
    assert "on interface eth0 (192.0.2.10 and 192.0.2.100)" in said
    assert first.client.node() is None


def test_an_address_of_another_host_is_refused_at_once(machines: list[Machine]) -> None:
    said = machines[0].plumb("swarm", "init", "--advertise-addr", "192.0.2.99", status=1)
    assert "advertise address 192.0.2.99 is not one of this host's" in said
    assert machines[0].pid == 0


def test_check_tells_what_is_wrong_and_repair_mends_it(machines: list[Machine]) -> None:
    first, second, _ = machines
    second.join(first.init()["worker"], first)
    until(lambda: second.ask("status")["connected"])
    assert second.plumb("check") == ""

    second.kill()
    with entered(second.netns):
        said = Lab(Path(second.layout.root), second.netns).plumb("check", status=1).stdout
    assert "cluster process does not run" in said
    second.plumb("repair")
    assert second.pid


def test_a_reset_leaves_the_swarm(machines: list[Machine]) -> None:
    first, second, _ = machines
    second.join(first.init()["worker"], first)

    second.plumb("reset", "--force")

    assert not second.pid
    assert second.client.node() is None
    assert not Path(second.layout.root, "cluster").exists()
    assert not first.nodes()["h2"].alive


def test_a_swarm_s_certificates_last_as_long_as_it_is_told(machines: list[Machine]) -> None:
    """Those that are signed from now on."""
    first, second, _ = machines
    token = first.init()["worker"]
    assert first.plumb("swarm", "update", "--cert-expiry", "48h30m0s") == "Swarm updated.\n"
    second.join(token, first)
    papers = Path(f"{second.layout.cluster}/node.pem").read_text()
    begin, end = der.validity(papers[papers.index("-----BEGIN CERT") :])
    assert timedelta(hours=48) <= end - begin <= timedelta(hours=50)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--autolock",), "--autolock is not supported"),
        (("--dispatcher-heartbeat", "5s"), "--dispatcher-heartbeat is not supported"),
        (("--cert-expiry", "30m"), "minimum expiry time is 1h0m0s"),
        (("--cert-expiry", "soon"), 'invalid duration "soon"'),
        (("--task-history-limit", "-1"), "invalid task history limit"),
    ],
)
def test_what_a_swarm_is_not_told(
    words: tuple[str, ...], said: str, pair: tuple[Machine, Machine]
) -> None:
    assert said in pair[0].plumb("swarm", "update", *words, status=1)
