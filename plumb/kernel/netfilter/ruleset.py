"""The rule book of a namespace.

All rules, in the words of the tools that list them, in the moment in which a packet met them.

A trace names nft's rules by their handles. Those of tables of nft's own are listed by libnftables,
with handles. What iptables of the nf_tables variant keeps there has matches and targets that nft
cannot print; so the kernel is asked for the handles alone, and iptables-save for the words: the
n-th of a chain is the same rule in both. The legacy tables are listed by iptables-save too.

iptables-save asks only for tables that are there already; to ask for one by its name would make the
kernel load it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from plumb.errors import PlumbError
from plumb.kernel.netfilter.iptables_save import Ruleset, saved
from plumb.kernel.netfilter.libnftables import HANDLES, IDENTIFIER, TERSE, nft
from plumb.kernel.netlink.codec import attributes, be_number, text
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFGENMSG,
    NFNETLINK_V0,
    NFNL_SUBSYS_NFTABLES,
    NFPROTO_IPV4,
    NFPROTO_IPV6,
    NFT_MSG_GETRULE,
    NFTA_RULE_CHAIN,
    NFTA_RULE_HANDLE,
    NFTA_RULE_TABLE,
)
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_NETFILTER
from plumb.kernel.netns.namespaces import entered
from plumb.model.observations import Netns, RuleHit
from plumb.things.iptables import FAMILIES, TABLES

FAMILY = {"ip": NFPROTO_IPV4, "ip6": NFPROTO_IPV6}


class Listing(NamedTuple):
    """The rules of a namespace.

    Attributes:
        nft: what nft prints.
        handles: of each chain of a table of iptables' in nf_tables, by family, table and chain.
        saved: what iptables-save prints, by backend ("nft", "legacy") and family ("ip", "ip6").
    """

    nft: str
    handles: dict[tuple[str, str, str], list[int]]
    saved: dict[tuple[str, str], Ruleset]


def listing(place: Netns, steps: Iterable[RuleHit]) -> Listing:
    """The rules of a namespace, as far as these steps speak of them."""
    mine = [step for step in steps if step.place == place]
    front = sorted(
        {
            (step.backend, step.family)
            for step in mine
            if step.table in TABLES and step.family in FAMILIES
        }
    )
    own = sorted(
        {
            (step.family, step.table)
            for step in mine
            if step.backend == "nft" and not (step.table in TABLES and step.family in FAMILIES)
        }
    )
    with entered(place.ns):
        found = {
            (backend, family): saved(f"{FAMILIES[family]}-{backend}-save")
            for backend, family in front
        }
        handles = dict(
            each
            for backend, family in front
            if backend == "nft"
            for each in _handles(family).items()
        )
        # A table of iptables' name that iptables does not know is nft's own all the same.
        strange = sorted(
            {
                (step.family, step.table)
                for step in mine
                if step.backend == "nft"
                and step.family in FAMILIES
                and step.table in TABLES
                and step.chain not in found.get(("nft", step.family), {}).get(step.table, {})
            }
        )
        return Listing(
            "".join(_listed(family, table) for family, table in (*own, *strange)), handles, found
        )


def _listed(family: str, table: str) -> str:
    if not IDENTIFIER.fullmatch(table):  # nft would take it for further commands
        return ""
    try:
        return nft().run(f"list table {family} {table}", "read the rules", flags=HANDLES | TERSE)
    except PlumbError:
        return ""  # the table went meanwhile


def _handles(family: str) -> dict[tuple[str, str, str], list[int]]:
    """The handles of each chain's rules, in their order."""
    found: dict[tuple[str, str, str], list[int]] = {}
    try:
        with Connection(NETLINK_NETFILTER) as kernel:
            body = NFGENMSG.pack(FAMILY[family], NFNETLINK_V0, 0)
            rules = kernel.dump(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, body)
    except OSError:
        return found  # there is no nf_tables
    for payload in rules:
        rule = attributes(payload, NFGENMSG.size)
        table, chain = text(rule[NFTA_RULE_TABLE]), text(rule[NFTA_RULE_CHAIN])
        found.setdefault((family, table, chain), []).append(be_number(rule[NFTA_RULE_HANDLE]))
    return found
