"""Chance in a swarm is replaced, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conformance.interchange import Words, interchanged, members
from tests.conformance.observe import State
from tests.conformance.rig import Host
from tests.conformance.seen import Box, Seen
from tests.conformance.services import Services

HOSTS = {
    name: Host(name, 0, f"192.0.2.{10 + i}", "", Path()) for i, name in enumerate(("h1", "h2"))
}


def state(**links: str) -> State:
    """A namespace with addresses by link."""
    found: Any = {"links": {}, "addrs": {link: [ip] for link, ip in links.items()}, "sysctls": {}}
    return found  # type: ignore[no-any-return]  # the rest of it plays no part


def task(ident: str, host: str, ip: str, way_out: str) -> Box:
    """A task of `web` on n1; eth0 is its way out, which may come first."""
    settings = {"Networks": {"n1": {"IPAddress": ip}}, "Ports": {}}
    inspected = {"Id": ident * 64, "HostConfig": {}, "NetworkSettings": settings}
    own = state(eth0=f"{way_out}/16", eth1=f"{ip}/24")
    return Box(HOSTS[host], f"web.1.{ident * 25}", "", inspected, own, {})


def seen(*boxes: Box) -> Seen:
    """Observations of those containers."""
    networks = {"h1/n1": {"Name": "n1", "Scope": "swarm", "Id": "1" * 64}}
    return Seen({"h1": state(), "h2": state()}, list(boxes), networks)


def test_tasks_are_counted_by_host_and_address() -> None:
    found = members(
        [
            task("a", "h2", "10.50.0.3", "172.18.0.3"),
            task("b", "h1", "10.50.0.5", "172.18.0.4"),
            task("c", "h1", "10.50.0.4", "172.18.0.3"),
        ]
    )
    assert [one.id[0] for one in found["web"]] == ["c", "b", "a"]


def test_the_first_task_gets_the_lowest_address() -> None:
    """On every host the way out is counted for itself, and is the last interface."""
    boxes = task("a", "h2", "10.50.0.3", "172.18.0.3"), task("b", "h1", "10.50.0.4", "172.18.0.3")
    first, second = interchanged(seen(*boxes), Services()).boxes
    assert (first.name, first.host.name) == ("web#1", "h1")
    assert first.state["addrs"] == {"eth0": ["10.50.0.3/24"], "eth1": ["172.18.0.3/16"]}
    assert (second.name, second.settings["Networks"]["n1"]["IPAddress"]) == ("web#2", "10.50.0.4")


def test_answers_are_in_the_words_of_those_who_give_them() -> None:
    boxes = task("a", "h1", "10.50.0.4", "172.18.0.4"), task("b", "h1", "10.50.0.3", "172.18.0.3")
    observed = seen(*boxes)
    name = boxes[0].name
    observed.reach = {
        "lan": {"dns tasks.web": "10.50.0.4 10.50.0.3", f"{name} 10.50.0.4 icmp": "ok"}
    }
    assert interchanged(observed, Services()).reach == {
        "lan": {"dns tasks.web": "10.50.0.3 10.50.0.4", "web#2 10.50.0.4 icmp": "ok"}
    }


def test_marks_are_called_after_their_address() -> None:
    balancer = state()
    balancer["links"] = {}
    rule = "-d 10.50.0.2/32 -j MARK --set-xmark 0x100/0xffffffff"
    balancer["iptables"] = {"mangle": {"INPUT": {"policy": "-", "rules": [rule]}}}
    balancer["ipvs"] = ["-A -f 256 -s rr", "-a -f 256 -r 10.50.0.3:0 -m -w 1"]
    observed = seen()
    observed.others = {"h1 balancer n1": ("h1", balancer)}
    _, found = interchanged(observed, Services()).others["h1 balancer n1"]
    assert "0x100" not in json.dumps(found)
    assert found["ipvs"][0] == "-A -f <mark 10.50.0.2> -s rr"


def test_words_are_found_as_a_whole() -> None:
    words = Words({"10.0.0.3": "10.0.0.4", "8080": "8081"})
    text = "10.0.0.3:80 10.0.0.30 10.0.0.3/24 1.10.0.0.3 8080 18080"
    assert words.swapped(text) == "10.0.0.4:80 10.0.0.30 10.0.0.4/24 1.10.0.0.3 8081 18080"
