"""Order of rules: the kernel reads a chain from its head, so plumb keeps the order of insertion.

Adding and removing rules keeps the order, but restoring a removed rule does not: plumb appends it
at the tail. Where the order is lost, plumb writes the chain again in the order of insertion, and
inserts at the head the rules that were inserted there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from plumb.plan import Kernel, Step
from plumb.things import Thing
from plumb.things.iptables import InChain, by_chain, ordered_rules


class OrderedKernel(Kernel, Protocol):
    """Kernel that also reports the order of rules."""

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """Return those of the rules that exist, those of each chain in the chain's order."""

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Return what `look` does of the things, and `order` of the rules among them.

        Each chain is read once.
        """


def chains(things: Iterable[Thing]) -> list[list[InChain]]:
    """Group the rules among things by chain, each group in the order of insertion."""
    groups = by_chain(thing for thing in things if isinstance(thing, InChain))
    return sorted(groups, key=lambda rules: rules[0].chain_key)


def disorder(
    recorded: Iterable[Thing], order: Iterable[Thing]
) -> list[tuple[list[InChain], list[InChain]]]:
    """Find the chains whose rules are not in the recorded order.

    Args:
        recorded: what is recorded.
        order: the rules that exist, as `OrderedKernel.order` returns them.

    Returns:
        for each chain, its rules in the order of insertion, and those that exist in their order.
    """
    present = {rules[0].chain_key: rules for rules in chains(order)}
    found = []
    for rules in chains(recorded):
        there = present.get(rules[0].chain_key, [])
        known = frozenset(there)
        if there != [rule for rule in ordered_rules(rules) if rule in known]:
            found.append((rules, there))
    return found


def reordering(recorded: Iterable[Thing], kernel: OrderedKernel) -> list[Step]:
    """Return the steps that restore the order of all chains."""
    ordered = [rule for rules in chains(recorded) if len(rules) > 1 for rule in rules]
    return [
        step
        for rules, there in disorder(ordered, kernel.order(ordered))
        for step in (*(Step(rule, None) for rule in there), *(Step(None, rule) for rule in rules))
    ]
