"""The firewall writer for nf_tables of plumb's own: a call is one transaction, of both families.

What comes with containers and published ports, nfnetlink is told
(plumb/kernel/netfilter/nf_tables/transaction.py); what follows is about the rest, and about what
the kernel refuses.

The kernel identifies a rule by its handle, a number, and deletes it by that: so plumb lists the
chain, and finds the rule by its words, or, where this version of nft prints other words for it, by
its JSON.

A rule that goes before another could be inserted at that one's handle; but libnftables then reads
all rules of the table, 8 µs each, to check the handle. So where the other rule is the last of its
chain, plumb deletes it and adds it again behind the new one instead, with its counts. It is one
transaction: no packet meets the chain without it.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from plumb.errors import KernelRefused
from plumb.kernel.netfilter import error_hints
from plumb.kernel.netfilter.libnftables import HANDLES, JSON, nft
from plumb.kernel.netfilter.nf_tables import transaction
from plumb.kernel.netfilter.nf_tables.expressions import NotInVocabulary
from plumb.kernel.netfilter.nft_contents import Contents, Native
from plumb.kernel.netfilter.nft_expressions import Json, comparable, written
from plumb.plan import Step, StepFailed
from plumb.things import Key, Thing
from plumb.things.iptables import Position, by_chain
from plumb.things.nftables import (
    COUNTER,
    NftChain,
    NftElement,
    NftFamily,
    NftMap,
    NftRule,
    NftTable,
)

LINE = re.compile(r"^\t\t(.*) # handle (\d+)$", re.MULTILINE)


class Nftables:
    """Writes and reads nf_tables through libnftables.

    Raises:
        Unsupported: libnftables is not installed, or cannot speak JSON.
    """

    def __init__(self) -> None:
        self.name = f"libnftables {nft().version}"

    def take(self, steps: Sequence[Step], done: list[Step]) -> None:
        """Take all steps, or none.

        What nfnetlink cannot be told, or the kernel refuses, libnftables is given instead, in
        whole: an error is nft's own, in its words.
        """
        try:
            transaction.transact(steps)
        except (NotInVocabulary, KeyError, OSError):
            self._run(steps, done)
        else:
            done += steps

    def _run(self, steps: Sequence[Step], done: list[Step]) -> None:
        left = list(steps)
        try:
            _transact(left)
        except KernelRefused as refused:
            there = self.look([step.thing for step in left])
            left = [
                step
                for step, now in zip(left, there, strict=True)
                if step.after is not None or now is not None
            ]
            self._retry(left, refused, again=len(left) < len(steps), done=done)
        done += steps

    def _retry(
        self, left: list[Step], refused: KernelRefused, *, again: bool, done: list[Step]
    ) -> None:
        """Try a failed transaction without objects that are gone, or find the failed step."""
        try:
            if not again:
                raise refused
            _transact(left)
        except KernelRefused as error:
            culprit = _culprit(left)
            error.hint = error_hints.of_nftables(culprit.after, error.errno) or error.hint
            raise StepFailed(error, culprit, done) from error

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Read things, each as it is now, from one listing a table."""
        tables: dict[tuple[NftFamily, str], Contents | None] = {}

        def now(thing: Thing) -> Thing | None:
            assert isinstance(thing, Native)
            which = (thing.family, thing.name if isinstance(thing, NftTable) else thing.table)
            if which not in tables:
                tables[which] = _contents(*which)
            contents = tables[which]
            return contents.find(thing) if contents is not None else None

        return [now(thing) for thing in things]

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """The present ones of these rules, those of each chain in the chain's order."""
        found: list[Thing] = []
        for chain in by_chain(rule for rule in rules if isinstance(rule, NftRule)):
            known = {comparable(written(rule)["rule"]): rule for rule in chain}
            listed = dict.fromkeys(map(comparable, _listed(chain[0])))
            found += [known[words] for words in listed if words in known]
        return found

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Read things, each as it is now, and the order of the rules among them."""
        return self.look(things), self.order(things)


# -- writing ---------------------------------------------------------------


def _transact(steps: Sequence[Step], *, dry: bool = False) -> None:
    commands = _commands(steps)
    if commands:
        nft().run(
            commands, f"write nftables ({steps[0]}{', …' if len(steps) > 1 else ''})", dry=dry
        )


def _culprit(steps: Sequence[Step]) -> Step:
    """Find the refused step, the last of the shortest prefix that the kernel would refuse."""
    good, bad = 0, len(steps)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            _transact(steps[:middle], dry=True)
            good = middle
        except KernelRefused:
            bad = middle
    return steps[bad - 1]


def _commands(steps: Iterable[Step]) -> list[Json]:
    """The commands for these steps, one transaction's."""
    chains = _Chains()
    parts: list[list[Json]] = []
    # The rules that are added, each with the commands that add others right before it.
    new: dict[Key, list[Json]] = {}
    for step in steps:
        thing = step.thing
        assert isinstance(thing, Native)
        if not isinstance(thing, NftRule):
            parts.append(_changed(thing, step))
            continue
        if step.after is None:
            if thing.key in new:
                new.pop(thing.key).pop()
            else:
                parts.append(chains.delete(thing))
            continue
        behind = replace(thing, spec=thing.before)
        handle = chains.find(behind) if thing.before and behind.key not in new else None
        if handle is not None and not chains.ends_with(behind, handle):
            parts.append([{"insert": {"rule": {**written(thing)["rule"], "handle": handle}}}])
            continue
        if handle is not None:
            parts.append(chains.delete(behind))
            parts.append([{"add": written(behind, chains.counted(behind, handle))}])
            new[behind.key] = parts[-1]
        if thing.before and behind.key in new:
            new[behind.key].insert(-1, {"add": written(thing)})
        else:
            parts.append([{"insert" if thing.place is Position.HEAD else "add": written(thing)}])
            new[thing.key] = parts[-1]
    return [command for part in parts for command in part]


