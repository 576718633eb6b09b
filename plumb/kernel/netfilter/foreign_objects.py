"""Foreign objects in plumb's own tables of nf_tables: chains, rules, elements of maps.

Comparison is by JSON, in which the spelling of a version of nft does not matter. The words of a
rule come from a second listing, which is made only where a foreign rule is there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import NamedTuple

from plumb.errors import KernelRefused
from plumb.kernel.netfilter.libnftables import HANDLES, JSON, nft
from plumb.kernel.netfilter.nft_expressions import Json, comparable, written
from plumb.kernel.netfilter.nftables import LINE
from plumb.things.nftables import COUNTER, InTable, NftChain, NftElement, NftRule, NftTable


class ForeignObject(NamedTuple):
    """Object that plumb did not put into its table.

    Attributes:
        what: the object and the place that it is in, in nft's words.
        remedy: the command that removes it.
    """

    what: str
    remedy: str


def find(table: NftTable, own: Collection[InTable]) -> Iterator[ForeignObject]:
    """Yield what somebody else has put into a table of plumb's, in the calling thread's namespace.

    A foreign chain's rules are not listed: they go with it.

    Args:
        table: the table; a missing one has nothing.
        own: plumb's chains, rules and elements in it.
    """
    place = f"{table.family} {table.name}"
    text = _listing(place, JSON)
    items: list[Json] = json.loads(text)["nftables"] if text else []
    yield from _elements(place, items, own)
    yield from _rules(place, items, own)
    yield from _chains(place, items, own)


def _chains(place: str, items: list[Json], own: Collection[InTable]) -> Iterator[ForeignObject]:
    known = {each.name for each in own if isinstance(each, NftChain)}
    for item in items:
        name = item.get("chain", {}).get("name", "")
        if name and name not in known:
            yield ForeignObject(
                f"chain {name} in table {place}", f"nft delete chain {place} {name}"
            )


def _rules(place: str, items: list[Json], own: Collection[InTable]) -> Iterator[ForeignObject]:
    chains = {each.name for each in own if isinstance(each, NftChain)}
    known = {
        (each.chain, comparable(written(each)["rule"])) for each in own if isinstance(each, NftRule)
    }
    foreign = [
        (rule["chain"], rule["handle"])
        for item in items
        if (rule := item.get("rule"))
        and rule["chain"] in chains
        and (rule["chain"], comparable(rule)) not in known
    ]
    words = _words(place) if foreign else {}
    for chain, handle in foreign:
        yield ForeignObject(
            f"rule {words.get(handle, f'of handle {handle}')} in chain {chain} of table {place}",
            f"nft delete rule {place} {chain} handle {handle}",
        )


def _words(place: str) -> dict[int, str]:
    """Words of a table's rules as nft prints them, by handle."""
    text = COUNTER.sub("counter", _listing(place, HANDLES))
    return {int(handle): spec for spec, handle in LINE.findall(text)}


def _elements(place: str, items: list[Json], own: Collection[InTable]) -> Iterator[ForeignObject]:
    known = {(each.map, each.link) for each in own if isinstance(each, NftElement)}
    for item in items:
        found = item.get("map", {})
        for link, _ in found.get("elem", ()):
            if (found["name"], str(link)) not in known:
                yield ForeignObject(
                    f'element "{link}" of map {found["name"]} in table {place}',
                    f"nft delete element {place} {found['name']} '{{ \"{link}\" }}'",
                )


def _listing(place: str, flags: int) -> str:
    """List a table; empty where it is gone, which the comparison with the record tells."""
    try:
        return nft().run(f"list table {place}", "read plumb's own tables", flags=flags)
    except KernelRefused:
        return ""
