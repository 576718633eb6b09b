"""Chains of other firewalls on this host that drop packets (see `model.foreign_firewall`).

The back end of plumb's own rules decides which base chains are foreign. The two variants of
iptables do not list each other's rules, so the FORWARD chain of the one is foreign to the other;
and both are, where plumb writes nftables of its own. A policy DROP there is common: dockerd sets it
when it enables forwarding.

plumb reads nft's tables through libnftables, as JSON (libnftables-json(5)), 3 ms where there are
none; the rules of iptables' nf_tables variant have matches that nft cannot print, so plumb reads
them with iptables-save, as the legacy tables. Of those it reads only the ones that are there
already: to read another would load it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterable, Iterator
from functools import partial
from pathlib import Path

from plumb.errors import PlumbError
from plumb.kernel.net.namespace_state import NamespaceState, name_of
from plumb.kernel.netfilter import backends
from plumb.kernel.netfilter.foreign_rules import Elements, Json, from_iptables, from_nft
from plumb.kernel.netfilter.iptables_save import saved
from plumb.kernel.netfilter.libnftables import JSON, TERSE, nft
from plumb.kernel.netfilter.rule_set_size import elements_exceed, refuse_larger
from plumb.kernel.netlink.codec import attributes, text
from plumb.kernel.netlink.nfnetlink import Netfilter
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFGENMSG,
    NFNL_SUBSYS_NFTABLES,
    NFPROTO_INET,
    NFPROTO_IPV4,
    NFPROTO_IPV6,
    NFT_MSG_GETTABLE,
    NFT_TABLE_F_DORMANT,
    NFTA_TABLE_FLAGS,
    NFTA_TABLE_NAME,
)
from plumb.model.foreign_firewall import FirewallRule, ForeignFirewall
from plumb.things.iptables import FAMILIES

HOOKS = {
    "INPUT": "input",
    "FORWARD": "forward",
    "PREROUTING": "prerouting",
    "POSTROUTING": "postrouting",
}
PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
"""The tables of iptables that can drop, with their priorities at the hooks."""
FRIENDS = frozenset({"plumb-bridges", "docker-bridges", "docker-overlay"})
"""Tables of plumb and of Docker, which drop packets only for networks of their own."""

NUMBERS = {NFPROTO_INET: "inet", NFPROTO_IPV4: "ip", NFPROTO_IPV6: "ip6"}
"""nft's names of the families."""

LARGEST_SET = 1 << 18
"""Bytes of a named set's elements at most: one of links or of states has some hundred."""

MOST_ELEMENTS = 1 << 16
"""Elements of named sets that are held against the rules of a namespace, in all of them."""

Own = Container[tuple[str, str, str, str]]
"""plumb's rules of iptables: tool ("iptables", "ip6tables"), table, chain, words."""
DECIDES = "-j PLUMB-FORWARD"
"""The rule of FORWARD behind which plumb has decided about its networks' packets."""


def firewalls(backend: str, own: Own = frozenset()) -> list[ForeignFirewall]:
    """Read the base chains in the calling thread's namespace that drop packets by others' rules.

    Args:
        backend: the back end of plumb's rules: "nf_tables" or "legacy" for iptables of that
        variant, "nftables".
        own: plumb's rules, which are left out in the chains of that back end.

    Raises:
        KernelRefused: there are more rules than plumb reads.
    """
    found = [*_of_nft(backend, own), *_of_legacy(own if backend == "legacy" else None)]
    return [firewall for firewall in found if firewall.drops]


