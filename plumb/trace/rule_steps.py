"""Rules: what a step through the firewall was, in the words of whoever listed the rules, and why that rule exists.

A trace names a rule by a number: nft's by its handle, a legacy one by its place in the chain. The
words come from a listing made in the same moment in the same namespace (`RulesetListing`). Rules that
iptables of the nf_tables variant keeps in nft's tables are shown as `iptables -S` has them, since
that is how they were written: the n-th of the chain in both.

The reason is plumb's own, where the rule is plumb's (`Rule.why`, kept with it in the store). A real
Docker keeps none; but its rules are few, and well known (`known`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plumb.model.observations import Netns, RuleHit, RuleKind
from plumb.things.iptables import BUILT_IN, FAMILIES, TABLES, Policy, Rule
from plumb.things.nftables import COUNTER, NftRule
from plumb.trace.known_rules import known

Saved = Mapping[str, Mapping[str, tuple[str, list[str]]]]
"""What iptables-save printed: the policy and the rules of each chain of each table."""
Chain = tuple[str, str, str]
"""Family, table, chain."""
HANDLE = re.compile(r" # handle (\d+)$")


@dataclass(frozen=True)
class Hooked:
    """Where a base chain hooks in, at which priority, and what becomes of what no rule decides."""

    hook: str
    priority: str
    policy: str


@dataclass(frozen=True)
class RuleLine:
    """A step through the firewall, in words.

    Attributes:
        place: the namespace.
        where: table and chain, as "nat PREROUTING"; for nft's own tables with the family, as "inet
        fw forward".
        number: which rule of the chain, from 1; 0 for what is no rule.
        text: the rule's words, or "policy DROP", "end of chain".
        why: one sentence on why it exists, empty for a policy that lets pass.
        verdict: what it said: "accept", "drop", "jump NAME", …
        hook: which hook of netfilter it was reached from: "prerouting", "forward", …, empty where
        it is not known.
        mine: it is plumb's.
        native: of a table of nft's own, rather than of iptables; backend: "nft" or "legacy";
        handle: nft's number for it.
    """

    place: Netns
    where: str
    number: int
    text: str
    why: str
    verdict: str
    hook: str = ""
    family: str = ""
    table: str = ""
    chain: str = ""
    kind: RuleKind = RuleKind.RULE
    mine: bool = False
    native: bool = False
    backend: str = "nft"
    handle: int = 0

    @property
    def drops(self) -> bool:
        """Whether it is the end of the packet."""
        return self.verdict == "drop"

    @property
    def rejects(self) -> bool:
        """Whether it tells the sender so."""
        return self.drops and bool(re.search(r"\bREJECT\b|\breject\b", self.text))

    @property
    def rewrites(self) -> bool:
        """Whether it gives the packet another destination."""
        return bool(re.search(r"\bDNAT\b|\bdnat\b", self.text))

    @property
    def named(self) -> str:
        """Which rule of which chain it is."""
        return f"{self.where} #{self.number}" if self.number else self.where


@dataclass
class RulesetListing:
    """The rules of a namespace as they are listed.

    Attributes:
        nft: the rules of each chain of nft's own, with their handles; hooked: its base chains.
        handles: those of the chains that iptables keeps there.
        saved: what iptables-save prints, by backend and family: ("nft", "ip"), ("legacy", "ip6").
    """

    nft: dict[Chain, list[tuple[int, str]]] = field(default_factory=dict)
    hooked: dict[Chain, Hooked] = field(default_factory=dict)
    handles: Mapping[Chain, Sequence[int]] = field(default_factory=dict)
    saved: Mapping[tuple[str, str], Saved] = field(default_factory=dict)

    def words(self, step: RuleHit) -> tuple[int, str]:
        """Which rule of its chain a step was, from 1, and its words.

        0 and nothing where it is gone meanwhile.
        """
        specs = (
            self.saved.get((step.backend, step.family), {})
            .get(step.table, {})
            .get(step.chain, ("", []))[1]
        )
        if step.backend == "legacy":
            return (
                (step.number, specs[step.number - 1]) if 0 < step.number <= len(specs) else (0, "")
            )
        which = (step.family, step.table, step.chain)
        listed = self.nft.get(which) or list(zip(self.handles.get(which, ()), specs, strict=False))
        return next(
            ((i, text) for i, (handle, text) in enumerate(listed, 1) if handle == step.handle),
            (0, ""),
        )

    def hook(self, step: RuleHit) -> str:
        """The hook of a base chain, empty for a chain that is only jumped to."""
        if (
            found := self.hooked.get((step.family, step.table, step.chain))
        ) and step.backend == "nft":
            return found.hook
        return step.chain.lower() if step.chain in BUILT_IN and step.table in TABLES else ""


def listed(text: str) -> RulesetListing:
    """Read what `nft --handle list ruleset` prints."""
    book, table, chain = RulesetListing(), ("", ""), None
    for raw in text.splitlines():
        handle, line = HANDLE.search(raw), HANDLE.sub("", raw).strip()
        words = line.split()
        if line.startswith("table ") and line.endswith("{"):
            table, chain = (words[1], words[2]), None
        elif line.startswith("chain ") and line.endswith("{"):
            chain = (*table, words[1])
            book.nft[chain] = []
        elif line == "}":
            chain = None
        elif chain and (
            base := re.match(
                r"type \w+ hook (\w+)(?: devices? .*?)? priority (.+?);(?: policy (\w+);)?", line
            )
        ):
            book.hooked[chain] = Hooked(base[1], base[2], base[3] or "accept")
        elif chain and handle:
            book.nft[chain].append((int(handle[1]), COUNTER.sub("counter", line)))
    return book


Whys = Mapping[tuple[str, str, str, str], str]
"""Why rules exist: by the tool or nft's family, table, chain and words."""


