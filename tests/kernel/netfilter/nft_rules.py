"""Rules of one nft chain, and the steps that make them and take them away."""

from __future__ import annotations

from plumb.plan import Step
from plumb.things import Thing
from plumb.things.iptables import Position
from plumb.things.nftables import NftFamily, NftRule

V4, V6, TABLE = NftFamily.V4, NftFamily.V6, "plumb-bridges"
WALL = 'counter drop comment "UNPUBLISHED PORT DROP"'


def rule(spec: str, place: Position = Position.TAIL, before: str = "") -> NftRule:
    """A rule of the chain `in`."""
    return NftRule(V4, TABLE, "in", spec, place, before)


def hole(port: int) -> NftRule:
    """A published port: it goes before the wall."""
    return rule(f"ip daddr 172.20.0.2 tcp dport {port} counter accept", before=WALL)


def add(*things: Thing) -> list[Step]:
    """Steps that make these."""
    return [Step(None, thing) for thing in things]


def remove(*things: Thing) -> list[Step]:
    """Steps that take these away."""
    return [Step(thing, None) for thing in things]
