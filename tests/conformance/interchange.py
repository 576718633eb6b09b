"""Tasks of a service, given their places anew, so that two recordings can be compared.

Tasks of a service are equal, and start at once: chance decides which of them, on which node, gets
which of the service's addresses. They are counted by host and address, called SERVICE#1,
SERVICE#2, …, and the first gets the lowest of the addresses, on every network. So do the balancers
of a network, by host. Interfaces, bridges and veths are counted anew; firewall marks are called
after the virtual address that they stand for."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any, TypeVar

from tests.conformance.observe import State
from tests.conformance.seen import Box, Seen
from tests.conformance.services import Services

T = TypeVar("T")
TASK = re.compile(r"(?P<service>.+)\.(?P<slot>[^.]+)\.(?P<id>[0-9a-z]{20,})")
FIRST_CHOSEN = 32768
"""Lowest port that a host chooses by itself."""
MARK = re.compile(r"-d (\S+?)(?:/32)? -j MARK --set-xmark 0x([0-9a-f]+)/0xffffffff")


def _as_question(address: str) -> str:
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


def _as_mac(address: str) -> str:
    return "02:42:" + ":".join(f"{int(byte):02x}" for byte in address.split("."))


FORMS = (str, _as_question, _as_mac)
"""Forms of an address: as it is, in a question for its name, in an overlay's MAC addresses."""


@dataclass
class Words:
    """Words that stand for others, in all that was observed, and on one host only."""

    everywhere: dict[str, str] = field(default_factory=dict)
    here: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def swapped(self, value: T, host: str | None = None) -> T:
        """A value of JSON with these words in its texts."""
        words = {**self.everywhere, **(self.here[host] if host else {})}
        if not words:
            return value
        found = re.compile("|".join(map(_bounded, sorted(words, key=len, reverse=True))))

        def walk(part: Any) -> Any:
            if isinstance(part, dict):
                return {walk(key): walk(each) for key, each in part.items()}
            if isinstance(part, list):
                return [walk(each) for each in part]
            return found.sub(lambda m: words[m[0]], part) if isinstance(part, str) else part

        swapped: T = walk(value)
        return swapped


def _bounded(word: str) -> str:
    """A pattern that finds a word as a whole: 10.0.0.3 in 10.0.0.3/24, not in 10.0.0.30."""
    if word.isdecimal():
        return rf"(?<![0-9.a-f]){word}(?![0-9])"
    if re.fullmatch(r"[0-9.]+", word):
        return rf"(?<![0-9.]){re.escape(word)}(?![0-9]|\.[0-9])"
    return ("(?<![0-9.])" if word.endswith(".arpa") else "") + re.escape(word)


@dataclass(frozen=True)
class Member:
    """A task's container: its addresses by network, its other ones, its host's ports for it."""

    box: Box
    service: str
    id: str
    nets: dict[str, str]
    others: list[str]
    ports: list[str]

    @property
    def order(self) -> tuple[str, list[int], str]:
        """By host, then by address: that on ingress first."""
        names = sorted(self.nets, key=lambda name: (name != "ingress", name))
        return self.box.host.name, [_number(self.nets[name]) for name in names], self.box.name


def _number(address: str) -> int:
    return int(ip_address(address))


def members(boxes: Iterable[Box]) -> dict[str, list[Member]]:
    """Tasks by service, in their order."""
    found: dict[str, list[Member]] = defaultdict(list)
    for box in boxes:
        if match := TASK.fullmatch(box.name):
            found[match["service"]].append(_member(box, match["service"], match["id"]))
    return {name: sorted(each, key=lambda one: one.order) for name, each in found.items()}


def _member(box: Box, service: str, ident: str) -> Member:
    if box.mode == "host":
        return Member(box, service, ident, {}, [], [])
    nets = {
        name: end["IPAddress"]
        for name, end in box.settings["Networks"].items()
        if end.get("IPAddress")
    }
    others = [a for a in box.addresses if a not in nets.values() and ":" not in a]
    ports = {
        int(binding["HostPort"])
        for bindings in (box.settings.get("Ports") or {}).values()
        for binding in bindings or ()
        if int(binding["HostPort"] or 0) >= FIRST_CHOSEN
    }
    return Member(box, service, ident, nets, others, [str(port) for port in sorted(ports)])


def interchanged(seen: Seen, services: Services) -> Seen:
    """The same observations, with all that is chance replaced."""
    words = _words(seen, services)
    boxes = [_box(box, words) for box in seen.boxes]
    home = {box.name: box.host.name for box in seen.boxes} | {host: host for host in seen.hosts}
    return Seen(
        {host: words.swapped(state, host) for host, state in seen.hosts.items()},
        sorted(boxes, key=lambda box: box.name),
        {
            key: {**words.swapped(net, key.partition("/")[0]), "Id": net["Id"]}
            for key, net in seen.networks.items()
        },
        {
            label: (host, _labelled(_counted(words.swapped(state, host))))
            for label, (host, state) in seen.others.items()
        },
        {
            words.swapped(source): _answers(probes, words, home, home.get(source))
            for source, probes in seen.reach.items()
        },
        {key: words.swapped(more, key.partition("/")[0]) for key, more in seen.more.items()},
        words.swapped(services.facts()),
    )


