"""A recording as small facts, by group; and the facts that only one of two recordings has.

A fact is a line such as "c1 route default via 172.20.0.1 dev eth0" or "lan -> c1 172.20.0.2 icmp:
no answer". Facts of a bare host are left out. Wherever Docker says docker, plumb says plumb: that
is the only difference which is forgiven. The order of rules is no fact. In the built-in chains,
where they commute, it is compared by what it does to traffic only; `misordered` compares it in the
chains that are the engine's own."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.conformance.scenarios import Recording

Facts = Counter[str]
CONTROL_PLANE = r" listens (tcp|udp) \S+:(7946|2379|2380)$"
NO_MAC = "00:00:00:00:00:00"


@dataclass(frozen=True, order=True)
class Difference:
    """A fact that only one side has: sign "-" is Docker's, "+" is plumb's."""

    group: str
    sign: str
    fact: str

    def __str__(self) -> str:
        return f"{self.sign} [{self.group}] {self.fact}"


def differences(docker: Recording, plumb: Recording) -> list[Difference]:
    """Every fact that one recording has and the other has not."""
    bare: Facts = Counter()
    for name, state in plumb.get("bare", {}).items():
        bare.update(state_facts(name, hide_macs(state)))
    theirs, ours = facts(docker), facts(plumb)
    found = []
    for group, wanted in theirs.items():
        got = as_docker(ours[group])
        wanted, got = _telling(wanted), _telling(got)
        if group == "host":
            wanted, got = wanted - bare, got - bare
        found += [Difference(group, "-", fact) for fact in (wanted - got).elements()]
        found += [Difference(group, "+", fact) for fact in (got - wanted).elements()]
    return sorted(found)


def _telling(found: Facts) -> Facts:
    """The facts without listeners by which managers talk: gossip in Docker, etcd in plumb."""
    return Counter({fact: n for fact, n in found.items() if not re.search(CONTROL_PLANE, fact)})


def as_docker(ours: Facts) -> Facts:
    """plumb's facts under Docker's names."""
    renamed: Facts = Counter()
    for fact, number in ours.items():
        renamed[fact.replace("plumb", "docker").replace("PLUMB", "DOCKER")] += number
    return renamed


def misordered(docker: Recording, plumb: Recording) -> list[str]:
    """The engine's own chains on a host in which the rules that both have are not in the same
    order."""
    ours = json.loads(
        json.dumps(plumb["hosts"]).replace("plumb", "docker").replace("PLUMB", "DOCKER")
    )
    found = []
    for host, state in docker["hosts"].items():
        for tool, table, chain, rules in _own_chains(state):
            got = ours[host][tool].get(table, {}).get(chain, {"rules": []})["rules"]
            theirs_too = [rule for rule in got if rule in rules]
            if theirs_too != [rule for rule in rules if rule in got]:
                found.append(f"{host} {tool} {table} {chain}: in the order of {theirs_too}")
        found += [
            f"{host} nft {wrong}" for wrong in _misordered_natively(state["nft"], ours[host]["nft"])
        ]
    return found


def _misordered_natively(theirs: str, ours: str) -> Iterator[str]:
    """The same for nft's own chains."""
    wanted, got = _native_chains(theirs), _native_chains(ours)
    for chain in wanted.keys() & got.keys():
        both = [rule for rule in got[chain] if rule in wanted[chain]]
        if both != [rule for rule in wanted[chain] if rule in got[chain]]:
            yield f"{chain}: in the order of {both}"


