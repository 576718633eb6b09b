"""A scenario, played on plumb: what came of it, in the format of Docker's recordings.

What is random (ids, MACs, names of veths) is replaced by what it stands for: <net n1>, <mac c1
eth0>, veth<c1 eth0>."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from plumb.kernel.netns.namespaces import entered
from tests.conformance import swarm
from tests.conformance.facts import left_behind
from tests.conformance.interchange import interchanged
from tests.conformance.observe import State, observe
from tests.conformance.probes import Probe, Results, Server, laboratory
from tests.conformance.rig import Host, Rig, rig
from tests.conformance.scenarios import Recording, Scenario
from tests.conformance.seen import Box, Seen
from tests.conformance.services import Services
from tests.labs import INTERNET, INTERNET6, ROUTER, sh, within

HOST_PORT = 9000  # where a host's own echo server listens
GUEST_PORTS = (80, 81)  # where every container's does
FILES = ("resolv.conf", "hosts", "hostname")
ENDPOINT = (
    "IPAddress",
    "IPPrefixLen",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPv6Gateway",
    "Aliases",
    "DNSNames",
    "MacAddress",
    "GwPriority",
)
NETWORK = (
    "Name",
    "Driver",
    "Scope",
    "EnableIPv4",
    "EnableIPv6",
    "Internal",
    "Attachable",
    "Ingress",
    "Options",
    "Labels",
)
Look = Callable[[str], State]
PATIENCE = 15.0  # seconds in which a namespace must be gone, or an address usable


def play(scenario: Scenario) -> Recording:
    """Play a scenario on a fresh host, and take everything back; the recording.

    Besides what Docker's recordings have: `bare`, the hosts' state before, and `left`, what is not
    as before after the reset."""
    look = swarm.observe_deeply if scenario.swarm else observe
    with rig(scenario.hosts, scenario.daemon, "{name}" if scenario.swarm else "vm") as lab:
        for route in scenario.lan_routes:
            within(lab.lan, f"ip route add {route}")
        for line in scenario.host_setup:
            within(lab.hosts["h1"].netns, line)
        bare = {name: look(host.netns) for name, host in lab.hosts.items()}
        steps = list(_steps(scenario, lab))
        time.sleep(scenario.settle)
        seen = _see(lab, look)
        services = Services()
        if scenario.swarm:
            services = swarm.services(lab, seen.networks)
            seen.others = swarm.by_network(seen.others, seen.networks)
            seen.more = {key: swarm.network(found) for key, found in seen.networks.items()}
        seen.reach = _reach(lab, seen, services)
        if scenario.swarm:
            seen = interchanged(seen, services)
        normal = _normal(seen)
        if scenario.swarm:
            normal = swarm.recorded(normal, lab, seen.swarm)
        return {**normal, "steps": steps, "bare": bare, "left": _reset(lab, bare, look)}


def _steps(scenario: Scenario, lab: Rig) -> Iterator[dict[str, object]]:
    kept: dict[str, str] = {}
    said = ""
    for line in scenario.steps:
        name, command = line[1:].split(" ", 1) if line.startswith("@") else ("h1", line)
        for variable, value in kept.items():
            command = command.replace(f"${variable}", value)
        if keeps := re.match(r"([A-Z]+) = (.*)", command):
            kept[keeps[1]] = lab.hosts[name].asked(*shlex.split(keeps[2])).strip()
            continue
        if command.startswith("sleep "):
            time.sleep(float(command.split()[1]))
            continue
        if command.startswith("await "):
            service, number = command.split()[1:]
            assert swarm.wait_for_tasks(lab, service, int(number)), f"{command}: after {said!r}"
            continue
        ran = lab.hosts[name].plumb(*shlex.split(command))
        said = ran.stderr.strip()
        yield {"step": line, "rc": ran.returncode, "error": said}


def _reset(lab: Rig, bare: dict[str, State], look: Look) -> list[str]:
    """Take everything back; what is not as before once the kernel has had time to take it down."""
    for host in lab.hosts.values():
        host.asked("reset", "--force")
    deadline = time.monotonic() + PATIENCE
    while True:
        left = [
            f"left: {name} namespace {path}"
            for name, host in lab.hosts.items()
            for path in host.mounted()
        ]
        for name, host in lab.hosts.items():
            left += left_behind(name, bare[name], look(host.netns))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


# -- observing ----------------------------------------------------------------------------


def _see(lab: Rig, look: Look) -> Seen:
    """Read everything back; the command line and the tools work side by side."""
    with ThreadPoolExecutor(4) as pool:
        networks = {
            name: pool.submit(host.listed, "network", listing="ls", flags=["-v"])
            for name, host in lab.hosts.items()
        }
        found = [
            (host, boxes, box, look)
            for host in lab.hosts.values()
            for boxes in [host.listed(listing="ps")]
            for box in boxes
        ]
        for host, boxes, box, _ in found:
            _wait_for_addresses(host.container_netns(box, boxes))
        states = {name: pool.submit(look, host.netns) for name, host in lab.hosts.items()}
        boxes_seen = list(pool.map(lambda each: _box(*each), found))
        return Seen(
            {name: state.result() for name, state in states.items()},
            boxes_seen,
            {
                f"{host}/{n['Name']}": n
                for host, all_of_it in networks.items()
                for n in all_of_it.result()
            },
            _others(lab, boxes_seen, look),
        )


def _box(host: Host, boxes: list[dict[str, Any]], box: dict[str, Any], look: Look) -> Box:
    name, netns = box["Name"].lstrip("/"), host.container_netns(box, boxes)
    show = "; ".join(f"cat /etc/{file}; printf '\\0'" for file in FILES)
    texts = host.asked("exec", name, "sh", "-c", show).split("\0")
    return Box(host, name, netns, box, look(netns), dict(zip(FILES, texts, strict=False)))


def _wait_for_addresses(netns: str) -> None:
    """Until no IPv6 address of the namespace is being tested for duplicates."""
    deadline = time.monotonic() + PATIENCE
    with entered(netns):
        while sh("ip -6 address show tentative") and time.monotonic() < deadline:
            time.sleep(0.05)


def _others(lab: Rig, boxes: list[Box], look: Look) -> dict[str, tuple[str, State]]:
    """Namespaces that are no container's, by host and the kinds of links in them."""
    known = {
        os.stat(path).st_ino
        for path in (*(box.netns for box in boxes), *(host.netns for host in lab.hosts.values()))
    }
    found: dict[str, tuple[str, State]] = {}
    for host in lab.hosts.values():
        for path in host.mounted():
            inode = os.stat(path).st_ino
            if inode in known:
                continue
            known.add(inode)
            state = look(path)
            kinds = {link["kind"] or name for name, link in state["links"].items()}
            label = f"{host.name} {'+'.join(sorted(kinds))}"
            found[label if label not in found else f"{label} #{len(found)}"] = host.name, state
    return found