def whys(things: Iterable[object]) -> dict[tuple[str, str, str, str], str]:
    """Why plumb's own rules exist, as they are recorded."""
    found = {}
    for thing in things:
        if isinstance(thing, Rule | NftRule):
            found[str(thing.family), thing.table, thing.chain, thing.spec] = thing.why
        elif isinstance(thing, Policy):
            found[str(thing.family), thing.table, thing.chain, ""] = thing.why
    return found


def read(
    steps: Iterable[RuleHit], books: Mapping[str, RulesetListing], reasons: Whys
) -> Iterator[RuleLine]:
    """Steps through one namespace's firewall in words, those that told nothing left out.

    A jump to a chain in which nothing fitted tells nothing; nor does a policy that lets pass, but
    where it is all that is said about forwarding.

    Args:
        steps: of one packet, in order.
        books: the listing of each place, by its name.
    """
    jumps: list[RuleLine] = []
    hook, told = "", 0
    for step in steps:
        book = books.get(step.place.name, RulesetListing())
        if base := book.hook(step):
            told = told if base == hook else 0
            hook = base
        line = _line(step, book, reasons, hook)
        if line.verdict.startswith(("jump", "goto")):
            jumps.append(line)
        elif step.kind is RuleKind.RETURN or not line.text:
            # Kernels from about 6.2 on say at the end of a chain what they say of a rule, without a
            # handle.
            jumps = jumps[:-1]
        elif step.kind is RuleKind.POLICY:
            if line.drops or (hook == "forward" and not told and step.table not in ASIDE):
                yield line
            jumps = []
        else:
            yield from jumps
            yield line
            jumps, told = [], told + 1


def _line(step: RuleHit, book: RulesetListing, reasons: Whys, hook: str) -> RuleLine:
    """A step in words; without any where it is the end of a chain, or a rule that is gone."""
    saved = book.saved.get((step.backend, step.family), {}).get(step.table, {})
    native = step.backend == "nft" and step.chain not in saved
    owner = step.family if native else str(FAMILIES.get(step.family, step.family))
    where = f"{step.family} {step.table} {step.chain}" if native else f"{step.table} {step.chain}"
    number, text, verdict, words = 0, "", step.verdict, ""
    if step.kind is RuleKind.RULE:
        number, words = book.words(step)
        text, verdict = words, verdict or _verdict(words, saved)
    elif step.kind is RuleKind.POLICY:
        verdict = verdict or saved.get(step.chain, ("ACCEPT", []))[0].lower()
        text = f"policy {verdict.upper()}"
    key = (owner, step.table, step.chain, words)
    why = reasons.get(key, "") or (known(step.table, step.chain, words) if words else "")
    return RuleLine(
        step.place,
        where,
        number,
        text,
        why if words or verdict == "drop" else "",
        verdict,
        hook,
        step.family,
        step.table,
        step.chain,
        step.kind,
        key in reasons,
        native,
        step.backend,
        step.handle,
    )


def _verdict(words: str, chains: Mapping[str, object]) -> str:
    """What a rule of the legacy tables said, by its target.

    The kernel tells only that it fitted.
    """
    target = re.search(r"(?:^| )-([jg]) (\S+)", words)
    if target is None:
        return "continue"
    if target[2] in chains:
        return f"{'goto' if target[1] == 'g' else 'jump'} {target[2]}"
    return TARGETS.get(target[2], "continue")


ASIDE = TABLES - {"filter"}
"""Tables of iptables in which nobody decides what may pass, as a rule."""
TARGETS = {
    "ACCEPT": "accept",
    "DROP": "drop",
    "REJECT": "drop",
    "RETURN": "return",
    "DNAT": "accept",
    "SNAT": "accept",
    "MASQUERADE": "accept",
    "REDIRECT": "accept",
    "NFQUEUE": "queue",
}