def added(
    backend: str, own: Own, chains: Collection[tuple[str, str, str]]
) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rules in plumb's own chains of iptables that are not plumb's.

    Args:
        backend: the variant of iptables, "nf_tables" or "legacy".
        own: plumb's rules.
        chains: tools, tables and names of plumb's chains.

    Yields:
        tool with its variant, table, chain and words.

    Raises:
        KernelRefused: there are more rules than plumb reads.
    """
    suffix = "legacy" if backend == "legacy" else "nft"
    for tool in sorted({tool for tool, _, _ in chains}):
        for table, found in saved(f"{tool}-{suffix}-save").items():
            for name, (_, specs) in found.items():
                for spec in specs if (tool, table, name) in chains else ():
                    if (tool, table, name, spec) not in own:
                        yield f"{tool}-{suffix}", table, name, spec


def backend(setting: str) -> str:
    """The back end of plumb's rules, by the setting firewall-backend and this host's iptables."""
    if setting == "nftables":
        return setting
    return "legacy" if backends.writer().name == "python-iptables" else "nf_tables"


def uplinks(version: int) -> frozenset[str]:
    """The links that the default routes of an address family lead through."""
    with NamespaceState() as state:
        return frozenset(
            name_of(route.dev)
            for route in state.main_table(version)
            if route.length == 0 and route.dev
        )


def _of_nft(backend: str, own: Own) -> Iterator[ForeignFirewall]:
    read: dict[str, list[ForeignFirewall]] = {}
    sets = NamedSets()
    chains = _chains()
    refuse_larger({_table(chain) for chain in chains if _is_nft_s(chain)})
    for chain in chains:
        (family, table), name = _table(chain), chain["name"]
        if _is_iptables(chain):
            if family not in read:
                ours = own if backend == "nf_tables" else None
                read[family] = list(_of_iptables("nft", family, PRIORITIES, ours))
                yield from read[family]
        elif _is_nft_s(chain):
            lines: dict[str, tuple[FirewallRule, ...]] = {}
            _follow(family, table, name, lines, sets.of(family, table))
            yield ForeignFirewall(
                "nft",
                family,
                table,
                name,
                chain["hook"],
                chain["prio"],
                chain.get("policy", "accept"),
                lines,
            )


def _table(chain: Json) -> tuple[str, str]:
    return chain["family"], chain["table"]


def _is_iptables(chain: Json) -> bool:
    """True for a base chain of iptables' nf_tables variant."""
    family, table = _table(chain)
    return family in FAMILIES and table in PRIORITIES and chain["name"] in HOOKS


def _is_nft_s(chain: Json) -> bool:
    """True for one that libnftables is to list."""
    return not _is_iptables(chain) and chain["table"] not in FRIENDS


def _chains() -> list[Json]:
    """List nft's base chains that packets of containers and to the host pass."""
    found = [item["chain"] for item in nft_json("list chains") if "chain" in item]
    off = tables() if found else {}
    return [
        chain
        for chain in found
        if chain.get("hook") in HOOKS.values()
        and chain["family"] in ("ip", "ip6", "inet")
        and not off.get((chain["family"], chain["table"]))
    ]


def _follow(
    family: str, table: str, chain: str, lines: dict[str, tuple[FirewallRule, ...]], named: Elements
) -> None:
    """Read the rules of a chain, and of the chains that it jumps to, into `lines`.

    Args:
        named: reads a named set of the table.
    """
    rules = [
        item["rule"]
        for item in nft_json({"chain": {"family": family, "table": table, "name": chain}})
        if "rule" in item
    ]
    lines[chain] = tuple(line for rule in rules for line in from_nft(rule["expr"], named))
    for line in lines[chain]:
        if line.target and line.target not in lines:
            _follow(family, table, line.target, lines, named)


class NamedSets:
    """Named sets and maps of a namespace, each read once, as long as they are not too many."""

    def __init__(self) -> None:
        self._left = MOST_ELEMENTS
        self._read: dict[tuple[str, str, str], list[Json] | None] = {}

    def of(self, family: str, table: str) -> Elements:
        """The sets and maps of a table, by their names."""
        return partial(self._elements, family, table)

    def _elements(self, family: str, table: str, name: str) -> list[Json] | None:
        where = (family, table, name)
        if where not in self._read:
            self._read[where] = elements(*where) if self._left else None
        found = self._read[where]
        if found is not None and len(found) > self._left:
            found, self._left = None, 0
        self._left -= len(found or ())
        return found


