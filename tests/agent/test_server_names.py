"""The agent and names: what it is told and what it says, on its control socket."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest

from plumb.kernel import agent_client
from plumb.kernel.netns import namespaces
from tests import REPOSITORY
from tests.agent.test_control_socket import ask
from tests.agent.test_server import pid_of
from tests.labs import Lab, within

ENTRY: dict[str, Any] = {
    "endpoint": "e1",
    "network": "n1",
    "title": "shop",
    "names": ["web", "app"],
    "ips": ["172.18.0.2", "fd00::2"],
    "ports": [["http", "tcp", 80]],
}


def told(folder: str, *rows: Any) -> Any:
    """Ask for these rows; the answer."""
    return ask(folder, json.dumps({"take": rows}).encode() + b"\n")


def listed(folder: str, wanted: Any = True) -> Any:
    """What there is."""
    return ask(folder, json.dumps({"list": wanted}).encode() + b"\n")


@pytest.fixture
def box(lab: Lab) -> Iterator[str]:
    """A sandbox's namespace file."""
    path = f"{lab.root}/netns/box"
    namespaces.make(path)
    within(path, "ip link set lo up")
    yield path
    namespaces.drop(path)


def server(box: str, **changed: Any) -> dict[str, Any]:
    """What to serve."""
    return {
        "ns": box,
        "ip": "127.0.0.11",
        "udp": 5300,
        "tcp": 5301,
        "networks": ["n1"],
        "links": [["n1", "db", "web"]],
        "upstreams": [["192.0.2.1", True], ["fe80::1%eth0", False]],
        "outside": True,
        "ndots": False,
        **changed,
    }


def test_names_are_served_listed_and_changed(running: str, box: str) -> None:
    """What is listed is what was said.

    Each is taken away again, and once more, which is done already.
    """
    assert told(running, ["serve", server(box)], ["name", ENTRY]) == {"done": 2}
    assert listed(running) == {
        "done": 0,
        "pid": pid_of(running),
        "silent": True,
        "ports": [],
        "resolvers": [server(box)],
        "names": [ENTRY],
        "checks": [],
        "starts": [],
    }
    with namespaces.entered(box):
        answer = dns.query.udp(dns.message.make_query("db", "A"), "127.0.0.11", 5, 5300)
    assert str(answer.answer[0][0]) == "172.18.0.2"
    assert told(
        running, ["serve", server(box, ndots=True)], ["name", {**ENTRY, "names": ["other"]}]
    ) == {"done": 2}
    assert listed(running)["resolvers"][0]["ndots"] is True
    assert listed(running)["names"][0]["names"] == ["other"]
    assert told(running, *[["unserve", box], ["unname", "e1"]] * 2) == {"done": 4}
    assert (listed(running)["resolvers"], listed(running)["names"]) == ([], [])


def test_what_is_asked_about_is_listed(running: str, box: str) -> None:
    """Of each kind those that are named, and nothing of one that is not mentioned."""
    told(running, ["hold", "tcp", "127.0.0.1", 8080, "127.0.0.3", 80], ["serve", server(box)])
    told(running, ["name", ENTRY], ["name", {**ENTRY, "endpoint": "e2"}])
    assert [
        len(
            listed(
                running,
                {"ports": [["tcp", "127.0.0.1", 8080]], "resolvers": [box], "names": ["e2", "e3"]},
            )[what]
        )
        for what in ("ports", "resolvers", "names")
    ] == [1, 1, 1]
    assert [
        len(listed(running, {"resolvers": ["/nowhere"]})[what])
        for what in ("ports", "resolvers", "names")
    ] == [0, 0, 0]


def test_a_refusal_says_which_row_and_why(running: str, box: str) -> None:
    """Other ports for a sandbox that is served; a namespace that is not there."""
    assert told(running, ["serve", server(box)], ["serve", server(box, udp=5399)]) == {
        "done": 1,
        "errno": errno.EEXIST,
        "said": "File exists",
    }
    assert told(running, ["serve", server("/nowhere")])["errno"] == errno.ENOENT
    assert told(running, ["serve", server("/proc/self/status")])["errno"] == errno.EINVAL


