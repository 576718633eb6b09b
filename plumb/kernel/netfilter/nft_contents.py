"""The contents of a table as libnftables lists them, and a thing as it is among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from plumb.kernel.netfilter.nft_expressions import Json, comparable, written
from plumb.things.nftables import NftChain, NftElement, NftMap, NftRule, NftTable

Native = NftTable | NftMap | NftChain | NftElement | NftRule


class Contents:
    """Maps, chains and rules of a table.

    Args:
        listed: the table's objects, as libnftables lists them.
    """

    def __init__(self, listed: Iterable[Json]) -> None:
        self.maps: dict[str, dict[str, Any]] = {}
        self.chains: dict[str, Json] = {}
        self.rules: dict[str, set[str]] = {}
        for item in listed:
            match item:
                case {"map": found}:
                    self.maps[found["name"]] = {
                        link: verdict
                        for link, verdict in found.get("elem", ())
                        if isinstance(link, str)
                    }
                case {"chain": found}:
                    self.chains[found["name"]] = found
                case {"rule": found}:
                    self.rules.setdefault(found["chain"], set()).add(comparable(found))

    def find(self, thing: Native) -> Native | None:
        """A thing as the table has it; None where it is not there."""
        match thing:
            case NftTable():
                return thing
            case NftMap():
                return thing if thing.name in self.maps else None
            case NftElement():
                verdict = self.maps.get(thing.map, {}).get(thing.link)
                return (
                    replace(
                        thing,
                        chain=verdict["jump"]["target"] if "jump" in verdict else str(verdict),
                    )
                    if verdict
                    else None
                )
            case NftRule():
                return (
                    thing
                    if comparable(written(thing)["rule"]) in self.rules.get(thing.chain, ())
                    else None
                )
            case NftChain():
                chain = self.chains.get(thing.name)
                return (
                    None
                    if chain is None
                    else replace(
                        thing,
                        type=chain.get("type", ""),
                        hook=chain.get("hook", ""),
                        priority=chain.get("prio", 0),
                        policy=chain.get("policy", ""),
                    )
                )
