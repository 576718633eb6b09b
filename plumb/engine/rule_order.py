"""Order of rules: the kernel reads a chain from its head, so plumb keeps the order of insertion.

Adding and removing rules keeps the order, but restoring a removed rule does not: plumb appends it
at the tail. Where the order is lost, plumb writes the chain again in the order of insertion, and
inserts at the head the rules that were inserted there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol

from plumb.plan import Kernel, Step
from plumb.things import Key, Thing
from plumb.things.iptables import InChain, ordered_rules


class OrderedKernel(Kernel, Protocol):
    """Kernel that also reports the order of rules."""

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """Return those of the rules of one chain that exist, in the chain's order."""


def chains(things: Iterable[Thing]) -> list[list[InChain]]:
    """Group the rules by chain, each group in the order of insertion."""

    def place(rule: InChain) -> Key:
        return rule.key[:-1]

    rules = sorted((thing for thing in things if isinstance(thing, InChain)), key=place)
    return [list(part) for _, part in groupby(rules, key=place)]


def disorder(
    recorded: Iterable[Thing], kernel: OrderedKernel
) -> list[tuple[list[InChain], list[Thing]]]:
    """Find the chains whose rules are not in the recorded order.

    Returns:
        for each chain, its rules in the order of insertion, and those that exist in their order.
    """
    found = []
    for rules in chains(recorded):
        if len(rules) > 1:
            there = kernel.order(rules)
            if there != [rule for rule in ordered_rules(rules) if rule in there]:
                found.append((rules, there))
    return found


def reordering(recorded: Iterable[Thing], kernel: OrderedKernel) -> list[Step]:
    """Return the steps that restore the order of all chains."""
    return [
        step
        for rules, there in disorder(recorded, kernel)
        for step in (*(Step(rule, None) for rule in there), *(Step(None, rule) for rule in rules))
    ]
