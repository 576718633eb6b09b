"""Changes of one operation to the store, as a value, and as the journal's text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, NamedTuple

from plumb.address import IPAddress, IPNetwork
from plumb.frozen import frozen
from plumb.model.cluster import RemoteEndpoint
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.service.virtual import VirtualService
from plumb.store import codec

if TYPE_CHECKING:
    from plumb.things import Key, Thing

Intent = Network | Sandbox | Endpoint | RemoteEndpoint | VirtualService
"""Values that the intent consists of."""
TABLE_OF: dict[type[Intent], str] = {
    Network: "network",
    Sandbox: "sandbox",
    Endpoint: "endpoint",
    RemoteEndpoint: "remote",
    VirtualService: "service",
}
"""Names of kinds of values: their tables, and what the journal calls them."""
KINDS: dict[str, type[Intent]] = {name: kind for kind, name in TABLE_OF.items()}


@frozen
class Change:
    """Changes of one operation to the store, written all at once after its steps.

    Attributes:
        put: networks, sandboxes and endpoints, here and elsewhere, to add or replace.
        drop: (kind, id) of those to remove.
        addresses: (subnet, address, owner) handed out; released: owners whose addresses are free
        again.
        hints: (subnet, range, address): no address of the range below it is free.
        things: what exists afterwards and did not before, or differs, with what a standing thing
        was before.
        owners: for each owner touched, the keys that it has afterwards.
        meta: remarks about the root.
    """

    put: tuple[Intent, ...] = ()
    drop: tuple[tuple[str, str], ...] = ()
    addresses: tuple[tuple[IPNetwork, IPAddress, str], ...] = ()
    released: tuple[str, ...] = ()
    hints: tuple[tuple[IPNetwork, str, IPAddress], ...] = ()
    things: tuple[tuple[Thing, Thing | None], ...] = ()
    owners: tuple[tuple[str, tuple[Key, ...]], ...] = ()
    meta: tuple[tuple[str, str], ...] = ()


class Unfinished(NamedTuple):
    """An operation that was begun.

    The things that it was about, before and after, and what it does to the store.
    """

    number: int
    before: list[Thing]
    after: list[Thing]
    change: Change


def thing_of(kind: str, text: str) -> Thing:
    """A thing from its kind's name and its JSON text."""
    return things_of([(kind, text)])[0]


def things_of(rows: Sequence[tuple[str, str]]) -> list[Thing]:
    """Things from their kinds' names and their JSON texts, which are parsed as one."""
    from plumb.things.registry import (
        KINDS as THINGS,
    )  # not needed by those who only read the intent

    values = json.loads(f"[{','.join([text for _, text in rows])}]")
    decoders = {kind: codec.decoder(THINGS[kind]) for kind in {kind for kind, _ in rows}}
    return [decoders[kind](value) for (kind, _), value in zip(rows, values, strict=True)]


def write_entry(before: Iterable[Thing], after: Iterable[Thing], change: Change) -> str:
    """A line of the journal."""
    return codec.TEXT.encode(
        {
            "before": [_tagged(thing) for thing in before],
            "after": [_tagged(thing) for thing in after],
            "change": _to_json(change),
        }
    )


def read_entry(number: int, text: str) -> Unfinished:
    """Read a line of the journal; the inverse of `write_entry`."""
    entry = json.loads(text)
    before, after = ([_untagged(value) for value in entry[side]] for side in ("before", "after"))
    return Unfinished(number, before, after, _from_json(entry["change"]))


def _tagged(thing: Thing) -> Any:
    return [type(thing).__name__, codec.plain(thing)]


def _untagged(tagged: Any) -> Thing:
    from plumb.things.registry import KINDS as THINGS

    kind, value = tagged
    return codec.decode(THINGS[kind], value)


def _to_json(change: Change) -> Any:
    return {
        "put": [[TABLE_OF[type(value)], codec.plain(value)] for value in change.put],
        "drop": change.drop,
        "released": change.released,
        "addresses": codec.plain(change.addresses),
        "hints": codec.plain(change.hints),
        "things": [
            [_tagged(thing), _tagged(previous) if previous else None]
            for thing, previous in change.things
        ],
        "owners": change.owners,
        "meta": change.meta,
    }


def _from_json(found: Any) -> Change:
    def pairs(name: str) -> tuple[Any, ...]:
        return tuple(tuple(item) for item in found[name])

    return Change(
        put=tuple(codec.decode(KINDS[kind], value) for kind, value in found["put"]),
        drop=pairs("drop"),
        released=tuple(found["released"]),
        meta=pairs("meta"),
        addresses=tuple(
            (ip_network(net), ip_address(ip), owner) for net, ip, owner in found["addresses"]
        ),
        hints=tuple((ip_network(net), span, ip_address(ip)) for net, span, ip in found["hints"]),
        owners=tuple((owner, tuple(tuple(key) for key in keys)) for owner, keys in found["owners"]),
        things=tuple(
            (_untagged(thing), _untagged(previous) if previous else None)
            for thing, previous in found["things"]
        ),
    )
