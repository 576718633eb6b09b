"""Policy routing: a packet's mark chooses the table that it is routed by (`ip rule`)."""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Address
from typing import ClassVar

from plumb.frozen import frozen
from plumb.things import InNamespace, Key, OnLink, Stage

PRIORITY = 100
"""Priority of marks' rules: before that of the main table, 32766."""


@frozen
class RoutingRule(InNamespace):
    """`ip rule add fwmark MARK lookup TABLE priority 100`."""

    stage: ClassVar = Stage.ROUTE
    mark: int
    table: int
    ns: str

    @cached_property
    def key(self) -> Key:
        return ("routing rule", self.ns, str(self.mark))

    def __str__(self) -> str:
        return f"routing rule: mark {self.mark:#x}, table {self.table}"


@frozen
class TableRoute(OnLink):
    """`ip route add default via VIA dev DEV table TABLE`."""

    stage: ClassVar = Stage.ROUTE
    table: int
    via: IPv4Address
    dev: str
    ns: str

    @cached_property
    def key(self) -> Key:
        return ("table route", self.ns, str(self.table))

    def __str__(self) -> str:
        return f"default route via {self.via} dev {self.dev} of table {self.table}"
