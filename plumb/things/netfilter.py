"""Netfilter: tables, chains, rules and policies, in iptables' own spelling.

A `Rule` holds the words that `iptables -S` prints after the chain's name. That is the language which every
reader of this field knows; whoever wonders what plumb did can type `iptables -S` and read the very same words.
The firewall back ends translate them.

Order: rules in one of plumb's own chains are ordered, and a new one goes to the chain's tail or, for what must
stand before all that is there, to its head. Rules in a built-in chain, which others use too, are chosen so that
they commute with one another.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from plumb.things import HOST, Key, Stage, Thing, lost_with


class Family(StrEnum):
    """Which of the two tools: iptables or ip6tables."""

    V4 = "iptables"
    V6 = "ip6tables"


class Place(StrEnum):
    """Where in its chain a new rule goes."""

    HEAD = "-I"
    TAIL = "-A"


BUILT_IN = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})


@dataclass(frozen=True)
class Chain(Thing):
    """`iptables -t TABLE -N NAME`.

    A chain of the user's (`users=True`, PLUMB-USER) may hold rules that are not plumb's: it is never flushed,
    and stays when it is not empty.
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

    @property
    def where(self) -> str:
        return self.ns

    @property
    def uses(self) -> tuple[Key, ...]:
        return lost_with(self.ns, None)

    def __str__(self) -> str:
        return f"{self.family} chain {self.table}/{self.name}"


@dataclass(frozen=True)
class Rule(Thing):
    """`iptables -t TABLE -A CHAIN SPEC`; `why` says in a sentence what it is there for."""

    stage: ClassVar = Stage.RULE
    family: Family
    table: str
    chain: str
    spec: str
    place: Place = field(default=Place.TAIL, compare=False)
    why: str = field(default="", compare=False)
    ns: str = HOST

    @classmethod
    def parse(cls, line: str, family: Family = Family.V4, table: str = "filter", ns: str = HOST) -> Rule:
        """Read a line as `iptables -S` or `iptables-save` prints it; the inverse of `str()`.

        Raises:
            ValueError: the line does not begin with -A or -I and a chain.
        """
        place, chain, spec = line.split(" ", 2)
        return cls(family, table, chain, spec, Place(place), ns=ns)

    @property
    def key(self) -> Key:
        return ("rule", self.ns, self.family, self.table, self.chain, self.spec)

    @property
    def where(self) -> str:
        return self.ns

    @property
    def words(self) -> list[str]:
        """The spec, word by word."""
        return shlex.split(self.spec)

    @property
    def uses(self) -> tuple[Key, ...]:
        if self.chain in BUILT_IN:
            return lost_with(self.ns, None)
        return (("chain", self.ns, self.family, self.table, self.chain),)

    def __str__(self) -> str:
        return f"{self.place} {self.chain} {self.spec}"


@dataclass(frozen=True)
class Policy(Thing):
    """`iptables -t TABLE -P CHAIN VERDICT`: what becomes of a packet that no rule of a built-in chain decides."""

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

    @property
    def where(self) -> str:
        return self.ns

    def __str__(self) -> str:
        return f"{self.family} policy {self.table}/{self.chain} {self.verdict}"
