"""The firewall writer through python-iptables: the legacy tables, one commit a table.

python-iptables calls the C library that iptables-legacy is made of: it fetches a table from the
kernel, changes the copy, and puts the whole table back in one system call, which fails if somebody
else changed it meanwhile. iptables-legacy guards that with a lock file, which is taken here too.

Two of its properties matter here. The extension libxt_NAT.so, which holds MASQUERADE, SNAT and
DNAT for both families, registers its targets in its constructor, and only those of the family that
is active when it is first loaded; the other family never gets them. So a private copy of it is
loaded for each family. And a table object belongs to the namespace in which it was made: every use
begins with a refresh.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from plumb.errors import KernelRefused, Unsupported
from plumb.kernel.netfilter import error_hints
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.iptables import Chain, Family, Policy, Position, Rule, by_chain

Netfilter = Chain | Rule | Policy
LOCK = os.environ.get("XTABLES_LOCKFILE", "/run/xtables.lock")
GONE = "does a matching rule exist"
"""Part of libiptc's error for a rule to delete that is not there."""
PROTOCOL = {Family.V4: 2, Family.V6: 10}  # NFPROTO_IPV4, NFPROTO_IPV6


@cache
def _iptc() -> Any:
    try:
        import iptc
        import iptc.xtables
    # Where the C libraries are missing, python-iptables raises any error of ctypes.
    except Exception as error:
        raise Unsupported(
            f"python-iptables cannot be used: {error}", "install iptables (its C libraries)"
        ) from error
    for number in PROTOCOL.values():
        _load_nat(iptc.xtables, number)
    return iptc


def _load_nat(xtables: Any, number: int) -> None:
    """Register the NAT targets of one family, by a copy of libxt_NAT.so for it."""
    library = Path(os.environ.get("XTABLES_LIBDIR", "") or xtables._xtables_libdir) / "libxt_NAT.so"
    if not library.exists():
        return  # before iptables 1.8.8 each family had a library of its own
    copy = os.memfd_create(library.name)
    os.write(copy, library.read_bytes())
    xtables.xtables(number)
    xtables.xtables._xtables_set_nfproto(number)
    ctypes.CDLL(f"/proc/self/fd/{copy}")
    os.close(copy)


