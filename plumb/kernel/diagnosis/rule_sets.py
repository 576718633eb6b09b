"""Chains of iptables and nftables in the calling thread's namespace, with their rules.

iptables-save lists the rules of its own variant; libnftables lists all other tables, as JSON. Where
nothing was ever written, neither is asked: a question for a table could create it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plumb.errors import KernelRefused, PlumbError, Unsupported
from plumb.kernel.netfilter import iptables_save as save
from plumb.kernel.netfilter.foreign_chains import HOOKS, PRIORITIES, listed, nft_json
from plumb.kernel.netfilter.foreign_rules import from_iptables, from_nft
from plumb.kernel.netlink.codec import attributes, text
from plumb.kernel.netlink.nfnetlink import Netfilter
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFGENMSG,
    NFNL_SUBSYS_NFTABLES,
    NFT_MSG_GETCHAIN,
    NFTA_CHAIN_TYPE,
)
from plumb.model.diagnosis.snapshot import FIREWALL, ChainState, RuleState
from plumb.model.foreign_firewall import FirewallRule
from plumb.things.iptables import FAMILIES, TABLES

ALL_HOOKS = {**HOOKS, "OUTPUT": "output"}
FAMILIES_READ = ("ip", "ip6", "inet")


def chains(failed: list[str]) -> list[ChainState]:
    """Read the chains of all tables.

    Args:
        failed: sentences on what could not be read are appended. The rest is read all the same.
    """
    items: list[Any] = []
    with _noting(failed):
        items = _of_all_tables()
    tables = {(item["table"]["family"], item["table"]["name"]) for item in items if "table" in item}
    found: list[ChainState] = []
    for family in FAMILIES:
        # Without the command, libnftables has what there is: tables may have these names.
        nft = f"{FAMILIES[family]}-nft"
        if any((family, table) in tables for table in TABLES) and save.found(f"{nft}-save"):
            with _noting(failed):
                found += _of_iptables(nft, family)
        if _legacy(family):
            with _noting(failed):
                found += _of_iptables(f"{FAMILIES[family]}-legacy", family)
    known = {(chain.family, chain.table) for chain in found if chain.tool.endswith("-nft")}
    return [*found, *_of_nft(items, known)]


def of_container(failed: list[str]) -> list[ChainState]:
    """Read the chains of all tables, where any may keep packets from a container.

    Most containers have the embedded DNS server's rules in the table nat, or none: two questions
    tell, which start no process.

    Args:
        failed: sentences on what could not be read are appended.
    """
    legacy = any(set(_used(family)) - {"nat"} for family in FAMILIES)
    return chains(failed) if legacy or _filters() else []


def _filters() -> bool:
    """Test for base chains of nf_tables that can drop packets; false without nf_tables."""
    try:
        with Netfilter() as kernel:
            found = kernel.dump(
                NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, NFGENMSG.pack(0, 0, 0)
            )
    except OSError:
        return False
    kinds = (attributes(body, NFGENMSG.size).get(NFTA_CHAIN_TYPE, b"") for body in found)
    return any(text(kind) not in ("", "nat") for kind in kinds)


@contextmanager
def _noting(failed: list[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, PlumbError) as error:
        failed.append(f"{FIREWALL}: {error}")


def _of_all_tables() -> list[Any]:
    """Ask libnftables for all that it has; nothing for a kernel without nf_tables."""
    try:
        return listed("list ruleset")
    except Unsupported as error:
        if isinstance(error.__cause__, KernelRefused):
            return []
        raise


def _legacy(family: str) -> bool:
    """Test for tables of the legacy variant that have been used."""
    return bool(_used(family))


def _used(family: str) -> list[str]:
    """Tables of the legacy variant that have been used."""
    try:
        return Path(f"/proc/thread-self/net/{family}_tables_names").read_text().split()
    except OSError:
        return []


def _of_iptables(tool: str, family: str) -> Iterator[ChainState]:
    for table, found in save.listed(f"{tool}-save").items():
        names = frozenset(found)
        for name, (policy, specs) in found.items():
            hook = ALL_HOOKS.get(name, "")
            yield ChainState(
                tool,
                family,
                table,
                name,
                tuple(_rule(spec, from_iptables(spec, names)) for spec in specs),
                hook,
                PRIORITIES.get(table, 0) if hook else 0,
                policy.lower() if hook else "",
            )


def _rule(words: str, rule: FirewallRule) -> RuleState:
    return RuleState(words, tuple((*each,) for each in rule.conditions), rule.verdict, rule.target)


def _of_nft(items: list[Any], known: set[tuple[str, str]]) -> Iterator[ChainState]:
    """Yield the chains of tables that are nft's own."""
    rules: dict[tuple[str, str, str], list[RuleState]] = {}
    for item in items:
        rule = item.get("rule")
        if rule is not None and rule["family"] in FAMILIES_READ:
            where = (rule["family"], rule["table"], rule["chain"])
            if where[:2] not in known:
                rules.setdefault(where, []).extend(_nft_rules(rule))
    for item in items:
        chain = item.get("chain")
        if chain is None or chain["family"] not in FAMILIES_READ:
            continue
        where = (chain["family"], chain["table"], chain["name"])
        if where[:2] not in known:
            policy = chain.get("policy", "accept") if "hook" in chain else ""
            yield ChainState(
                "nft",
                *where,
                tuple(rules.get(where, ())),
                chain.get("hook", ""),
                chain.get("prio", 0),
                policy,
            )


def _nft_rules(rule: Any) -> Iterator[RuleState]:
    family, table = rule["family"], rule["table"]

    def elements(name: str) -> list[Any]:
        found = [
            *nft_json(f"list set {family} {table} {name}"),
            *nft_json(f"list map {family} {table} {name}"),
        ]
        return [
            each
            for item in found
            for kind in ("set", "map")
            for each in item.get(kind, {}).get("elem", [])
        ]

    statements = rule.get("expr", [])
    nat = next((kind for each in statements for kind in each if kind in NAT), "")
    for one in from_nft(statements, elements):
        yield _rule(_words(one, nat), one)


NAT = ("masquerade", "snat", "dnat", "redirect")


def _words(rule: FirewallRule, nat: str) -> str:
    """A rule of nft in short words; a condition that plumb does not know is …."""
    conditions = (
        f"{each.key} {'!= ' * each.negated}{', '.join(each.values)}" if each.key else "…"
        for each in rule.conditions
    )
    return " ".join([*conditions, nat or rule.verdict, rule.target]).strip()