def _changed(thing: NftTable | NftMap | NftChain | NftElement, step: Step) -> list[Json]:
    """A step as commands: `create` fails where the object is there already.

    `add` changes a chain's policy in place.
    """
    if step.after is None:
        return [{"delete": _body(thing)}]
    if step.before is None:
        return [{"create": _body(thing)}]
    return (
        [{"add": _body(thing)}]
        if isinstance(thing, NftChain)
        else [{"delete": _body(thing)}, {"create": _body(thing)}]
    )


def _body(thing: NftTable | NftMap | NftChain | NftElement) -> Json:
    """A thing as libnftables-json(5) writes it."""
    match thing:
        case NftTable():
            return {"table": {"family": thing.family, "name": thing.name}}
        case NftMap():
            return {
                "map": {**_place(thing), "name": thing.name, "type": "ifname", "map": "verdict"}
            }
        case NftElement():
            return {
                "element": {
                    **_place(thing),
                    "name": thing.map,
                    "elem": [[thing.link, {"jump": {"target": thing.chain}}]],
                }
            }
        case NftChain():
            base = (
                {
                    "type": thing.type,
                    "hook": thing.hook,
                    "prio": thing.priority,
                    "policy": thing.policy,
                }
                if thing.hook
                else {}
            )
            return {"chain": {**_place(thing), "name": thing.name, **base}}


def _place(thing: NftMap | NftChain | NftElement) -> Json:
    return {"family": thing.family, "table": thing.table}


class _Chains:
    """Rules of the chains that one transaction is about, each chain listed once.

    Rules that the transaction deletes are not found any more.
    """

    def __init__(self) -> None:
        self._texts: dict[Key, str] = {}
        self._words: dict[Key, dict[str, list[int]]] = {}
        self._meanings: dict[Key, dict[str, list[int]]] = {}
        self._deleted: set[tuple[Key, int]] = set()

    def find(self, rule: NftRule) -> int | None:
        """Find a rule's handle; None where the rule is gone."""
        chain = rule.key[:-1]
        if chain not in self._texts:
            self._list(rule)
        handles = self._words[chain].get(rule.spec)
        if handles is None and self._words[chain]:
            if chain not in self._meanings:
                self._meanings[chain] = _gathered(
                    (comparable(each), each["handle"]) for each in _listed(rule)
                )
            handles = self._meanings[chain].get(comparable(written(rule)["rule"]))
        return next(
            (handle for handle in handles or () if (chain, handle) not in self._deleted), None
        )

    def _list(self, rule: NftRule) -> None:
        """List a rule's chain in nft's words, the cheapest listing."""
        text = _output(f"list chain {rule.family} {rule.table} {rule.chain}", HANDLES)
        self._texts[rule.key[:-1]] = text
        self._words[rule.key[:-1]] = _gathered(
            (spec, int(handle)) for spec, handle in LINE.findall(COUNTER.sub("counter", text))
        )

    def ends_with(self, rule: NftRule, handle: int) -> bool:
        """Check that a rule is the last of its chain, as it was listed."""
        *_, (_, last) = LINE.findall(self._texts[rule.key[:-1]])
        return bool(last == str(handle))

    def counted(self, rule: NftRule, handle: int) -> tuple[int, int]:
        """A rule's counts, packets and bytes."""
        text = self._texts[rule.key[:-1]]
        line = next((words for words, number in LINE.findall(text) if int(number) == handle), "")
        counts = COUNTER.search(line)
        return (int(counts[1]), int(counts[2])) if counts else (0, 0)

    def delete(self, rule: NftRule) -> list[Json]:
        """The command that deletes a rule; none where it is gone already."""
        handle = self.find(rule)
        if handle is None:
            return []
        self._deleted.add((rule.key[:-1], handle))
        return [
            {
                "delete": {
                    "rule": {
                        "family": rule.family,
                        "table": rule.table,
                        "chain": rule.chain,
                        "handle": handle,
                    }
                }
            }
        ]


def _gathered(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Handles of equal rules, by the text that they have in common."""
    found: dict[str, list[int]] = {}
    for what, handle in pairs:
        found.setdefault(what, []).append(handle)
    return found


# -- reading ---------------------------------------------------------------


def _contents(family: NftFamily, table: str) -> Contents | None:
    """List a table's contents; None where there is no such table."""
    text = _output(f"list table {family} {table}")
    return Contents(json.loads(text)["nftables"]) if text else None


def _listed(rule: NftRule) -> list[Json]:
    """List the rules of a rule's chain, as JSON; none where the chain is gone."""
    text = _output(f"list chain {rule.family} {rule.table} {rule.chain}")
    return [item["rule"] for item in json.loads(text)["nftables"] if "rule" in item] if text else []


def _output(command: str, flags: int = JSON) -> str:
    """Run a list command; empty where there is no such table or chain."""
    try:
        return nft().run(command, command, flags=flags)
    except KernelRefused as refused:
        if refused.errno != errno.ENOENT:
            raise
        return ""


@lru_cache(maxsize=1)
def writer() -> Nftables:
    """The writer of this process."""
    return Nftables()