def _native_chains(listing: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for fact in _native("", listing):
        chain, _, rule = fact.partition(": ")
        if " / chain " in chain:
            found.setdefault(chain.strip(), []).append(rule)
    return found


def _own_chains(state: Mapping[str, Any]) -> Iterator[tuple[str, str, str, list[str]]]:
    for tool in ("iptables", "ip6tables"):
        for table, chains in state[tool].items():
            yield from (
                (tool, table, chain, body["rules"])
                for chain, body in chains.items()
                if chain.startswith("DOCKER")
            )


def left_behind(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What is not as before on a host."""
    was, now = (Counter(state_facts(name, hide_macs(state))) for state in (before, after))
    return [f"gone: {fact}" for fact in (was - now).elements()] + [
        f"left: {fact}" for fact in (now - was).elements()
    ]


def hide_macs(state: Mapping[str, Any]) -> dict[str, Any]:
    """A host's state without what is random, or the player's own: MACs and listeners."""
    hidden = copy.deepcopy(dict(state))
    hidden["listeners"] = []
    for link in hidden["links"].values():
        link["mac"] = "*" if link["mac"] != NO_MAC else link["mac"]
    return hidden


def hide_random(xfrm: str) -> str:
    """A state or a policy of IPsec without its SPI and its counters, of which keys and time decide.

    How many there are, between whom, with which algorithm and mark, is left.
    """
    uncounted = re.sub(r" anti-replay context: .*?(?= sel |$)", "", xfrm)
    return re.sub(r"\bspi (0x\w+|<spi>)", "spi *", uncounted)


def facts(recording: Recording) -> dict[str, Facts]:
    """The facts, by group."""
    containers = recording["containers"]
    return {
        "steps": Counter(
            f"step {i} {s['step']} {'refused' if s['rc'] else 'done'}"
            for i, s in enumerate(recording["steps"])
        ),
        "host": Counter(
            fact for name, state in recording["hosts"].items() for fact in state_facts(name, state)
        ),
        "container": Counter(
            fact
            for name, box in containers.items()
            if box["inspect"].get("Networks", {}).keys() != {"host"}
            for fact in state_facts(name, box["state"])
        ),
        "other": Counter(
            fact
            for label, other in recording.get("others", {}).items()
            for fact in state_facts(label.split(" #")[0], other["state"])
        ),
        "files": Counter(
            fact for name, box in containers.items() for fact in _files(name, box["files"])
        ),
        "api": Counter(
            [
                *(
                    fact
                    for name, box in containers.items()
                    for fact in _inspected(name, box["inspect"])
                ),
                *(
                    fact
                    for key, network in recording["networks"].items()
                    for fact in _network(key, network)
                ),
                *_swarm(recording.get("swarm", {})),
            ]
        ),
        "reach": Counter(_reach(recording["reach"])),
        "after reset": Counter(recording.get("left", ())),
    }


# -- groups -------------------------------------------------------------------------------


def state_facts(where: str, state: Mapping[str, Any]) -> Iterator[str]:
    """The facts of a namespace."""
    for name, link in state["links"].items():
        yield from (
            f"{where} link {name} {key} {link[key]}"
            for key in ("kind", "mac", "mtu", "master", "parent")
        )
        yield f"{where} link {name} flags {' '.join(link['flags'])}"
        yield from (
            f"{where} link {name} {key} {value}"
            for key, value in {**link["data"], **link["port"]}.items()
        )
    yield from (
        f"{where} address {name} {address}"
        for name, found in state["addrs"].items()
        for address in found
    )
    for word, key in (
        ("route", "routes"),
        ("neighbour", "neighbours"),
        ("fdb", "fdb"),
        ("listens", "listeners"),
        ("ipvs", "ipvs"),
    ):
        yield from (f"{where} {word} {line}" for line in state[key])
    yield from (f"{where} sysctl {key} = {value}" for key, value in state["sysctls"].items())
    for tool in ("iptables", "ip6tables"):
        yield from _rules(f"{where} {tool}", state[tool])
    yield from _native(f"{where} nft", state["nft"])
    for what in ("state", "policy"):
        yield from (f"{where} xfrm {what} {hide_random(line)}" for line in state["xfrm"][what])
    yield from (f"{where} rule {line}" for line in state.get("rules", ()))
    if state.get("ipvs_timeouts"):
        yield f"{where} ipvs timeouts {state['ipvs_timeouts']}"


def _rules(where: str, tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for table, chains in tables.items():
        for chain, body in chains.items():
            if body["policy"] != "-":
                yield f"{where} {table} {chain} policy {body['policy']}"
            yield from (f"{where} {table} {chain} {rule}" for rule in body["rules"])


def _native(where: str, listing: str) -> Iterator[str]:
    """nft's listing by the line; a map's elements one by one, in any order."""
    table = block = ""
    for line in map(str.strip, listing.splitlines()):
        if line.startswith("table"):
            table = block = line.rstrip(" {")
        elif line.startswith(("chain", "map", "set")):
            block = f"{table} / {line.rstrip(' {')}"
        elif line not in ("", "}"):
            yield f"{where} {block}: " + re.sub(r"^elements = \{ | \}$|,$", "", line)


def _files(name: str, files: Mapping[str, str]) -> Iterator[str]:
    for line in files["resolv.conf"].splitlines():
        if line.strip() and not line.startswith("#"):
            yield f"{name} resolv.conf {' '.join(line.split())}"
    for line in files["hosts"].splitlines():
        address, *names = line.split("#")[0].split() or [""]
        yield from (
            f"{name} hosts {address} {each}" for each in names if not each.startswith("ip6-")
        )
    yield f"{name} hostname {files['hostname'].strip()}"


def _inspected(name: str, inspect: Mapping[str, Any]) -> Iterator[str]:
    for network, endpoint in inspect["Networks"].items():
        for key, value in endpoint.items():
            if key in ("Aliases", "DNSNames"):
                yield from (f"{name} {network} {key} {each}" for each in value or ())
            elif value not in (None, "", 0):
                yield f"{name} {network} {key} {value}"
    for spec, bindings in (inspect["Ports"] or {}).items():
        for binding in bindings or [{"HostIp": "", "HostPort": "not published"}]:
            yield f"{name} port {spec} {binding['HostIp']} {binding['HostPort']}"


def _network(key: str, network: Mapping[str, Any]) -> Iterator[str]:
    for name, value in network.items():
        if name == "IPAM":
            yield from (
                f"network {key} pool {json.dumps(pool, sort_keys=True)}" for pool in value or ()
            )
        elif name in ("Options", "Labels"):
            yield from (f"network {key} {name} {k}={v}" for k, v in (value or {}).items())
        elif name in ("Peers", "Containers"):
            yield from (f"network {key} {name[:-1].lower()} {each}" for each in value)
        elif name == "Services":
            for service, about in value.items():
                yield (
                    f"network {key} service {service} VIP {about['VIP']} ports {about['Ports']} "
                    f"balanced {about['Balanced']}"
                )
                yield from (f"network {key} service {service} task {t}" for t in about["Tasks"])
        else:
            yield f"network {key} {name} {value}"


def _swarm(swarm: Mapping[str, Any]) -> Iterator[str]:
    """Services, tasks and nodes."""
    for kind in ("services", "nodes"):
        for name, fields in swarm.get(kind, {}).items():
            for key, value in fields.items():
                yield from (f"{kind[:-1]} {name} {key}{each}" for each in _values(value))
    for name, tasks in swarm.get("tasks", {}).items():
        yield from (f"service {name} task {task}" for task in tasks)
    for name, role in swarm.get("roles", {}).items():
        yield f"host {name} is {role}"


def _values(value: Any) -> Iterator[str]:
    """A field's value, or each of its values."""
    if isinstance(value, dict):
        yield from (f" {key} {json.dumps(each, sort_keys=True)}" for key, each in value.items())
    elif isinstance(value, list):
        yield from (f" {json.dumps(each, sort_keys=True)}" for each in value)
    elif value not in (None, ""):
        yield f" {value}"


def _reach(reach: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Whether a host without an ARP answer is unreachable yet, or silent still, is only a matter of
    time."""
    for source, probes in reach.items():
        for probe, found in probes.items():
            yield (
                f"{source} -> {probe}: "
                f"{'no answer' if found in ('timeout', 'unreachable') else found}"
            )
