"""Rule steps: rule hits with the text of the rule, and the reason for the rule.

The kernel names a rule by a number: one of nft's by its handle, a legacy one by its place in the
chain. plumb takes the text from a listing made right after the probe packet in the same namespace
(`RulesetListing`). Rules that iptables of the nf_tables variant keeps in nft's tables have the text
of `iptables -S`, as they were written: the n-th of the chain in both.

The reason of plumb's own rules is recorded (`Rule.why`, in the store). A real Docker records none;
but its rules are few, and well known (`known`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plumb.explain.known_rules import known
from plumb.frozen import frozen
from plumb.model.observations import HOST, Netns, RuleHit, RuleKind
from plumb.things import Key, Thing
from plumb.things.iptables import BUILT_IN, FAMILIES, TABLES, Family, Policy, Rule
from plumb.things.nftables import COUNTER, NftFamily, NftRule

Saved = Mapping[str, Mapping[str, tuple[str, list[str]]]]
"""Output of iptables-save: the policy and the rules of each chain of each table."""
Chain = tuple[str, str, str]
"""Family, table, chain."""
HANDLE = re.compile(r" # handle (\d+)$")


@frozen
class Hooked:
    """Base chain's hook, priority and policy."""

    hook: str
    priority: str
    policy: str


@frozen
class RuleLine:
    """Step through the firewall, with text.

    Attributes:
        place: the namespace.
        where: table and chain, as "nat PREROUTING"; for nft's own tables with the family, as "inet
            fw forward".
        number: the rule's number in its chain, from 1; 0 for a policy.
        text: the rule, or "policy DROP".
        why: the reason for the rule, in a sentence; empty for a policy that accepts.
        verdict: "accept", "drop", "jump NAME", …
        hook: the hook of netfilter: "prerouting", "forward", …, empty if it is not known.
        mine: True for a rule of plumb's.
        native: True for a table of nft's own, rather than of iptables.
        backend: "nft" or "legacy"; handle: nft's number for the rule.
        beside: of a policy of iptables', who else has chains in its table and variant: an engine
            ("engine"), "ufw"; and `ENTERED`.
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
    beside: frozenset[str] = frozenset()

    @property
    def drops(self) -> bool:
        """True if the verdict ends the packet."""
        return self.verdict == "drop"

    @property
    def rejects(self) -> bool:
        """True if the kernel also reports the drop to the sender."""
        return self.drops and bool(re.search(r"\bREJECT\b|\breject\b", self.text))

    @property
    def rewrites(self) -> bool:
        """True if the rule gives the packet another destination."""
        return bool(re.search(r"\bDNAT\b|\bdnat\b", self.text))

    @property
    def named(self) -> str:
        """Table, chain and number of the rule."""
        return f"{self.where} #{self.number}" if self.number else self.where

    @property
    def reading(self) -> str:
        """Evidence: the rule with its namespace and its text."""
        return f"{self.place.name}: {self.named}: {self.text}"


@dataclass
class RulesetListing:
    """Listing of a namespace's rules.

    Attributes:
        nft: the rules of each chain of nft's own, with their handles.
        hooked: the base chains among them.
        handles: the handles of the chains that iptables keeps in nft's tables.
        saved: the output of iptables-save, by backend and family: ("nft", "ip"), ("legacy", "ip6").
    """

    nft: dict[Chain, list[tuple[int, str]]] = field(default_factory=dict)
    hooked: dict[Chain, Hooked] = field(default_factory=dict)
    handles: Mapping[Chain, Sequence[int]] = field(default_factory=dict)
    saved: Mapping[tuple[str, str], Saved] = field(default_factory=dict)

    def words(self, step: RuleHit) -> tuple[int, str]:
        """Number of a hit's rule in its chain, from 1, and its text.

        0 and "" for a rule that was deleted in between.
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
        """Hook of a base chain; empty for a chain that is a jump's target only."""
        if (
            found := self.hooked.get((step.family, step.table, step.chain))
        ) and step.backend == "nft":
            return found.hook
        return step.chain.lower() if step.chain in BUILT_IN and step.table in TABLES else ""


def listed(text: str) -> RulesetListing:
    """Parse the output of `nft --handle list ruleset`."""
    listing, table, chain = RulesetListing(), ("", ""), None
    for raw in text.splitlines():
        handle, line = HANDLE.search(raw), HANDLE.sub("", raw).strip()
        words = line.split()
        if line.startswith("table ") and line.endswith("{"):
            table, chain = (words[1], words[2]), None
        elif line.startswith("chain ") and line.endswith("{"):
            chain = (*table, words[1])
            listing.nft[chain] = []
        elif line == "}":
            chain = None
        elif chain and (
            base := re.match(
                r"type \w+ hook (\w+)(?: devices? .*?)? priority (.+?);(?: policy (\w+);)?", line
            )
        ):
            listing.hooked[chain] = Hooked(base[1], base[2], base[3] or "accept")
        elif chain and handle:
            listing.nft[chain].append((int(handle[1]), COUNTER.sub("counter", line)))
    return listing