class Xtables:
    """Writes and reads the legacy tables.

    Raises:
        Unsupported: python-iptables or its libraries are missing, or the kernel has no legacy
        tables.
    """

    name = "python-iptables"

    def __init__(self) -> None:
        try:
            self._open(Family.V4, "filter")
        except KernelRefused as error:
            raise Unsupported(
                f"this kernel has no legacy iptables tables ({error})",
                "switch to the nf_tables variant: update-alternatives --set iptables "
                "/usr/sbin/iptables-nft",
            ) from error

    def take(self, steps: Sequence[Step], done: list[Step]) -> None:
        """Take the steps, a table at a time."""
        with _lock():
            for (family, table), part in groupby(sorted(steps, key=_table), key=_table):
                self._commit(family, table, list(part), done)

    def _commit(self, family: Family, name: str, part: list[Step], done: list[Step]) -> None:
        iptc = _iptc()
        step = part[0]
        try:
            table = self._open(family, name)
            for step in part:
                self._edit(table, step)
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

    def _open(self, family: Family, name: str) -> Any:
        iptc = _iptc()
        try:
            table = (iptc.Table if family is Family.V4 else iptc.Table6)(name, autocommit=False)
            table.autocommit = False
            table.refresh()
        except iptc.IPTCError as error:
            raise KernelRefused(
                f"open {family} table {name}",
                0,
                str(error),
                error_hints.of_iptables(f"{family} {error}"),
            ) from error
        return table

    def _edit(self, table: Any, step: Step) -> None:
        """Take a step on a table's copy; to delete an object that is gone already is no error."""
        iptc, thing, adding = _iptc(), _thing(step), step.after is not None
        match thing:
            case Chain():
                there = table.is_chain(thing.name)
                if adding and not (there and thing.users):
                    table.create_chain(thing.name)
                elif not adding and there:
                    chain = iptc.Chain(table, thing.name)
                    if not thing.users:
                        chain.flush()
                    if not chain.rules:
                        table.delete_chain(thing.name)
            case Rule() if adding:
                chain, rule = iptc.Chain(table, thing.chain), translate(thing)
                chain.insert_rule(rule) if thing.place is Position.HEAD else chain.append_rule(rule)
            case Rule():
                if table.is_chain(thing.chain) or table.builtin_chain(thing.chain):
                    self._delete(iptc.Chain(table, thing.chain), thing)
            case Policy():
                iptc.Chain(table, thing.chain).set_policy(thing.verdict)

    def _delete(self, chain: Any, rule: Rule) -> None:
        """Delete a rule by the C library's own search.

        To read a chain of a thousand rules into Python takes a tenth of a second.
        """
        try:
            translated = translate(rule)
        except (_iptc().IPTCError, _iptc().XTablesError):
            return  # a jump to a chain that is gone
        try:
            chain.delete_rule(translated)
        except _iptc().IPTCError as error:
            if GONE not in str(error):
                raise

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Read things, each as it is now."""
        tables: dict[tuple[Family, str], Any] = {}
        rules: dict[tuple[Family, str, str], list[Any]] = {}

        def now(thing: Thing) -> Thing | None:
            assert isinstance(thing, Netfilter)
            which = (thing.family, thing.table)
            if which not in tables:
                tables[which] = self._open(*which)
            table = tables[which]
            match thing:
                case Chain():
                    return thing if table.is_chain(thing.name) else None
                case Policy():
                    return replace(
                        thing, verdict=_iptc().Chain(table, thing.chain).get_policy().name
                    )
                case Rule():
                    if (*which, thing.chain) not in rules:
                        rules[*which, thing.chain] = self._rules(table, thing.chain)
                    raw = self._translated(thing)
                    there = raw is not None and raw in rules[*which, thing.chain]
                    return thing if there else None

        with _lock():
            return [now(thing) for thing in things]

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """The present ones of these rules, those of each chain in the chain's order."""
        known = (rule for rule in rules if isinstance(rule, Rule))
        return [rule for chain in by_chain(known) for rule in self._order(chain)]

    def _order(self, chain: Sequence[Rule]) -> list[Thing]:
        with _lock():
            there = self._rules(self._open(chain[0].family, chain[0].table), chain[0].chain)
        translated = [(raw, rule) for rule in chain if (raw := self._translated(rule)) is not None]
        return [rule for found in there for raw, rule in translated if raw == found]

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Read things, each as it is now, and the order of the rules among them."""
        return self.look(things), self.order(things)

    def _rules(self, table: Any, chain: str) -> list[Any]:
        if not (table.is_chain(chain) or table.builtin_chain(chain)):
            return []
        return list(_iptc().Chain(table, chain).rules)

    def _translated(self, rule: Rule) -> Any:
        """A rule's translation to compare; None for a jump to a chain that is gone.

        Some extensions complete their data in a last check (MASQUERADE its range's size): without
        it no comparison would find the rule.
        """
        try:
            made = translate(rule)
            made.final_check()
            return made
        except (_iptc().IPTCError, _iptc().XTablesError):
            return None


def translate(rule: Rule) -> Any:
    """Translate a rule's words to python-iptables' object.

    It checks the object when a chain is given it, and takes all of its options apart for that.
    """
    iptc = _iptc()
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
    return made


FLAGS = frozenset({"--ipvs", "--restore-mark"})
"""Options that take no value."""
PLAIN = {"-s": "src", "-d": "dst", "-i": "in_interface", "-o": "out_interface", "-p": "protocol"}


@contextmanager
def _lock() -> Iterator[None]:
    """Hold the lock that iptables-legacy takes."""
    try:
        descriptor = os.open(LOCK, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KernelRefused(f"lock {LOCK}", error.errno or 0) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _thing(step: Step) -> Netfilter:
    thing = step.thing
    assert isinstance(thing, Netfilter)
    return thing


def _table(step: Step) -> tuple[Family, str]:
    return _thing(step).family, _thing(step).table
