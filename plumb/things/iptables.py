"""Netfilter: tables, chains, rules and policies, in iptables' own spelling (nft's are in `things.nftables`).

A `Rule` holds the words that `iptables -S` prints after the chain's name. That is the language
which every reader of this field knows; whoever wonders what plumb did can type `iptables -S` and
read the very same words. The firewall back ends translate them.

Order: rules in one of plumb's own chains are ordered, and a new one goes to the chain's tail or,
for what must stand before all that is there, to its head. Rules in a built-in chain, which others
use too, are chosen so that they commute with one another.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, TypeVar

from plumb.things import HOST, InNamespace, Key, Stage


class Family(StrEnum):
    """Which of the two tools: iptables or ip6tables."""

    V4 = "iptables"
    V6 = "ip6tables"


class Position(StrEnum):
    """Where in its chain a new rule goes: iptables' words for what nft calls insert and add."""

    HEAD = "-I"
    TAIL = "-A"


class InChain(InNamespace):
    """A rule of either back end: what it does depends on what stands before it in its chain.

    Attributes:
        spec: its words.
        place: where a new one goes.
        why: a sentence about what it is there for.
    """

    stage: ClassVar = Stage.RULE
    spec: str
    place: Position
    why: str

    @property
    def behind_it(self) -> str:
        """The spec of a rule of the same chain that must stay behind this one, wherever else it goes; empty: any may."""
        return ""


R = TypeVar("R", bound=InChain)


def standing(rules: Iterable[R]) -> list[R]:
    """The rules of a chain in the order in which they should stand.

    Args:
        rules: in the order in which they came to be.
    """
    chain: list[R] = []
    ahead: dict[str, list[R]] = {}
    for rule in rules:
        if rule.behind_it:
            ahead.setdefault(rule.behind_it, []).append(rule)
        else:
            chain.insert(0 if rule.place is Position.HEAD else len(chain), rule)
    stands = [each for rule in chain for each in (*ahead.pop(rule.spec, ()), rule)]
    return stands + [rule for left in ahead.values() for rule in left]


BUILT_IN = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})


@dataclass(frozen=True)
class Chain(InNamespace):
    """`iptables -t TABLE -N NAME`.

    A chain of the user's (`users=True`, PLUMB-USER) may hold rules that are not plumb's: it is
    never flushed, and stays when it is not empty.
    """

    stage: ClassVar = Stage.CHAIN
    family: Family
    table: str
    name: str
    users: bool = False
    ns: str = HOST

    @property
    def key(self) -> Key:
        return ("chain", self.ns, self.family, self.table, self.name)

    def __str__(self) -> str:
        return f"{self.family} chain {self.table}/{self.name}"


@dataclass(frozen=True)
class Rule(InChain):
    """`iptables -t TABLE -A CHAIN SPEC`; `why` says in a sentence what it is there for."""

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
        """Read a line as `iptables -S` or `iptables-save` prints it; the inverse of `str()`.

        Raises:
            ValueError: the line does not begin with -A or -I and a chain.
        """
        place, chain, spec = line.split(" ", 2)
        return cls(family, table, chain, spec, Position(place), ns=ns)

    @property
    def key(self) -> Key:
        return ("rule", self.ns, self.family, self.table, self.chain, self.spec)

    @property
    def words(self) -> list[str]:
        """The spec, word by word."""
        return shlex.split(self.spec)

    @property
    def uses(self) -> tuple[Key, ...]:
        if self.chain in BUILT_IN:
            return super().uses
        return (("chain", self.ns, self.family, self.table, self.chain),)

    def __str__(self) -> str:
        return f"{self.place} {self.chain} {self.spec}"


@dataclass(frozen=True)
class Policy(InNamespace):
    """`iptables -t TABLE -P CHAIN VERDICT`.

    What becomes of a packet that no rule of a built-in chain decides.
    """

    stage: ClassVar = Stage.RULE
    standing: ClassVar = True
    family: Family
    table: str
    chain: str
    verdict: str
    why: str = field(default="", compare=False)
    ns: str = HOST

    @property
    def key(self) -> Key:
        return ("policy", self.ns, self.family, self.table, self.chain)

    def __str__(self) -> str:
        return f"{self.family} policy {self.table}/{self.chain} {self.verdict}"
