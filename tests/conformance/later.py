"""What plumb does not have yet.

LATER: features that come later, with the differences that are theirs. Every other difference fails its test. When a feature is
there, its entry goes; a test sees to it that no entry stays which covers nothing.
MISSING: what a scenario cannot be played without; it is skipped, with the reason.

A predicate is told one difference and the scenario's `Asked`: which containers have the embedded DNS server in Docker's recording.
It covers a difference only if the feature brings about that very fact, on that side.
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
    """What Docker's recording says about the feature.

    Attributes:
        resolving: the containers whose resolv.conf names the embedded DNS server.
    """

    resolving: frozenset[str]

    @classmethod
    def of(cls, docker: Recording) -> Asked:
        """What that recording says."""
        return cls(frozenset(name for name, box in docker["containers"].items()
                             if f"nameserver {RESOLVER}\n" in box["files"]["resolv.conf"]))


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
            redirected = any(re.fullmatch(each, rule) for each in REDIRECTS) if rule != fact else fact.startswith("nft table ip docker-dns")
            return missing and (fact.startswith("listens ") or redirected)
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
    "names: there is no embedded DNS server yet": names,
}

MISSING: Mapping[str, str] = {
    "macvlan-*": "the macvlan driver comes later",
    "ipvlan-*": "the ipvlan driver comes later",
    "overlay-*": "the overlay driver and the cluster come later",
}


def missing(scenario: str) -> str:
    """Why that scenario cannot be played, empty if it can."""
    return next((reason for pattern, reason in MISSING.items() if fnmatchcase(scenario, pattern)), "")


def reason(difference: Difference, asked: Asked) -> str:
    """The entry of LATER that covers a difference, empty if none does."""
    return next((why for why, covers in LATER.items() if covers(difference, asked)), "")
