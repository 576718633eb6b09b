"""What plumb does not have yet.

LATER: features that come later, with the differences that are theirs. Every other difference fails its test. When a feature is
there, its entry goes; a test sees to it that no entry stays which covers nothing.
MISSING: what a scenario cannot be played without; it is skipped, with the reason.

A predicate is told one difference and the scenario's `Asked`: what Docker's recording says was published, and which containers
have the embedded DNS server. It covers a difference only if the feature brings about that very fact, on that side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.conformance.book import Recording
from tests.conformance.facts import Difference
from tests.labs import ROUTER

RESOLVER = "127.0.0.11"


@dataclass(frozen=True)
class Asked:
    """What Docker's recording says about the two features.

    Attributes:
        opened: (container, "80/tcp") of every published port.
        addresses: the addresses of the containers that publish.
        bound: ("8080", "tcp") of every port of a host that is bound.
        resolving: the containers whose resolv.conf names the embedded DNS server.
    """

    opened: frozenset[tuple[str, str]]
    addresses: frozenset[str]
    bound: frozenset[tuple[str, str]]
    resolving: frozenset[str]

    @classmethod
    def of(cls, docker: Recording) -> Asked:
        """What that recording says."""
        opened, addresses, bound = set(), set(), set()
        for name, box in docker["containers"].items():
            for spec, bindings in (box["inspect"]["Ports"] or {}).items():
                if bindings:
                    opened.add((name, spec))
                    for endpoint in box["inspect"]["Networks"].values():
                        addresses |= {endpoint["IPAddress"], endpoint["GlobalIPv6Address"]} - {""}
                    bound |= {(b["HostPort"], spec.split("/")[1]) for b in bindings if b["HostPort"]}
        resolving = {name for name, box in docker["containers"].items() if f"nameserver {RESOLVER}\n" in box["files"]["resolv.conf"]}
        return cls(frozenset(opened), frozenset(addresses), frozenset(bound), frozenset(resolving))


# -- published ports ----------------------------------------------------------------------

DNAT = re.compile(r"nat DOCKER .*-p (?P<proto>\w+) .*--dport (?P<bound>\d+) -j DNAT --to-destination \[?(?P<address>\S+?)\]?:(?P<port>\d+)")
LOOPBACK = re.compile(r"raw PREROUTING -d 127\.0\.0\.\d+/32 ! -i lo -p (?P<proto>\w+) .*--dport (?P<bound>\d+) -j DROP")
HOLE = re.compile(r"filter DOCKER -d (?P<address>\S+)/\d+ .*-p (?P<proto>\w+) .*--dport (?P<port>\d+) -j ACCEPT")
HAIRPIN = re.compile(r"nat POSTROUTING -s (?P<address>\S+)/\d+ -d (?P=address)/\d+ -p (?P<proto>\w+) .*--dport (?P<port>\d+) -j MASQUERADE")
PORT_RULES = (DNAT, LOOPBACK, HOLE, HAIRPIN)


def published(difference: Difference, asked: Asked) -> bool:
    """Rules, listeners and bindings of a published port, and what is reached through them."""
    fact, missing = difference.fact, difference.sign == "-"
    match difference.group:
        case "host":
            return missing and (_port_rule(fact, asked) or _bound(fact, asked))
        case "api":
            binding = re.fullmatch(r"(\S+) port (\S+) (\S*) (.*)", fact)
            return binding is not None and (binding[1], binding[2]) in asked.opened and missing == (binding[4] != "not published")
        case "reach":
            return _through_a_port(fact, missing, asked)
    return False


def _port_rule(fact: str, asked: Asked) -> bool:
    rule = re.fullmatch(r"\S+ ip6?tables (.*)", fact)
    found = next((match for each in PORT_RULES if rule and (match := each.fullmatch(rule[1]))), None)
    if not found:
        return False
    words = found.groupdict()
    ours = "address" not in words or words["address"] in asked.addresses
    opened = "port" not in words or any(spec == f"{words['port']}/{words['proto']}" for _, spec in asked.opened)
    return ours and opened and ("bound" not in words or (words["bound"], words["proto"]) in asked.bound)


def _bound(fact: str, asked: Asked) -> bool:
    listens = re.fullmatch(r"\S+ listens (\w+) \S+:(\d+)", fact)
    return listens is not None and (listens[2], listens[1]) in asked.bound


def _through_a_port(fact: str, missing: bool, asked: Asked) -> bool:
    """A probe of a host's port; or of a container's from elsewhere, which the port's rule lets in."""
    if to_host := re.fullmatch(r"\S+ -> published \S+:(\d+)/(\w+): .*", fact):
        return missing and (to_host[1], to_host[2]) in asked.bound
    to_container = re.fullmatch(r"lan -> (\S+) (\S+) (tcp|udp)/(\d+): (.*)", fact)
    if not to_container or (to_container[1], f"{to_container[4]}/{to_container[3]}") not in asked.opened:
        return False
    return to_container[2] in asked.addresses and missing == (to_container[5] != "no answer")


# -- names --------------------------------------------------------------------------------

REDIRECTS = (
    r"nat DOCKER_(OUTPUT|POSTROUTING) -[ds] 127\.0\.0\.11/32 .*-j [DS]NAT .*",
    r"nat (OUTPUT|POSTROUTING) -d 127\.0\.0\.11/32 -j DOCKER_\1",
    r"nat (OUTPUT|POSTROUTING) policy ACCEPT",
)
FOREIGN = ("external.test", "external.test/AAAA", "nosuch.test")


def names(difference: Difference, asked: Asked) -> bool:
    """The embedded DNS server: its sockets and rules in the container, the resolv.conf that leads to it, its answers."""
    name, _, fact = difference.fact.partition(" ")
    if name not in asked.resolving:
        return False
    missing = difference.sign == "-"
    match difference.group:
        case "container":
            rule = fact.removeprefix("iptables ")
            return missing and (fact.startswith("listens ") or (rule != fact and any(re.fullmatch(each, rule) for each in REDIRECTS)))
        case "files":
            embedded, outside = {f"resolv.conf nameserver {RESOLVER}", "resolv.conf options ndots:0"}, {f"resolv.conf nameserver {ROUTER}"}
            return fact in (embedded if missing else outside)
        case "reach":
            return fact.startswith("-> dns ") and (missing or _answered_by_the_lan(*fact.removeprefix("-> dns ").rsplit(": ", 1)))
    return False


def _answered_by_the_lan(asked_for: str, answer: str) -> bool:
    """What the LAN's own resolver says of a container's name; nothing, where the container has no way to it."""
    return answer == "no answer" or (answer == "nxdomain" and asked_for not in FOREIGN)


LATER: Mapping[str, Callable[[Difference, Asked], bool]] = {
    "published ports: -p is accepted and recorded, but opens nothing yet": published,
    "names: there is no embedded DNS server yet": names,
}

MISSING: Mapping[str, str] = {
    "macvlan-*": "the macvlan driver comes later",
    "ipvlan-*": "the ipvlan driver comes later",
    "overlay-*": "the overlay driver and the cluster come later",
    "port-conflict": "a port that is taken is refused once ports are published",
    "daemon-nftables": "the nftables back end comes later",
}


def missing(scenario: str) -> str:
    """Why that scenario cannot be played, empty if it can."""
    return next((reason for pattern, reason in MISSING.items() if fnmatchcase(scenario, pattern)), "")


def reason(difference: Difference, asked: Asked) -> str:
    """The entry of LATER that covers a difference, empty if none does."""
    return next((why for why, covers in LATER.items() if covers(difference, asked)), "")
