"""Order: a chain is read from its head, so its rules must stand as they were put in.

Adding and removing keeps the order, but bringing a removed rule back does not: it comes to the
tail. Where order was
lost, the whole chain is written anew, as it came to be: what goes to the head is put in at the head
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol

from plumb.plan import Kernel, Step
from plumb.things import Key, Thing
from plumb.things.iptables import InChain, ordered_rules


class OrderedKernel(Kernel, Protocol):
    """A kernel that can also say in which order rules stand."""

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """Those of these rules of one chain that are there, in the chain's order."""


def chains(things: Iterable[Thing]) -> list[list[InChain]]:
    """The rules chain by chain, each in the order in which they came to be."""

    def place(rule: InChain) -> Key:
        return rule.key[:-1]

    rules = sorted((thing for thing in things if isinstance(thing, InChain)), key=place)
    return [list(part) for _, part in groupby(rules, key=place)]


def disorder(
    recorded: Iterable[Thing], kernel: OrderedKernel
) -> list[tuple[list[InChain], list[Thing]]]:
    """The chains whose rules do not stand as they should.

    The rules as they came to be, and as they stand.
    """
    found = []
    for rules in chains(recorded):
        if len(rules) > 1:
            there = kernel.order(rules)
            if there != [rule for rule in ordered_rules(rules) if rule in there]:
                found.append((rules, there))
    return found


def reordering(recorded: Iterable[Thing], kernel: OrderedKernel) -> list[Step]:
    """The steps that put all chains into order."""
    return [
        step
        for rules, there in disorder(recorded, kernel)
        for step in (*(Step(rule, None) for rule in there), *(Step(None, rule) for rule in rules))
    ]
