"""The firewall writer for the legacy tables: one commit a table.

A table is read once for an operation, changed in the C library's copy, and put back once, under
the lock that iptables-legacy takes. Rules are given to the library as bytes (`encode`), and read as
bytes; python-iptables translates those that have other words.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

from plumb.errors import KernelRefused, Unsupported
from plumb.kernel.netfilter import error_hints
from plumb.kernel.netfilter.iptables_legacy.encode import encode
from plumb.kernel.netfilter.iptables_legacy.tables import (
    entries,
    has,
    has_chain,
    library,
    locked,
    opened,
)
from plumb.kernel.netfilter.nf_tables.expressions import IFNAMSIZ, NotInVocabulary
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.iptables import Chain, Family, Policy, Position, Rule, by_chain

Netfilter = Chain | Rule | Policy
GONE = "does a matching rule exist"
"""Part of libiptc's error for a rule to delete that is not there."""


class Xtables:
    """Writes and reads the legacy tables.

    Raises:
        Unsupported: python-iptables or its libraries are missing, or the kernel has no legacy
        tables.
    """

    name = "python-iptables"

    def __init__(self) -> None:
        try:
            opened(Family.V4, "filter")
        except KernelRefused as error:
            raise Unsupported(
                f"this kernel has no legacy iptables tables ({error})",
                "switch to the nf_tables variant: update-alternatives --set iptables "
                "/usr/sbin/iptables-nft",
            ) from error

    def take(self, steps: Sequence[Step], done: list[Step]) -> None:
        """Take the steps, a table at a time."""
        with locked():
            for (family, table), part in groupby(sorted(steps, key=_table), key=_table):
                self._commit(family, table, list(part), done)

    def _commit(self, family: Family, name: str, part: list[Step], done: list[Step]) -> None:
        iptc = library()
        step = part[0]
        try:
            table = opened(family, name)
            for step in part:
                _edit(table, step)
            table.commit()
        except (iptc.IPTCError, iptc.XTablesError, ValueError) as error:
            refused = KernelRefused(
                f"write {family} table {name} ({step})",
                0,
                str(error),
                error_hints.of_iptables(str(error)),
            )
            raise StepFailed(refused, step, done) from error
        done += part

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Read things, each as it is now."""
        with locked():
            reading = _Reading()
            return [reading.now(thing) for thing in things]

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """The present ones of these rules, those of each chain in the chain's order."""
        with locked():
            return _Reading().order(rules)

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Read things, each as it is now, and the order of the rules among them."""
        with locked():
            reading = _Reading()
            return [reading.now(thing) for thing in things], reading.order(things)


# -- writing ------------------------------------------------------------------------


def _edit(table: Any, step: Step) -> None:
    """Take a step on a table's copy; to delete an object that is gone already is no error."""
    thing, adding = _thing(step), step.after is not None
    match thing:
        case Chain():
            there = table.is_chain(thing.name)
            if adding and not (there and thing.users):
                table.create_chain(thing.name)
            elif not adding and there:
                if not thing.users:
                    table.flush_entries(thing.name)
                if not table.first_rule(thing.name):
                    table.delete_chain(thing.name)
        case Rule() if adding:
            entry = _array(_entry(table, thing).raw)
            if thing.place is Position.HEAD:
                table.insert_entry(thing.chain, entry, 0)
            else:
                table.append_entry(thing.chain, entry)
        case Rule():
            if has_chain(table, thing.chain):
                _delete(table, thing)
        case Policy():
            table.set_policy(thing.chain, thing.verdict)


def _delete(table: Any, rule: Rule) -> None:
    """Delete a rule by the C library's own search."""
    iptc = library()
    try:
        entry = _entry(table, rule)
    except (iptc.IPTCError, iptc.XTablesError):
        return  # a jump to a chain that is gone
    try:
        table.delete_entry(rule.chain, _array(entry.raw), _array(entry.counts))
    except iptc.IPTCError as error:
        if GONE not in str(error):
            raise


# -- reading ------------------------------------------------------------------------