def elements(family: str, table: str, name: str) -> list[Json] | None:
    """Read the elements of a named set or map; None where there is none, or it is not read."""
    try:
        if elements_exceed(family, table, name, LARGEST_SET):
            return None
    except OSError:
        return None
    found = [
        item[kind]
        for kind in ("set", "map")
        for item in nft_json({kind: {"family": family, "table": table, "name": name}})
        if kind in item
    ]
    return [each for one in found for each in one.get("elem", [])] if found else None


def tables() -> dict[tuple[str, str], bool]:
    """Read the tables of nf_tables.

    Some versions of libnftables print JSON of tables with flags that is none.

    Returns:
        by family and name: True for one that is switched off, whose chains no packet passes.

    Raises:
        OSError: the kernel's errno.
    """
    with Netfilter() as kernel:
        found = kernel.dump(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, NFGENMSG.pack(0, 0, 0))
    tables = {}
    for body in found:
        family, known = NFGENMSG.unpack_from(body)[0], attributes(body, NFGENMSG.size)
        flags = int.from_bytes(known.get(NFTA_TABLE_FLAGS, b""))
        where = NUMBERS.get(family, ""), text(known[NFTA_TABLE_NAME])
        tables[where] = bool(flags & NFT_TABLE_F_DORMANT)
    return tables


def _of_legacy(own: Own | None) -> Iterator[ForeignFirewall]:
    for family in FAMILIES:
        try:
            names = Path(f"/proc/thread-self/net/{family}_tables_names").read_text().split()
        except OSError:
            continue  # the kernel has none, or has not loaded them
        tables = [table for table in PRIORITIES if table in names]
        if tables:
            yield from _of_iptables("legacy", family, tables, own)


def _of_iptables(
    variant: str, family: str, tables: Iterable[str], own: Own | None
) -> Iterator[ForeignFirewall]:
    """Read the base chains of one variant and family.

    Args:
        variant: "nft" or "legacy".
        family: "ip" or "ip6".
        tables: which tables.
        own: plumb's rules in them; None where plumb writes others.
    """
    tool = f"{FAMILIES[family]}-{variant}"
    for table, chains in saved(f"{tool}-save").items():
        if table not in tables:
            continue
        names = frozenset(chains)
        lines = {
            name: tuple(
                from_iptables(spec, names)
                for spec in _others(specs, (FAMILIES[family], table, name), own)
            )
            for name, (_, specs) in chains.items()
        }
        for chain in HOOKS:
            if chain in chains:
                shared = own is not None and (table, chain) == ("filter", "FORWARD")
                policy = "accept" if shared else chains[chain][0].lower()
                yield ForeignFirewall(
                    tool,
                    family,
                    table,
                    chain,
                    HOOKS[chain],
                    PRIORITIES[table],
                    policy,
                    lines,
                    shared,
                )


def _others(specs: list[str], chain: tuple[str, str, str], own: Own | None) -> Iterator[str]:
    """Yield the rules of a chain that are not plumb's, up to where plumb decides."""
    for spec in specs:
        if own is None or (*chain, spec) not in own:
            yield spec
        elif spec == DECIDES:
            return


def nft_json(command: str | Json) -> list[Json]:
    """Run a list command, see `listed`; empty where there is no such object, or no nftables."""
    try:
        return listed(command)
    except PlumbError:
        return []


def listed(command: str | Json) -> list[Json]:
    """Run a list command.

    Args:
        command: in nft's language; or what to list, as libnftables-json(5) has it. The kernel takes
        any name for a table or a set, and nft would take one for words of a command.

    Raises:
        Unsupported: there is no libnftables, or the kernel has no nf_tables.
        KernelRefused: there is no such object, or it may not be read.
    """
    words = command if isinstance(command, str) else [{"list": command}]
    # The elements of named sets are not read along with all else.
    terse = 0 if isinstance(command, dict) and command.keys() & {"set", "map"} else TERSE
    found = nft().run(words, "read other firewalls", flags=JSON | terse)
    return list(json.loads(found)["nftables"]) if found else []
