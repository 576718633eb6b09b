"""Chains of iptables and nftables in the calling thread's namespace, with their rules.

iptables-save lists the rules of its own variant; libnftables lists all other tables, as JSON. Where
nothing was ever written, neither is asked: a question for a table could create it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plumb.errors import KernelRefused, PlumbError
from plumb.kernel.netfilter import iptables_save as save
from plumb.kernel.netfilter.foreign_chains import HOOKS, PRIORITIES, NamedSets, listed, tables
from plumb.kernel.netfilter.foreign_rules import Elements, from_iptables, from_nft
from plumb.kernel.netfilter.rule_set_size import LARGEST as LARGEST_LISTED
from plumb.kernel.netfilter.rule_set_size import refuse_larger
from plumb.kernel.netlink.codec import attributes, text
from plumb.kernel.netlink.connection import DumpInterrupted
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
LARGEST = 2 << 20
"""Bytes of a container's rules that are read at most, as the kernel or iptables-save has them: some
5,000 of them. Whoever wrote them is not trusted."""
MOST_TABLES = 32
"""Tables that are listed one by one; more of them are listed with all that there are."""
Where = tuple[str, str]
"""A table's family and name."""
ABSENT = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT})
"""Answers of a kernel without nf_tables."""


def chains(failed: list[str], most: int = 0) -> list[ChainState]:
    """Read the chains of all tables, but for those that are switched off.

    Args:
        failed: sentences on what could not be read are appended. The rest is read all the same.
        most: bytes of rules at most, of more none are read; 0 for the host's limits.
    """
    off: dict[Where, bool] = {}
    own: list[Where] = []
    with _noting(failed):
        off = _tables()
        known = [where for where in off if where[0] in FAMILIES_READ]
        if most:
            refuse_larger(known, most)
        own = known
    found: list[ChainState] = []
    for family in FAMILIES:
        # Without the command, libnftables has what there is: tables may have these names.
        nft = f"{FAMILIES[family]}-nft"
        if any((family, table) in own for table in TABLES) and save.found(f"{nft}-save"):
            with _noting(failed):
                found += _of_iptables(nft, family, most or save.LARGEST)
        if _legacy(family):
            with _noting(failed):
                legacy = f"{FAMILIES[family]}-legacy"
                found += _of_iptables(legacy, family, most or save.LARGEST)
    printed = {(chain.family, chain.table) for chain in found if chain.tool.endswith("-nft")}
    with _noting(failed):
        wanted = [where for where in own if where not in printed]
        refuse_larger(wanted, most or LARGEST_LISTED)
        found += _of_nft(_items(wanted, own), printed)
    return [
        chain
        for chain in found
        if chain.tool.endswith("-legacy") or not off.get((chain.family, chain.table))
    ]


def of_container(failed: list[str]) -> list[ChainState]:
    """Read the chains of all tables, where any may keep packets from a container.

    Most containers have the embedded DNS server's rules in the table nat, or none: two questions
    tell, which start no process.

    Args:
        failed: sentences on what could not be read are appended.
    """
    filters = any(set(_used(family)) - {"nat"} for family in FAMILIES)
    with _noting(failed):
        filters = filters or _filters()
    return chains(failed, LARGEST) if filters else []


def _tables() -> dict[Where, bool]:
    """Read the tables of nf_tables, see `tables`; none without nf_tables."""
    try:
        return tables()
    except OSError as error:
        if error.errno in ABSENT:
            return {}
        raise


def _filters() -> bool:
    """Test for base chains of nf_tables that can drop packets; false without nf_tables."""
    try:
        with Netfilter() as kernel:
            found = kernel.stream(
                NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, NFGENMSG.pack(0, 0, 0)
            )
            kinds = (attributes(body, NFGENMSG.size).get(NFTA_CHAIN_TYPE, b"") for body in found)
            return any(text(kind) not in ("", "nat") for kind in kinds)
    except DumpInterrupted:
        return True  # chains come and go
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise


@contextmanager
def _noting(failed: list[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, PlumbError, ValueError, KeyError, RuntimeError) as error:
        failed.append(f"{FIREWALL}: {error}")


def _items(wanted: list[Where], every: list[Where]) -> list[Any]:
    """List tables by libnftables; those of iptables, which may be long, are left out."""
    if not wanted:
        return []
    if len(wanted) == len(every) or len(wanted) > MOST_TABLES:
        return listed("list ruleset")
    found: list[Any] = []
    for family, name in wanted:
        try:
            found += listed({"table": {"family": family, "name": name}})
        except KernelRefused as error:
            if error.errno != errno.ENOENT:  # it went meanwhile
                raise
    return found


def _legacy(family: str) -> bool:
    """Test for tables of the legacy variant that have been used."""
    return bool(_used(family))


def _used(family: str) -> list[str]:
    """Tables of the legacy variant that have been used."""
    try:
        return Path(f"/proc/thread-self/net/{family}_tables_names").read_text().split()
    except OSError:
        return []


def _of_iptables(tool: str, family: str, most: int) -> Iterator[ChainState]:
    for table, found in save.listed(f"{tool}-save", most).items():
        names = frozenset(found)
        for name, (policy, rules) in found.items():
            hook = ALL_HOOKS.get(name, "")
            yield ChainState(
                tool,
                family,
                table,
                name,
                tuple(_rule(spec, from_iptables(spec, names), count) for spec, count in rules),
                hook,
                PRIORITIES.get(table, 0) if hook else 0,
                policy.lower() if hook else "",
            )


def _rule(words: str, rule: FirewallRule, packets: int) -> RuleState:
    conditions = tuple((*each,) for each in rule.conditions)
    return RuleState(words, conditions, rule.verdict, rule.target, packets)


def _of_nft(items: list[Any], known: set[tuple[str, str]]) -> Iterator[ChainState]:
    """Yield the chains of tables that are nft's own."""
    rules: dict[tuple[str, str, str], list[RuleState]] = {}
    sets = NamedSets()
    for item in items:
        rule = item.get("rule")
        if rule is not None and rule["family"] in FAMILIES_READ:
            where = (rule["family"], rule["table"], rule["chain"])
            if where[:2] not in known:
                rules.setdefault(where, []).extend(_nft_rules(rule, sets.of(*where[:2])))
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
                chain.get("type", ""),
            )


def _nft_rules(rule: Any, named: Elements) -> Iterator[RuleState]:
    statements = rule.get("expr", [])
    nat = next((kind for each in statements for kind in each if kind in NAT), "")
    counters = (each["counter"] for each in statements if isinstance(each.get("counter"), dict))
    packets = next((int(each["packets"]) for each in counters), 0)
    for one in from_nft(statements, named):
        yield _rule(_words(one, nat), one, packets)


NAT = ("masquerade", "snat", "dnat", "redirect")


def _words(rule: FirewallRule, nat: str) -> str:
    """A rule of nft in short words; a condition that plumb does not know is …."""
    conditions = (
        f"{each.key} {'!= ' * each.negated}{', '.join(each.values)}" if each.key else "…"
        for each in rule.conditions
    )
    return " ".join([*conditions, nat or rule.verdict, rule.target]).strip()
