"""Explanations of rules in a container's namespace that plumb and its engine have not made."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from plumb.drivers import embedded_dns
from plumb.drivers.services import by_nftables
from plumb.engine.foreign import containers
from plumb.engine.reader import Reader
from plumb.errors import Conflict, NotFound, PlumbError
from plumb.explain.explain import Explanation, Found
from plumb.explain.reason import Reason
from plumb.explain.rules import EFFECTS, first
from plumb.explain.subject import Subject
from plumb.foreign.fields import printable
from plumb.kernel.diagnosis import rule_sets
from plumb.kernel.netfilter.foreign_chains import FRIENDS
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Sandbox
from plumb.model.diagnosis.snapshot import ChainState
from plumb.model.net.targets import Member
from plumb.things.iptables import Rule

WHY = "a firewall of the container's own: made by its program, or from the host in its namespace"
WITHOUT = "the container's program gets and sends all that the host lets through"
MAKER = "not plumb; perhaps its engine (Swarm's ingress) or its program"
UNREAD = "plumb does not know what rules of the container's own drop"
OWN_TABLES = FRIENDS | {"netavark", by_nftables.TABLE, embedded_dns.TABLE}
"""Tables of nft that plumb and other engines make for their networks."""


def find(reader: Reader, subject: Subject, found: Found) -> Found:
    """Find the chains and rules of a container's own that a subject means.

    Args:
        reader: plumb's record.
        subject: a container, or one and a chain: "web", "web/INPUT".
        found: what has been found: a container only if it is one.
    """
    name = subject.place or subject.text
    if not subject.place and not _is_container(name, found):
        return Found()
    try:
        box = containers.find(reader, name)
    except (NotFound, Conflict):
        return Found()
    namespace = box.place.ns if isinstance(box, Member) else _own(reader, box)
    if not namespace:
        return Found()
    failed: list[str] = []
    chains: list[ChainState] = []
    try:
        with entered(namespace):
            chains = rule_sets.of_container(failed)
    except (OSError, PlumbError) as error:  # it has ended
        failed.append(str(error))
    rules = reader.store.things_under("rule", namespace)
    made = {(one.table, one.chain, one.spec) for one in rules if isinstance(one, Rule)}
    items = explained(name, chains, made, subject.text if subject.place else "")
    return Found((*items, *(unread(name, each) for each in failed)))


def unread(place: str, sentence: str) -> Explanation:
    """Tell that rules could not be read."""
    reason = Reason("rules that could not be read", printable(sentence), UNREAD)
    return Explanation("rules", place, (f"container {place}",), reason, None, MAKER)


def _is_container(name: str, found: Found) -> bool:
    owners = {owner.partition(" on network ")[0] for one in found.exact for owner in one.owners}
    return f"container {name}" in owners


def _own(reader: Reader, box: Sandbox) -> str:
    return reader.layout.place(box) if box.mode not in ("host", "none") else ""


def explained(
    place: str, chains: Sequence[ChainState], made: Collection[tuple[str, str, str]], wanted: str
) -> Iterator[Explanation]:
    """Explain the chains that are not plumb's or an engine's, and their rules.

    Args:
        place: the container's name.
        chains: those of its namespace.
        made: tables, chains and words of plumb's rules there.
        wanted: the one chain that is asked for; empty for all.
    """
    nat = {_table(each) for each in chains if each.nat}
    filtering = {_table(each) for each in chains if each.hook and not each.nat}
    for chain in chains:
        own = [rule for rule in chain.rules if (chain.table, chain.name, rule.words) not in made]
        rewrites = chain.nat or (not chain.hook and _table(chain) in nat - filtering)
        filters = not rewrites and (own or chain.policy == "drop")
        if chain.tool == "nft" and chain.table in OWN_TABLES:
            continue
        if not filters or (wanted and wanted != chain.name):
            continue
        where = printable(f"{chain.table}/{chain.name} of {chain.tool}")
        policy = f", policy {chain.policy}" if chain.policy else ""
        then = f"through its {len(chain.rules)} rules in their order{policy}"
        reason = Reason("chain", WHY, WITHOUT, next=then)
        yield Explanation(f"chain {where}", place, (f"container {place}",), reason, None, MAKER)
        for rule in own:
            effect = first(EFFECTS, rule.words) or "what it counts or marks is not"
            words = printable(f"-A {chain.name} {rule.words}")
            about = Reason("rule", WHY, effect)
            yield Explanation(words, place, (f"container {place}",), about, None, MAKER)


def _table(chain: ChainState) -> tuple[str, str, str]:
    return chain.tool, chain.family, chain.table