def _words(seen: Seen, services: Services) -> Words:
    words = Words()
    for service in services.inspected:
        words.everywhere[service["ID"]] = f"<service {service['Spec']['Name']}>"
    for node in services.nodes:
        words.everywhere[node["ID"]] = f"<node {node['Description']['Hostname']}>"
    spanning = {net["Name"] for net in seen.networks.values() if net.get("Scope") == "swarm"}
    for name, tasks in members(seen.boxes).items():
        _in_networks(tasks, spanning, words)
        for host in {task.box.host.name for task in tasks}:
            here = [task for task in tasks if task.box.host.name == host]
            _in_order([a for task in here for a in task.others], words.here[host])
            ports = [port for task in here for port in task.ports]
            words.here[host].update(zip(ports, sorted(ports, key=int), strict=True))
        for number, task in enumerate(tasks, 1):
            words.everywhere[task.box.name] = f"{name}#{number}"
            words.everywhere[task.id] = f"<task {name}#{number}>"
    for name in spanning:
        _in_order(_balancers(seen, name), words.everywhere)
    return words


def _in_networks(tasks: Sequence[Member], spanning: set[str], words: Words) -> None:
    """On every network the first task has the lowest address."""
    for net in {name for task in tasks for name in task.nets}:
        there = [task for task in tasks if net in task.nets]
        lowest = sorted((task.nets[net] for task in there), key=_number)
        for task, new in zip(there, lowest, strict=True):
            place = words.everywhere if net in spanning else words.here[task.box.host.name]
            place.update({form(task.nets[net]): form(new) for form in FORMS})


def _in_order(addresses: Sequence[str], words: dict[str, str]) -> None:
    for old, new in zip(addresses, sorted(addresses, key=_number), strict=True):
        words.update({form(old): form(new) for form in FORMS})


def _balancers(seen: Seen, network: str) -> list[str]:
    """Addresses of a network's balancers, by host; virtual ones are alone in their subnet."""
    return [
        address.split("/")[0]
        for label, (host, state) in sorted(seen.others.items())
        if label == f"{host} balancer {network}"
        for address in state["addrs"].get("eth0", ())
        if not address.endswith("/32")
    ]


def _box(box: Box, words: Words) -> Box:
    host = box.host.name
    found = members([box])
    state = box.state
    if found and box.mode != "host":
        (task,) = next(iter(found.values()))
        state = _in_order_of_networks(state, {ip: name for name, ip in task.nets.items()})
    return replace(
        box,
        name=words.swapped(box.name),
        inspected={**words.swapped(box.inspected, host), "Id": box.inspected["Id"]},
        state=words.swapped(state, host),
        files=words.swapped(box.files, host),
    )


def _in_order_of_networks(state: State, by_address: dict[str, str]) -> State:
    """A task joins its networks in any order: ingress becomes the first, the way out the last."""

    def network(addresses: Sequence[str]) -> str | None:
        names = (by_address.get(address.split("/")[0]) for address in addresses)
        return next(filter(None, names), None)

    held = {link: network(found) for link, found in state["addrs"].items() if link != "lo"}
    order = sorted(
        held, key=lambda link: (held[link] is None, held[link] != "ingress", held[link] or "")
    )
    return _renamed(state, {old: f"eth{number}" for number, old in enumerate(order)}, r"eth\d+")


def _renamed(state: State, names: dict[str, str], pattern: str) -> State:
    text = re.sub(rf"\b(?:{pattern})\b", lambda m: names.get(m[0], m[0]), json.dumps(state))
    renamed: State = json.loads(text)
    return renamed


def _counted(state: State) -> State:
    """An overlay's bridges, counted by VNI, and its members' veths, by bridge."""
    links = state["links"]
    vnis = {name: link["data"].get("id", 0) for name, link in links.items()
            if link["kind"] == "vxlan"}  # fmt: skip
    if not vnis:
        return state
    names: dict[str, str] = {}
    for number, name in enumerate(sorted(vnis, key=lambda name: vnis[name])):
        names |= {name: f"vxlan{number}", f"br{name.removeprefix('vxlan')}": f"br{number}"}
    veths = [name for name in links if re.fullmatch(r"veth\d+", name)]
    veths.sort(key=lambda name: (names.get(links[name]["master"] or "", ""), int(name[4:])))
    names |= {name: f"veth{number}" for number, name in enumerate(veths)}
    return _renamed(state, names, r"(?:vxlan|br|veth)\d+")


def _labelled(state: State) -> State:
    """Firewall marks are counted up in the order of arrival."""
    text = json.dumps(state)
    for address, mark in set(MARK.findall(text)):
        text = text.replace(f"--set-xmark 0x{mark}/0xffffffff", f"--set-xmark <mark {address}>")
        text = re.sub(rf"-f {int(mark, 16)}(?= )", f"-f <mark {address}>", text)
    labelled: State = json.loads(text)
    return labelled


def _answers(
    probes: dict[str, str], words: Words, home: dict[str, str], own: str | None
) -> dict[str, str]:
    found = {}
    for probe, answer in probes.items():
        said = words.swapped(answer, own)
        if probe.startswith("dns "):
            said = " ".join(sorted(said.split()))
        elif ", " in said:
            said = ", ".join(sorted(said.split(", ")))
        found[words.swapped(probe, home.get(probe.split(" ")[0], own))] = said
    return dict(sorted(found.items()))