Why = Callable[[str, str, str, str, str], str | None]
"""Reason of plumb's own rule, by namespace, tool or nft's family, table, chain and text.

None for a rule that is not plumb's.
"""


def recorded(thing: Callable[[Key], Thing | None]) -> Why:
    """Reasons of plumb's own rules as they are recorded, of which each is looked up.

    Args:
        thing: finds what is recorded under a key.
    """

    def why(ns: str, owner: str, table: str, chain: str, words: str) -> str | None:
        key = _key(ns, owner, table, chain, words)
        found = thing(key) if key else None
        return found.why if isinstance(found, Rule | NftRule | Policy) else None

    return why


def _key(ns: str, owner: str, table: str, chain: str, words: str) -> Key | None:
    """Key of a rule, or of a chain's policy where there are no words; plumb has no others."""
    if owner in FAMILIES.values():
        of = Family(owner), table, chain
        return Rule(*of, words, ns=ns).key if words else Policy(*of, "", ns=ns).key
    if owner in FAMILIES:
        return NftRule(NftFamily(owner), table, chain, words, ns=ns).key
    return None


NO_RECORD = recorded(lambda key: None)
"""No reasons: all rules are others'."""


def read(
    steps: Iterable[RuleHit], listings: Mapping[str, RulesetListing], reasons: Why
) -> Iterator[RuleLine]:
    """Rule hits of one namespace with their text, but for those without an effect.

    A jump to a chain in which no rule matched has no effect; nor has a policy that accepts, but it
    is shown where it alone decided on forwarding.

    Args:
        steps: rule hits of one packet, in order.
        listings: the listing of each namespace, by its name.
        reasons: the reasons of plumb's own rules.
    """
    jumps: list[RuleLine] = []
    hook, decided = "", 0
    for step in steps:
        listing = listings.get(step.place.name, RulesetListing())
        if base := listing.hook(step):
            decided = decided if base == hook else 0
            hook = base
        line = _line(step, listing, reasons, hook)
        if line.verdict.startswith(("jump", "goto")):
            jumps.append(line)
        elif step.kind is RuleKind.RETURN or not line.text:
            # Kernels from about 6.2 on report the end of a chain as a rule without a handle.
            jumps = jumps[:-1]
        elif step.kind is RuleKind.POLICY:
            if line.drops or (hook == "forward" and not decided and step.table not in ASIDE):
                yield line
            jumps = []
        else:
            yield from jumps
            yield line
            jumps, decided = [], decided + 1


def _line(step: RuleHit, listing: RulesetListing, reasons: Why, hook: str) -> RuleLine:
    """Rule hit with its text; without one for the end of a chain, or a deleted rule."""
    saved = listing.saved.get((step.backend, step.family), {}).get(step.table, {})
    native = step.backend == "nft" and step.chain not in saved
    owner = step.family if native else str(FAMILIES.get(step.family, step.family))
    where = f"{step.family} {step.table} {step.chain}" if native else f"{step.table} {step.chain}"
    number, text, verdict, words = 0, "", step.verdict, ""
    if step.kind is RuleKind.RULE:
        number, words = listing.words(step)
        text, verdict = words, verdict or _verdict(words, saved)
    elif step.kind is RuleKind.POLICY:
        verdict = verdict or saved.get(step.chain, ("ACCEPT", []))[0].lower()
        text = f"policy {verdict.upper()}"
    reason = reasons(step.place.ns, owner, step.table, step.chain, words)
    why = reason or (known(step.table, step.chain, words, step.place.name != HOST) if words else "")
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
        reason is not None,
        native,
        step.backend,
        step.handle,
        _beside(saved, step.chain) if step.kind is RuleKind.POLICY else frozenset(),
    )


def _beside(chains: Mapping[str, tuple[str, Sequence[str]]], chain: str) -> frozenset[str]:
    """Owners of chains in a table of iptables, as far as a remedy may concern them."""
    found = {
        who
        for name in chains
        for who, start in (("engine", ENGINES), ("ufw", ("ufw-",)))
        if name.startswith(start)
    }
    if any(f"-j {start}" in rule for rule in chains.get(chain, ("", ()))[1] for start in ENGINES):
        found.add(ENTERED)
    return frozenset(found)


def _verdict(words: str, chains: Mapping[str, object]) -> str:
    """Verdict of a rule of the legacy tables, from its target.

    The kernel reports only that the rule matched.
    """
    target = re.search(r"(?:^| )-([jg]) (\S+)", words)
    if target is None:
        return "continue"
    if target[2] in chains:
        return f"{'goto' if target[1] == 'g' else 'jump'} {target[2]}"
    return TARGETS.get(target[2], "continue")


ENGINES = ("DOCKER", "PLUMB", "NETAVARK", "CNI-")
"""Beginnings of the names of engines' chains."""
ENTERED = "engine's rules"
"""Said of a policy whose chain leads to one of an engine's, so that its rules are asked."""
ASIDE = TABLES - {"filter"}
"""Tables of iptables whose policies do not filter, as a rule."""
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