def test_another_agent_opens_the_same_ports_at_once(running: str, box: str) -> None:
    """One was killed while a client was connected.

    The kernel keeps that connection's end for a minute, and it is in nobody's way.
    """
    query = dns.message.make_query("web", "A")
    told(running, ["serve", server(box)], ["name", ENTRY])
    with namespaces.entered(box):
        client = socket.create_connection(("127.0.0.11", 5301), 30)
    with client:
        dns.query.send_tcp(client, query)
        assert dns.query.receive_tcp(client)[0].answer
        os.kill(pid_of(running), signal.SIGKILL)
        assert client.recv(1) == b""
        agent_client.start(running)
        assert told(running, ["serve", server(box)], ["name", ENTRY]) == {"done": 2}
        with namespaces.entered(box):
            assert dns.query.tcp(query, "127.0.0.11", 5, 5301).answer


BAD_SERVERS: list[dict[str, Any]] = [
    {"ns": ""},
    {"ns": "/x\0"},
    {"ip": "::1"},
    {"ip": 1},
    {"udp": 0},
    {"tcp": 65536},
    {"udp": True},
    {"networks": "n1"},
    {"networks": [1]},
    {"links": [["a", "b"]]},
    {"links": [[1, 2, 3]]},
    {"upstreams": [["host", True]]},
    {"upstreams": [["192.0.2.1", 1]]},
    {"upstreams": ["192.0.2.1"]},
    {"ndots": None},
    {"more": 1},
]
BAD_NAMES: list[dict[str, Any]] = [
    {"names": "web"},
    {"names": [""]},
    {"names": [["web"]]},
    {"ips": ["web"]},
    {"ips": [1]},
    {"ports": [["http", "tcp", 0]]},
    {"ports": [["http", "tcp"]]},
    {"network": None},
]


@pytest.mark.parametrize(
    "row",
    [
        *(["serve", {**server("/x"), **bad}] for bad in BAD_SERVERS),
        *(["name", {**ENTRY, **bad}] for bad in BAD_NAMES),
        ["serve"],
        ["serve", 1],
        ["serve", []],
        ["serve", {}],
        ["serve", server("/x"), 1],
        ["unserve"],
        ["unserve", 1],
        ["unserve", [[]]],
        ["name", {}],
        ["name", None],
        ["unname", None],
        ["unname", {}],
        [["serve"], {}],
        [None, None],
    ],
)
def test_nonsense_about_names_is_answered_as_such(running: str, row: list[Any]) -> None:
    """And nothing of the request has been done."""
    answer = told(running, ["name", {**ENTRY, "endpoint": "before"}], row)
    assert (answer["done"], answer["errno"]) == (0, errno.EINVAL), answer
    assert (listed(running)["resolvers"], listed(running)["names"]) == ([], [])


@pytest.mark.parametrize(
    "wanted", [{"resolvers": 1}, {"names": [[]]}, {"names": None, "ports": [1]}, [], None, 1]
)
def test_nonsense_that_is_to_be_listed_is_answered_as_such(running: str, wanted: Any) -> None:
    """With names there or without."""
    told(running, ["name", ENTRY])
    assert listed(running, wanted)["errno"] == errno.EINVAL


def test_an_agent_starts_without_what_names_need() -> None:
    """It is loaded with the first server; ports do without."""
    line = "import sys; sys.path += sys.argv[1:]; import plumb.agent; print(*sys.modules)"
    checkout = str(REPOSITORY)
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", line, checkout],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not set(ran.stdout.split()) & {
        "dns",
        "plumb.agent.dns.servers",
        "plumb.kernel.netns.sockets",
        "dataclasses",
        "importlib.metadata",
    }


def test_what_names_need_is_found_without_pythons_search(running: str, box: str) -> None:
    """The agent is told where dnspython lies.

    It is loaded after the first server was opened, and whoever asked for that was told.
    """
    told(running, ["serve", server(box)], ["name", ENTRY])
    with namespaces.entered(box):
        assert dns.query.udp(dns.message.make_query("web", "A"), "127.0.0.11", 5, 5300).answer
    assert not Path(running, "agent.log").exists()


def test_a_thousand_names_and_servers_are_few_requests(running: str, box: str) -> None:
    """The names of a thousand endpoints come, change and go in well under a second."""
    rows = [
        ["name", {**ENTRY, "endpoint": f"e{number}", "names": [f"c{number}", "all"]}]
        for number in range(1000)
    ]
    assert told(running, *rows) == told(running, *rows) == {"done": 1000}
    assert len(listed(running)["names"]) == 1000
    assert told(running, *(["unname", f"e{number}"] for number in range(1000))) == {"done": 1000}
    assert listed(running)["names"] == []