# -- who reaches whom ---------------------------------------------------------------------


def _reach(lab: Rig, seen: Seen, services: Services) -> Results:
    """Every container, every host and the LAN try every address, every published port and every
    name."""
    hosts = list(lab.hosts.values())
    guests = [box for box in seen.boxes if box.mode != "host"]
    servers = [
        Server(lab.lan, "lan", (80, HOST_PORT)),
        *(Server(host.netns, host.name, (HOST_PORT,)) for host in lab.hosts.values()),
        *(Server(box.netns, box.name, GUEST_PORTS) for box in guests),
    ]
    questions: dict[str, tuple[str, list[Probe]]] = {
        "lan": (
            lab.lan,
            [
                *_to_containers("lan", guests),
                *_to_published("lan", seen.boxes),
                *services.to_ingress(seen.boxes, hosts, local=False),
            ],
        )
    }
    for name, host in lab.hosts.items():
        questions[name] = (
            host.netns,
            [
                *_to_containers(name, guests),
                *_to_published(name, seen.boxes),
                *services.to_ingress(seen.boxes, hosts, local=True),
            ],
        )
    for box in guests:
        questions[box.name] = (
            box.netns,
            [
                *_to_containers(box.name, guests),
                *_to_published(box.name, seen.boxes),
                *services.to_ingress(seen.boxes, hosts, local=False),
                *services.to_virtual(seen.boxes),
                *_to_world(lab),
                *_to_names(box, guests, seen.boxes, services.names()),
            ],
        )
    with laboratory(servers, (lab.lan, ROUTER)) as made:
        return made.ask(questions)


