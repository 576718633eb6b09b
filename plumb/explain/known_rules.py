"""Known rules: reasons of a real Docker's rules, and owners of other rules, by pattern.

Docker records no reasons; but its rules follow a few patterns, and plumb's own are the same with
PLUMB for DOCKER. So plumb can explain a rule of a dockerd, or of another plumb, that it did not
record.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from plumb.drivers import rule_reasons

WHOSE = r"(?:DOCKER|PLUMB)"
TABLES = r"(?:docker|plumb)-bridges"

PUBLISHED = "published: the destination is rewritten to a container's"
SOMEBODYS = "somebody else's rule: neither plumb's nor one of Docker's"


class Pattern(NamedTuple):
    """Regular expressions for a rule's table, chain and text, and the reason for such rules."""

    table: str
    chain: str
    words: str
    why: str


FORWARD = rf"{WHOSE}-FORWARD|FORWARD"
TABLE = (
    Pattern("filter", "FORWARD", rf"-j {WHOSE}-USER", rule_reasons.USERS_RULES_FIRST),
    Pattern(
        "filter",
        rf"{WHOSE}-USER",
        ".*",
        "the administrator's own rule: Docker makes this chain and leaves it to them",
    ),
    Pattern(
        "filter", "FORWARD", rf"-j {WHOSE}-FORWARD", "whatever is forwarded passes Docker's rules"
    ),
    Pattern("filter", FORWARD, rf"-j {WHOSE}-CT", rule_reasons.ESTABLISHED),
    Pattern(
        "filter",
        FORWARD,
        rf"-j {WHOSE}-(?:INTERNAL|ISOLATION-STAGE-1)",
        "networks are parted from each other",
    ),
    Pattern("filter", FORWARD, rf"-j {WHOSE}-(?:BRIDGE|INGRESS)", rule_reasons.INTO_CONTAINERS),
    Pattern(
        "filter",
        rf"{WHOSE}-CT|FORWARD",
        r"-o \S+ .*(?:RELATED,ESTABLISHED|ESTABLISHED,RELATED) -j ACCEPT",
        rule_reasons.REPLIES,
    ),
    Pattern(
        "filter",
        rf"{WHOSE}-(?:INTERNAL|ISOLATION).*",
        ".*-j DROP",
        "an internal network, or one network's way to another: cut off",
    ),
    Pattern(
        "filter",
        rf"{WHOSE}-BRIDGE|FORWARD",
        rf"-o \S+ -j {WHOSE}",
        "packets to this bridge: only published ports are let in",
    ),
    Pattern("filter", WHOSE, r"! -i \S+ -o \S+ -j DROP", rule_reasons.UNPUBLISHED),
    Pattern(
        "filter", WHOSE, r"-d \S+ ! -i \S+ -o \S+ .*--dport \d+ -j ACCEPT", "this port is published"
    ),
    Pattern("filter", FORWARD, r"-i (\S+) -o \1 -j DROP", rule_reasons.NO_ICC),
    Pattern("filter", FORWARD, r"-i \S+(?: ! -o \S+)? -j ACCEPT", rule_reasons.OUTGOING),
    Pattern(
        "nat",
        "PREROUTING|OUTPUT",
        rf".*--dst-type LOCAL -j {WHOSE}",
        "to an address of this host: it may be a published port",
    ),
    Pattern("nat", WHOSE, r".*-j DNAT --to-destination \S+", PUBLISHED),
    Pattern("nat", WHOSE, r"-i \S+ -j RETURN", "from a container to a published port: the proxy's"),
    Pattern("nat", "POSTROUTING", r"-s (\S+) -d \1 .*-j MASQUERADE", rule_reasons.HAIRPIN),
    Pattern(
        "nat",
        "POSTROUTING",
        r"-s \S+ ! -o \S+ -j (?:MASQUERADE|SNAT).*",
        rule_reasons.masquerade("this network"),
    ),
    Pattern(
        "nat", "POSTROUTING", r"-o \S+ .*--src-type LOCAL -j MASQUERADE", rule_reasons.LOCAL_SOURCE
    ),
    Pattern(
        "raw",
        "PREROUTING",
        r"-d 127\.0\.0\.1\S* ! -i lo .*-j DROP",
        "published on this host's loopback: nobody else's, whatever a neighbour routes here",
    ),
    Pattern("raw", "PREROUTING", r"-d \S+ ! -i \S+ -j DROP", rule_reasons.NO_DIRECT_ROUTING),
    Pattern(
        "raw",
        "PREROUTING",
        r"-d \S+ -i \S+ -j ACCEPT",
        "this interface is trusted to reach containers directly",
    ),
    Pattern(
        "nat",
        rf"{WHOSE}_(?:OUTPUT|POSTROUTING)|OUTPUT|POSTROUTING",
        r".*127\.0\.0\.11.*",
        "the embedded DNS server at 127.0.0.11",
    ),
    Pattern(TABLES, "raw-PREROUTING", "ip6? daddr .*drop.*", rule_reasons.NO_DIRECT_ROUTING),
    Pattern(TABLES, "filter-forward-in__.*", ".*UNPUBLISHED PORT DROP.*", rule_reasons.UNPUBLISHED),
    Pattern(
        TABLES,
        "filter-forward-.*",
        "ct state established,related .*accept",
        rule_reasons.ESTABLISHED,
    ),
    Pattern(TABLES, ".*", ".*dnat to .*", PUBLISHED),
    Pattern(TABLES, ".*", ".*(?:masquerade|snat to).*", rule_reasons.masquerade("this network")),
    Pattern(TABLES, ".*", ".*(?:vmap|jump) .*", "to the chains of this network"),
)
OTHERS = {
    "ufw6?-.*": "ufw's rule",
    "KUBE-.*|cali-.*|FLANNEL-.*|CNI-.*|NETAVARK.*": "a rule of Kubernetes' or Podman's network",
    "LIBVIRT_.*": "libvirt's rule",
    "f2b-.*": "fail2ban's rule",
    "ts-.*": "Tailscale's rule",
    "filter_(?:INPUT|FORWARD|OUTPUT|IN_|FWD_|OUT_).*": "firewalld's rule",
}
"""Owners of rules in these chains, or that jump there."""


def known(table: str, chain: str, words: str) -> str:
    """Reason for a rule, in a sentence; the rule's owner, for a rule of unknown purpose."""
    for pattern in TABLE:
        if all(map(re.fullmatch, pattern[:3], (table, chain, words))):
            return pattern.why
    target = re.search(r"(?:-[jg]|jump|goto) (\S+)", words)
    chains = (chain, target[1] if target else "")
    return next(
        (
            whose
            for names, whose in OTHERS.items()
            if any(re.fullmatch(names, name) for name in chains)
        ),
        SOMEBODYS,
    )
