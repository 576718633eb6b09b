"""The writer through nfnetlink: all steps of a namespace in one transaction, without a process.

What the kernel refuses, or this vocabulary lacks, iptables-restore is given instead, in whole: a
transaction that was refused has changed nothing. So an error is iptables' own, in its words.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from plumb.kernel.netfilter.iptables_nft import tables
from plumb.kernel.netfilter.iptables_nft.encode import encode
from plumb.kernel.netfilter.iptables_nft.tables import Listing
from plumb.kernel.netfilter.iptables_restore import IptablesRestore
from plumb.kernel.netfilter.nf_tables.dump import ListedRule
from plumb.kernel.netfilter.nf_tables.expressions import NotInVocabulary
from plumb.kernel.netlink.codec import Request
from plumb.kernel.netlink.nfnetlink import Netfilter
from plumb.plan import Step
from plumb.things import Key, Thing
from plumb.things.iptables import BUILT_IN, Chain, Family, Policy, Rule, by_chain

ATTEMPTS = 8
"""How often a transaction is composed anew because somebody else changed the rules meanwhile."""
FEW_CHAINS = 3
"""Chains of one table that are dumped one by one; for more, the whole table is."""


class IptablesNft:
    """Writes and reads the nf_tables variant of iptables.

    Args:
        restore: the writer for what this one cannot write or read.
    """

    def __init__(self, restore: IptablesRestore) -> None:
        self.name = "iptables-nft"
        self._restore = restore

    def take(self, steps: Sequence[Step], done: list[Step]) -> None:
        """Take all steps, or none."""
        try:
            self._transact(steps)
        except (NotInVocabulary, KeyError, OSError):
            self._restore.take(steps, done)
        else:
            done += steps

    def _transact(self, steps: Sequence[Step]) -> None:
        with Netfilter() as netfilter:
            for attempt in range(ATTEMPTS):
                listing = Listing(netfilter)
                generation = listing.generation()
                try:
                    netfilter.transact(list(_Transaction(listing).requests(steps)), generation)
                except OSError as error:
                    if error.errno != errno.ERESTART or attempt == ATTEMPTS - 1:
                        raise
                else:
                    return

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Read things, each as it is now.

        A dump has a rule's expressions and not its words. One that plumb knows by its expressions
        is there; one that is not among them, in a chain that has others too, may be there as
        another version of iptables wrote it: iptables-save tells.
        """
        return self._states(things, _dumped(things))

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """The present ones of these rules, those of each chain in the chain's order."""
        return self._order(_dumped(rules))

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Read things, each as it is now, and the order of the rules among them."""
        dumps = _dumped(things)
        return self._states(things, dumps), self._order(dumps)

    def _states(self, things: Sequence[Thing], dumps: _Dumps) -> list[Thing | None]:
        found, unsure = dict(dumps.found), list(dumps.unsure)
        for chain in dumps.chains:
            found.update({rule.key: rule for rule in chain.there})
            if len(chain.there) == len(chain.rules):
                continue
            missing = [rule for rule in chain.rules if rule not in chain.there]
            if chain.strangers:
                unsure += missing
            else:
                found.update(dict.fromkeys((rule.key for rule in missing), None))
        if unsure:
            keys = [thing.key for thing in unsure]
            found.update(zip(keys, self._restore.look(unsure), strict=True))
        return [found[thing.key] for thing in things]

    def _order(self, dumps: _Dumps) -> list[Thing]:
        order: list[Thing] = []
        for chain in dumps.chains:
            sure = not chain.strangers or len(chain.there) == len(chain.rules)
            order += chain.there if sure else self._restore.order(chain.rules)
        return order


# -- reading ------------------------------------------------------------------


class _ChainDump(NamedTuple):
    """Rules of a chain, those of them that are there, in its order, and whether it has others."""

    rules: Sequence[Rule]
    there: dict[Rule, None]
    strangers: bool


class _Dumps(NamedTuple):
    """Dumps of what things are in.

    Attributes:
        found: chains and policies as they are.
        unsure: things of which iptables-save has to tell.
        chains: the rules by their chains.
    """

    found: dict[Key, Thing | None]
    unsure: Sequence[Thing]
    chains: Sequence[_ChainDump]


def _dumped(things: Sequence[Thing]) -> _Dumps:
    """Read things from dumps of what they are in; iptables-save has to tell where there is none."""
    chains = by_chain(thing for thing in things if isinstance(thing, Rule))
    others = [thing for thing in things if not isinstance(thing, Rule)]
    try:
        with Netfilter() as netfilter:
            listing = Listing(netfilter)
            dumps = _chain_dumps(chains, listing)
            return _Dumps({thing.key: _look(thing, listing) for thing in others}, (), dumps)
    except OSError:
        return _Dumps({}, others, [_ChainDump(rules, {}, True) for rules in chains])


def _look(thing: Thing, listing: Listing) -> Thing | None:
    match thing:
        case Chain(family=family, table=table, name=name):
            return thing if listing.has_chain(family, table, name) else None
        case Policy(family=family, table=table, chain=chain):
            return replace(thing, verdict=listing.chains(family).get((table, chain), "ACCEPT"))
    raise TypeError(f"{thing} is not iptables'")


def _chain_dumps(chains: Sequence[Sequence[Rule]], listing: Listing) -> list[_ChainDump]:
    tables = Counter((rules[0].family, rules[0].table) for rules in chains)
    for (family, table), count in tables.items():
        if count > FEW_CHAINS:
            listing.read_table(family, table)
    return [
        _ChainDump(
            rules,
            *_present(
                rules, listing.rules(rules[0].family, rules[0].table, rules[0].chain).rules()
            ),
        )
        for rules in chains
    ]


def _present(rules: Sequence[Rule], listed: Sequence[ListedRule]) -> tuple[dict[Rule, None], bool]:
    """The chain's rules that are there, in its order; and whether it has others."""
    known: dict[bytes, Rule] = {}
    for rule in rules:
        with suppress(NotInVocabulary):
            known[encode(rule).expressions] = rule
    there = dict.fromkeys(known[each.expressions] for each in listed if each.expressions in known)
    return there, any(each.expressions not in known for each in listed)


