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
MANY = 5000
"""Texts beyond which those of what was read before are forgotten."""
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

    return codec.decode_rows([(THINGS[kind], text) for kind, text in rows])


class Texts:
    """JSON texts of values, each written once: the journal has it, and then the value's row.

    The text of a value that was read is known.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, str]] = {}  # with the value, so that its id stays its

    def know(self, read: Sequence[tuple[Thing, str]]) -> None:
        """Values that were read have these texts; who only reads keeps those of the last alone."""
        if len(self._known) > MANY:
            self._known.clear()
        self._known.update((id(value), (value, text)) for value, text in read)

    def of(self, value: Intent | Thing) -> str:
        """The text of a value."""
        found = self._known.get(id(value))
        if found is None:
            found = self._known[id(value)] = value, codec.dumps(value)
        return found[1]


def write_entry(
    before: Iterable[Thing], after: Iterable[Thing], change: Change, texts: Texts
) -> str:
    """A line of the journal; `texts` keeps what is written of each value."""

    def tagged(kind: str, value: Intent | Thing) -> str:
        return f'["{kind}",{texts.of(value)}]'

    def thing(value: Thing) -> str:
        return tagged(type(value).__name__, value)

    parts = {
        "put": _listed(tagged(TABLE_OF[type(value)], value) for value in change.put),
        "drop": codec.dumps(change.drop),
        "released": codec.dumps(change.released),
        "addresses": codec.dumps(change.addresses),
        "hints": codec.dumps(change.hints),
        "things": _listed(
            f"[{thing(value)},{thing(previous) if previous else 'null'}]"
            for value, previous in change.things
        ),
        "owners": codec.dumps(change.owners),
        "meta": codec.dumps(change.meta),
    }
    return _object(
        before=_listed(map(thing, before)),
        after=_listed(map(thing, after)),
        change=_object(**parts),
    )


def _listed(texts: Iterable[str]) -> str:
    return f"[{','.join(texts)}]"


def _object(**texts: str) -> str:
    named = ",".join([f'"{name}":{text}' for name, text in texts.items()])
    return f"{{{named}}}"


def read_entry(number: int, text: str) -> Unfinished:
    """Read a line of the journal; the inverse of `write_entry`."""
    entry = json.loads(text)
    before, after = ([_untagged(value) for value in entry[side]] for side in ("before", "after"))
    return Unfinished(number, before, after, _from_json(entry["change"]))


def _untagged(tagged: Any) -> Thing:
    from plumb.things.registry import KINDS as THINGS

    kind, value = tagged
    return codec.decode(THINGS[kind], value)


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