class _Reading:
    """Look at the tables, each of which is read once."""

    def __init__(self) -> None:
        self._tables: dict[tuple[Family, str], Any] = {}
        self._chains: dict[tuple[Family, str, str], dict[bytes, list[int]]] = {}

    def now(self, thing: Thing) -> Thing | None:
        assert isinstance(thing, Netfilter)
        match thing:
            case Chain():
                return thing if self._table(thing).is_chain(thing.name) else None
            case Policy():
                verdict, _ = self._table(thing).get_policy(thing.chain)
                return replace(thing, verdict=verdict.name)
            case Rule():
                return thing if self._positions(thing) else None

    def order(self, things: Sequence[Thing]) -> list[Thing]:
        order: list[Thing] = []
        for chain in by_chain(thing for thing in things if isinstance(thing, Rule)):
            there = [(at, rule) for rule in chain for at in self._positions(rule)]
            order += [rule for _, rule in sorted(there, key=lambda each: each[0])]
        return order

    def _table(self, thing: Netfilter) -> Any:
        which = (thing.family, thing.table)
        if which not in self._tables:
            self._tables[which] = opened(*which)
        return self._tables[which]

    def _positions(self, rule: Rule) -> Sequence[int]:
        """Positions of a rule in its chain; none, where it jumps to a chain that is gone."""
        iptc, table = library(), self._table(rule)
        which = (rule.family, rule.table, rule.chain)
        if which not in self._chains:
            found = self._chains[which] = {}
            for at, raw in enumerate(entries(rule.family, table, rule.chain)):
                found.setdefault(raw, []).append(at)
        try:
            entry = _entry(table, rule)
        except (iptc.IPTCError, iptc.XTablesError):
            return ()
        return entry.positions(self._chains[which])


# -- translation --------------------------------------------------------------------


class _Entry(NamedTuple):
    """A rule's bytes.

    Attributes:
        raw: the entry.
        counts: a mask of those of its bits that are the same in the kernel's copy.
    """

    raw: bytes
    counts: bytes

    def positions(self, chain: Mapping[bytes, Sequence[int]]) -> Sequence[int]:
        """Positions in a chain, whose entries have their positions beside them."""
        if not self.counts.strip(b"\xff"):
            return chain.get(self.raw, ())
        wanted, counts = _masked(self.raw, self.counts), self.counts
        alike = (raw for raw in chain if len(raw) == len(counts))
        return [at for raw in alike if _masked(raw, counts) == wanted for at in chain[raw]]


def _masked(raw: bytes, mask: bytes) -> int:
    return int.from_bytes(raw) & int.from_bytes(mask)


def _entry(table: Any, rule: Rule) -> _Entry:
    """A rule's entry for a table; python-iptables translates what is not in the vocabulary.

    Raises:
        IPTCError, XTablesError: it cannot either; or a jump to a chain that there is not.
    """
    try:
        made = encode(rule)
    except NotInVocabulary:
        return _translated(rule)
    if made.jump and not table.is_chain(made.jump):
        return _translated(rule)
    if not all(has(rule.family, kind, extension) for kind, extension in made.extensions):
        return _translated(rule)
    return _Entry(made.entry, b"\xff" * len(made.entry))


def _array(raw: bytes) -> ctypes.Array[Any]:
    return (ctypes.c_ubyte * len(raw)).from_buffer_copy(raw)


def _translated(rule: Rule) -> _Entry:
    made = translate(rule)
    # Some extensions complete their data in a last check: MASQUERADE its range's size.
    made.final_check()
    return _Entry(bytes(made.rule), bytes(made.mask))


def translate(rule: Rule) -> Any:
    """Translate a rule's words to python-iptables' object."""
    iptc = library()
    made = (iptc.Rule if rule.family is Family.V4 else iptc.Rule6)()
    owner: Any = made
    words = iter(rule.words)
    inverted = ""
    for word in words:
        if word == "!":
            inverted = "!"
            continue
        if word == "-m":
            owner = made.create_match(next(words))
        elif word == "-j":
            owner = made.create_target(next(words))
        elif word in PLAIN:
            # iptables has two names for ICMPv6.
            setattr(made, PLAIN[word], inverted + next(words).replace("ipv6-icmp", "icmpv6"))
        else:
            value = "" if word in FLAGS else next(words)
            setattr(owner, word.removeprefix("--").replace("-", "_"), inverted + value)
        inverted = ""
    if rule.family is Family.V6:
        _mend_masks(made.entry.ipv6)
    return made


def _mend_masks(header: Any) -> None:
    """Let every bit of a link's name count: python-iptables 1.0.1 has one of each byte for IPv6."""
    for name in ("iniface_mask", "outiface_mask"):
        counted = len(getattr(header, name))
        setattr(header, name, (b"\xff" * counted).ljust(IFNAMSIZ, b"\0"))


FLAGS = frozenset({"--ipvs", "--restore-mark"})
"""Options that take no value."""
PLAIN = {"-s": "src", "-d": "dst", "-i": "in_interface", "-o": "out_interface", "-p": "protocol"}


def _thing(step: Step) -> Netfilter:
    thing = step.thing
    assert isinstance(thing, Netfilter)
    return thing


def _table(step: Step) -> tuple[Family, str]:
    return _thing(step).family, _thing(step).table