def _to_containers(source: str, guests: list[Box]) -> Iterator[Probe]:
    for box in guests:
        for address in box.addresses if box.name != source else ():
            yield Probe(f"{box.name} {address} icmp", "icmp", address)
            for proto in ("tcp", "udp"):
                yield Probe(f"{box.name} {address} {proto}/80", proto, address, 80)


def _to_published(source: str, boxes: list[Box]) -> Iterator[Probe]:
    targets = {
        (target, int(binding["HostPort"]), spec.split("/")[1])
        for box in boxes
        for spec, bindings in (box.settings.get("Ports") or {}).items()
        for binding in bindings or ()
        if binding["HostPort"]  # none: the port is opened, not mapped (routed)
        for target in (
            box.host.v4,
            box.host.v6,
            *(("127.0.0.1", "::1") if source == box.host.name else ()),
        )
    }
    for target, port, proto in sorted(targets):
        if proto in ("tcp", "udp"):
            yield Probe(f"published {target}:{port}/{proto}", proto, target, port)


def _to_world(lab: Rig) -> Iterator[Probe]:
    yield Probe("internet icmp", "icmp", INTERNET)
    yield Probe("internet tcp", "tcp", INTERNET, 80)
    yield Probe("internet udp", "udp", INTERNET, 80)
    yield Probe("internet6 tcp", "tcp", INTERNET6, 80)
    yield Probe("lan tcp", "tcp", ROUTER, 80)
    for host in lab.hosts.values():
        yield Probe(f"{host.name} tcp", "tcp", host.v4, HOST_PORT)


def _to_names(box: Box, guests: list[Box], boxes: list[Box], services: set[str]) -> Iterator[Probe]:
    """Every name there may be, put to the resolver that the container's resolv.conf names."""
    asked = {"external.test", "external.test/AAAA", "nosuch.test"} | services
    for guest in guests:
        asked |= {guest.name, f"{guest.name}/AAAA"}
        asked |= {
            ".".join(reversed(address.split("."))) + ".in-addr.arpa/PTR"
            for address in guest.addresses
            if "." in address
        }
    for other in boxes:
        for network, endpoint in other.settings["Networks"].items():
            asked |= {
                alias
                for alias in endpoint.get("Aliases") or ()
                if not re.fullmatch("[0-9a-f]{12}", alias)
            }
            asked.add(f"{other.name}.{network}")
    server = re.search(r"(?m)^nameserver\s+(\S+)", box.files["resolv.conf"])
    for name in sorted(asked):
        yield Probe(f"dns {name}", "dns", name, server=server[1] if server else "127.0.0.1")


# -- what is random -----------------------------------------------------------------------


