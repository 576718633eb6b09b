"""nf_tables: tables, chains, maps and rules, in nft's own spelling.

nft has no built-in chains. A *base* chain is attached to a netfilter hook by its type, hook and
priority; a regular one is only jumped to. A *map* from link names to verdicts is a jump table: one
lookup finds the chain of a packet's bridge, however many bridges there are.

An `NftRule` holds the words that `nft -s list ruleset` prints. A table's contents go with the
table.
"""

from __future__ import annotations

import re
from dataclasses import field
from enum import StrEnum
from functools import cached_property
from typing import ClassVar

from plumb.frozen import frozen
from plumb.things import HOST, InNamespace, Key, Stage
from plumb.things.iptables import InChain, Position

COUNTER = re.compile(r"counter packets (\d+) bytes (\d+)")
"""What nft prints of a rule's counter once packets have met it."""


class NftFamily(StrEnum):
    """Address family of a table."""

    V4 = "ip"
    V6 = "ip6"


class InTable(InNamespace):
    """Thing in a table: the kernel removes it with the table."""

    family: NftFamily
    table: str
    ns: str

    @property
    def home(self) -> Key:
        """Key of its table."""
        return ("nft table", self.ns, self.family, self.table)

    @property
    def uses(self) -> tuple[Key, ...]:
        return (self.home,)


@frozen
class NftTable(InNamespace):
    """`nft add table FAMILY NAME`."""

    stage: ClassVar = Stage.CHAIN
    family: NftFamily
    name: str
    ns: str = HOST

    @cached_property
    def key(self) -> Key:
        return ("nft table", self.ns, self.family, self.name)

    def __str__(self) -> str:
        return f"nft table {self.family} {self.name}"


@frozen
class NftMap(InTable):
    """`nft add map FAMILY TABLE NAME { type ifname : verdict; }`: a chain for each link name."""

    stage: ClassVar = Stage.CHAIN
    family: NftFamily
    table: str
    name: str
    ns: str = HOST

    @cached_property
    def key(self) -> Key:
        return ("nft map", self.ns, self.family, self.table, self.name)

    def __str__(self) -> str:
        return f"nft map {self.family} {self.table} {self.name}"


@frozen
class NftChain(InTable):
    """`nft add chain FAMILY TABLE NAME`.

    A base chain adds `{ type TYPE hook HOOK priority PRIORITY; policy POLICY; }`.

    Attributes:
        type, hook, policy: empty for a regular chain.
        priority: packets traverse the base chains of one hook in this order, the lowest first.
    """

    stage: ClassVar = Stage.CHAIN
    family: NftFamily
    table: str
    name: str
    type: str = ""
    hook: str = ""
    priority: int = 0
    policy: str = ""
    ns: str = HOST

    @cached_property
    def key(self) -> Key:
        return ("nft chain", self.ns, self.family, self.table, self.name)

    def __str__(self) -> str:
        hooked = (
            f" ({self.type} hook {self.hook} priority {self.priority} policy {self.policy})"
            if self.hook
            else ""
        )
        return f"nft chain {self.family} {self.table} {self.name}{hooked}"


@frozen
class NftElement(InTable):
    """`nft add element FAMILY TABLE MAP { "LINK" : jump CHAIN }`.

    Its stage is that of the rules, after those of the chain that it jumps to.
    """

    stage: ClassVar = Stage.RULE
    family: NftFamily
    table: str
    map: str
    link: str
    chain: str
    ns: str = HOST

    @cached_property
    def key(self) -> Key:
        return ("nft element", self.ns, self.family, self.table, self.map, self.link)

    @property
    def uses(self) -> tuple[Key, ...]:
        return (("nft map", self.ns, self.family, self.table, self.map), self.home)

    def __str__(self) -> str:
        return (
            f'nft element {self.family} {self.table} {self.map} "{self.link}" : jump {self.chain}'
        )


@frozen
class NftRule(InChain, InTable):
    """`nft add rule FAMILY TABLE CHAIN SPEC`.

    Attributes:
        spec: nft's words for it, counters without their values.
        place: the chain's head or tail.
        before: the spec of the rule that it precedes instead; without that rule it goes to the
            tail.
        why: a sentence about its purpose.
    """

    family: NftFamily
    table: str
    chain: str
    spec: str
    place: Position = field(default=Position.TAIL, compare=False)
    before: str = field(default="", compare=False)
    why: str = field(default="", compare=False)
    ns: str = HOST

    @cached_property
    def key(self) -> Key:
        return ("nft rule", self.ns, self.family, self.table, self.chain, self.spec)

    @property
    def uses(self) -> tuple[Key, ...]:
        return (("nft chain", self.ns, self.family, self.table, self.chain), self.home)

    @property
    def must_precede(self) -> str:
        return self.before

    def __str__(self) -> str:
        return f"nft rule {self.family} {self.table} {self.chain} {self.spec}"