# -- writing ------------------------------------------------------------------


class _Transaction:
    """Steps as messages, composed against what is there.

    Args:
        listing: chains and rules before the transaction.
    """

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._made: set[tuple[str, ...]] = set()
        self._taken: set[tuple[Family, str, int]] = set()  # a handle is a table's own

    def requests(self, steps: Iterable[Step]) -> Iterator[Request]:
        """Yield the messages in the order of the steps.

        Raises:
            NotInVocabulary: iptables has to take one of the steps.
        """
        for step in steps:
            thing = step.thing
            match thing:
                case Chain():
                    yield from self._chain(thing, adding=step.after is not None)
                case Rule() if step.after is None:
                    yield tables.drop_rule(thing, self._handle(thing))
                case Rule():
                    yield from self._table(thing.family, thing.table, thing.chain)
                    yield tables.new_rule(thing)
                case Policy():
                    yield from self._table(thing.family, thing.table, thing.chain)
                    yield tables.set_policy(thing)

    def _chain(self, chain: Chain, *, adding: bool) -> Iterator[Request]:
        if adding and not self._stays(chain, adding=True):
            yield from self._table(chain.family, chain.table)
            yield tables.new_chain(chain)
        if not adding and not self._stays(chain, adding=False):
            yield from tables.drop_chain(chain)

    def _stays(self, chain: Chain, *, adding: bool) -> bool:
        """Tell of a user's chain: it is not made twice, and not deleted while it has rules."""
        where = (chain.table, chain.name)
        if not chain.users or where not in self._listing.chains(chain.family):
            return False
        return adding or bool(self._listing.rules(chain.family, *where).bodies)

    def _table(self, family: Family, table: str, chain: str = "") -> Iterator[Request]:
        """Make a table, and a built-in chain of it, where the first thing that needs them is new.

        A chain that is there is not made again: the kernel takes that for a change of it, and
        closing the socket then waits until no packet meets the former state, some 10 ms.
        """
        there = self._listing.chains(family)
        if (family, table) not in self._made and not any(of == table for of, _ in there):
            yield tables.new_table(family, table)
        self._made.add((family, table))
        if chain in BUILT_IN and (family, table, chain) not in self._made:
            self._made.add((family, table, chain))
            if (table, chain) not in there:
                yield tables.new_built_in(family, table, chain)

    def _handle(self, rule: Rule) -> int:
        """The handle of the first such rule that has not been deleted yet.

        Raises:
            NotInVocabulary: there is none by these expressions.
        """
        wanted = encode(rule).expressions
        for handle in self._listing.rules(rule.family, rule.table, rule.chain).handles(wanted):
            which = (rule.family, rule.table, handle)
            if which not in self._taken:
                self._taken.add(which)
                return handle
        raise NotInVocabulary(rule.spec)
