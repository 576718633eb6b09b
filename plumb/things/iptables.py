"""Netfilter: tables, chains, rules and policies, in iptables' spelling (nft's: `things.nftables`).

A `Rule` holds the words that `iptables -S` prints after the chain's name. Readers of this field
know that language; a user who wonders what plumb did can type `iptables -S` and read the very same
words. The firewall back ends translate them.

Order: rules in one of plumb's own chains are ordered, and a new one goes to the chain's tail or, if
it must precede the existing ones, to its head. Rules in a built-in chain, which other programs use
too, are chosen so that they commute with one another.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import field
from enum import StrEnum
from functools import cached_property
from typing import ClassVar, TypeVar

from plumb.frozen import frozen
from plumb.things import HOST, InNamespace, Key, Stage


class Family(StrEnum):
    """Tool of an address family: iptables or ip6tables."""

    V4 = "iptables"
    V6 = "ip6tables"


FAMILIES = {"ip": Family.V4, "ip6": Family.V6}


def waiting(tool: str) -> str:
    """The command of iptables with -w, by which it waits for the lock of xtables.

    Without it iptables-legacy fails where another program holds the lock. nf_tables takes none.
    """
    return tool if tool.endswith("-nft") else f"{tool} -w"


"""The tool, by the name that nf_tables has for an address family."""
TABLES = frozenset({"filter", "nat", "mangle", "raw", "security"})


class Position(StrEnum):
    """Position of a new rule in its chain: iptables' words for what nft calls insert and add."""

    HEAD = "-I"
    TAIL = "-A"


class InChain(InNamespace):
    """Rule of either back end: its effect depends on the rules before it in its chain.

    Attributes:
        spec: its words.
        place: the position of a new one.
        why: a sentence about its purpose.
    """

    stage: ClassVar = Stage.RULE
    spec: str
    place: Position
    why: str

    @property
    def chain_key(self) -> Key:
        """Words that the keys of all rules of its chain begin with."""
        return self.key[:-1]

    @property
    def must_precede(self) -> str:
        """Spec of a rule of the same chain that must stay behind this one; empty for none."""
        return ""


R = TypeVar("R", bound=InChain)


def by_chain(rules: Iterable[R]) -> list[list[R]]:
    """Group rules by chain, those of each chain in the order in which they are given."""
    found: dict[Key, list[R]] = {}
    for rule in rules:
        found.setdefault(rule.chain_key, []).append(rule)
    return [*found.values()]


def ordered_rules(rules: Iterable[R]) -> list[R]:
    """Order the rules of a chain as the kernel should have them.

    Args:
        rules: in the order in which they were added.
    """
    chain: list[R] = []
    ahead: dict[str, list[R]] = {}
    for rule in rules:
        if rule.must_precede:
            ahead.setdefault(rule.must_precede, []).append(rule)
        else:
            chain.insert(0 if rule.place is Position.HEAD else len(chain), rule)
    stands = [each for rule in chain for each in (*ahead.pop(rule.spec, ()), rule)]
    return stands + [rule for left in ahead.values() for rule in left]


BUILT_IN = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})


@frozen
class Chain(InNamespace):
    """`iptables -t TABLE -N NAME`.

    A user's chain (`users=True`, PLUMB-USER) may hold rules that are not plumb's: plumb never
    flushes it, and keeps it if it is not empty.
    """

    stage: ClassVar = Stage.CHAIN
    family: Family
    table: str
    name: str
    users: bool = False
    ns: str = HOST

    @cached_property
    def key(self) -> Key:
        return ("chain", self.ns, self.family, self.table, self.name)

    def __str__(self) -> str:
        return f"{self.family} chain {self.table}/{self.name}"


@frozen
class Rule(InChain):
    """`iptables -t TABLE -A CHAIN SPEC`; `why` is a sentence about its purpose."""

    family: Family
    table: str
    chain: str
    spec: str
    place: Position = field(default=Position.TAIL, compare=False)
    why: str = field(default="", compare=False)
    ns: str = HOST

    @classmethod
    def parse(
        cls, line: str, family: Family = Family.V4, table: str = "filter", ns: str = HOST
    ) -> Rule:
        """Parse a line as `iptables -S` or `iptables-save` prints it; the inverse of `str()`.

        Raises:
            ValueError: the line does not begin with -A or -I and a chain.
        """
        place, chain, spec = line.split(" ", 2)
        return cls(family, table, chain, spec, Position(place), ns=ns)

    @cached_property
    def key(self) -> Key:
        return ("rule", self.ns, self.family, self.table, self.chain, self.spec)

    @property
    def chain_key(self) -> Key:
        return ("rule", self.ns, self.family, self.table, self.chain)

    @property
    def words(self) -> list[str]:
        """Words of the spec."""
        return shlex.split(self.spec)

    @property
    def uses(self) -> tuple[Key, ...]:
        if self.chain in BUILT_IN:
            return super().uses
        return (("chain", self.ns, self.family, self.table, self.chain),)

    @property
    def holds(self) -> tuple[Key, ...]:
        target = self.spec.rpartition("-j ")[2]  # a chain, or a target that is no object
        return (("chain", self.ns, self.family, self.table, target),)

    def __str__(self) -> str:
        return f"{self.place} {self.chain} {self.spec}"


@frozen
class Policy(InNamespace):
    """`iptables -t TABLE -P CHAIN VERDICT`.

    The verdict on a packet that no rule of a built-in chain decides.
    """

    stage: ClassVar = Stage.RULE
    permanent: ClassVar = True
    family: Family
    table: str
    chain: str
    verdict: str
    why: str = field(default="", compare=False)
    ns: str = HOST

    @cached_property
    def key(self) -> Key:
        return ("policy", self.ns, self.family, self.table, self.chain)

    def __str__(self) -> str:
        return f"{self.family} policy {self.table}/{self.chain} {self.verdict}"