def _normal(seen: Seen) -> Recording:
    """The recording, with labels for whatever differs from one time to the next."""
    raw = {
        "hosts": {name: _tidy(state) for name, state in seen.hosts.items()},
        "containers": {
            box.name: {
                "host": box.host.name,
                "state": _resolver_labelled(_tidy(box.state)),
                "files": box.files,
                "inspect": _inspected(box),
            }
            for box in seen.boxes
        },
        "others": {
            label: {"host": host, "state": _resolver_labelled(_tidy(state))}
            for label, (host, state) in seen.others.items()
        },
        "networks": {
            key: {
                **{k: network.get(k) for k in NETWORK},
                "IPAM": (network.get("IPAM") or {}).get("Config"),
                **seen.more.get(key, {}),
            }
            for key, network in seen.networks.items()
        },
        "reach": seen.reach,
    }
    for state in raw["hosts"].values():
        state["listeners"] = [
            line for line in state["listeners"] if not line.endswith(f":{HOST_PORT}")
        ]
    for box in raw["containers"].values():
        box["state"]["listeners"] = [
            line for line in box["state"]["listeners"] if "127.0.0.11" in line
        ]
    labels = _labels(seen)
    found = re.compile("|".join(map(re.escape, sorted(labels, key=len, reverse=True))) or r"(?!)")
    normal: Recording = json.loads(found.sub(lambda match: labels[match[0]], json.dumps(raw)))
    for each in (
        *normal["hosts"].values(),
        *(c["state"] for kind in ("containers", "others") for c in normal[kind].values()),
    ):
        for link in each["links"].values():  # a bridge's or a host's MAC is the kernel's choice
            if (
                link["mac"]
                and not link["mac"].startswith("<mac")
                and link["mac"] != "00:00:00:00:00:00"
            ):
                link["mac"] = "*"
    return normal


def _inspected(box: Box) -> dict[str, Any]:
    return {
        "Ports": box.settings.get("Ports"),
        "Networks": {
            name: {key: endpoint.get(key) for key in ENDPOINT}
            for name, endpoint in box.settings["Networks"].items()
        },
    }


def _tidy(state: State) -> dict[str, Any]:
    indices = ("index", "peer_index")
    return {
        **state,
        "links": {
            name: {k: v for k, v in link.items() if k not in indices}
            for name, link in state["links"].items()
        },
    }


def _resolver_labelled(state: dict[str, Any]) -> dict[str, Any]:
    """The embedded resolver's own ports are labelled, in the rules that lead to them as well."""
    text = json.dumps(state)
    for proto in ("tcp", "udp"):  # both may have the same number
        for port in re.findall(rf"{proto} 127\.0\.0\.11:(\d+)", text):
            lines = re.compile(rf'"[^"]*\b{proto}\b[^"]*"')
            text = lines.sub(partial(_with_label, port, f"<dns {proto} port>"), text)
    labelled: dict[str, Any] = json.loads(text)
    return labelled


def _with_label(port: str, label: str, line: re.Match[str]) -> str:
    return re.sub(rf"\b{port}\b", label, line[0])


def _labels(seen: Seen) -> dict[str, str]:
    """What each random value stands for."""
    labels: dict[str, str] = {}
    for network in seen.networks.values():
        ident, name = network["Id"], network["Name"]
        labels[ident] = f"<net {name}>"
        labels.update(
            {f"{prefix}-{ident[:12]}": f"{prefix}-<{name}>" for prefix in ("br", "dm", "di")}
        )
    for box in seen.boxes:
        ident = box.inspected["Id"]
        labels[ident] = labels[ident[:12]] = f"<ctr {box.name}>"
        sandbox = box.settings.get("SandboxID") or ""
        labels[sandbox] = labels[sandbox[:12]] = f"<sandbox {box.name}>"
        if box.mode != "host":
            macs = {
                link["mac"] or "": f"<mac {box.name} {name}>"
                for name, link in box.state["links"].items()
                if name != "lo"
            }
            labels.update(macs | _veths(box.name, box.state, seen.hosts[box.host.name]))
        labels.update(
            {e.get("EndpointID") or "": "<endpoint>" for e in box.settings["Networks"].values()}
        )
    for label, (host, state) in seen.others.items():
        labels = _veths(label.split(" #")[0], state, seen.hosts[host]) | labels
    labels.pop("", None)
    return labels


def _veths(name: str, state: State, host: State) -> dict[str, str]:
    """The host's ends of the veths of a namespace."""
    by_index = {
        link["index"]: peer for peer, link in host["links"].items() if link["kind"] == "veth"
    }
    return {
        by_index[link["peer_index"]]: f"veth<{name} {inner}>"
        for inner, link in state["links"].items()
        if link["kind"] == "veth" and link["peer_index"] in by_index
    }
