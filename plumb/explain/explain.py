"""Explanations of a subject, from plumb's record."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.engine.reader import Reader
from plumb.explain.kinds import reason
from plumb.explain.reason import Reason
from plumb.explain.subject import Subject, normal
from plumb.frozen import frozen, replace
from plumb.model.cluster import balancer_sandbox
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.things import Thing
from plumb.things.links import Veth
from plumb.things.sandbox import Namespace


@frozen
class Explanation:
    """Object, and the reason why it is there.

    Attributes:
        name: the object, in the words of its own tools.
        place: the namespace that it is in, by the name that people use: "host", a container's.
        owners: what it belongs to: "network shop", "container web on network shop".
        reason: see there.
        thing: plumb's value, None for an object that plumb has not made.
        made_by: its maker.
    """

    name: str
    place: str
    owners: tuple[str, ...]
    reason: Reason
    thing: Thing | None = None
    made_by: str = "plumb"


@frozen
class Found:
    """Answer to a question.

    Attributes:
        exact: explanations of what the words name.
        related: things whose own words contain them.
    """

    exact: tuple[Explanation, ...] = ()
    related: tuple[Explanation, ...] = ()

    def __bool__(self) -> bool:
        """True if anything was found."""
        return bool(self.exact or self.related)

    def leaves_open(self, text: str) -> bool:
        """True if a link of this host may be called so as well: containers' ends alone are."""
        return all(isinstance(one.thing, Veth) and one.thing.name != text for one in self.exact)

    def __add__(self, other: Found) -> Found:
        """Both answers; what only mentions the subject is told once."""
        known = {one.name for one in self.related}
        return Found(
            self.exact + other.exact,
            self.related + tuple(one for one in other.related if one.name not in known),
        )


class Record:
    """plumb's record, with the names that people use for its parts.

    Args:
        reader: the record.
    """

    def __init__(self, reader: Reader) -> None:
        self._store = reader.store
        self._networks = {net.id: net for net in reader.networks()}
        self._boxes = {box.id: box for box in self._store.all(Sandbox)}
        self._ends = {end.id: end for end in self._store.all(Endpoint)}
        self._places = dict(self._named_places(reader))

    def _named_places(self, reader: Reader) -> Iterator[tuple[str, str]]:
        yield "", "host"
        for box in self._boxes.values():
            yield reader.layout.place(box), box.name
        for net in self._networks.values():
            if net.multi_host:
                yield net.overlay.netns, f"overlay {net.name}"
                own = balancer_sandbox(net.id, net.overlay.ingress)
                yield reader.layout.namespace(own), f"balancer {net.name}"

    def things(self) -> list[Thing]:
        """List all things that plumb has made on this host."""
        return self._store.things()

    def find(self, subject: Subject) -> Found:
        """Find what a subject means: things, or all things of a container or network."""
        subject = replace(subject, text=normal(subject.text))
        things = self._store.things()
        if subject.place:
            things = [one for one in things if self._reaches(one, subject.place)]
        exact = [] if subject.place else self._of_owner(subject.text)
        exact = exact or [one for one in things if subject.is_(one)]
        named = {one.key for one in exact}
        related = [one for one in things if one.key not in named and subject.is_in(one)]
        return Found(tuple(map(self.explain, exact)), tuple(map(self.explain, related)))

    def _of_owner(self, name: str) -> list[Thing]:
        """List the things of a container or network of this name or id."""
        owners = [f"net:{net.id}" for net in self._networks.values() if name in (net.name, net.id)]
        for box in self._boxes.values():
            if name in (box.name, box.id):
                owners.append(f"ctr:{box.id}")
                owners += [f"ep:{end.id}" for end in self._ends.values() if end.sandbox == box.id]
        return list(
            {one.key: one for owner in owners for one in self._store.things(owner)}.values()
        )

    def explain(self, thing: Thing) -> Explanation:
        """Explain a thing."""
        owners = tuple(sorted(self._owner(owner) for owner in self._store.owners(thing.key)))
        return Explanation(str(thing), self.place(thing), owners, reason(thing), thing)

    def place(self, thing: Thing) -> str:
        """Name the namespace that a thing is in; of a namespace itself, whose it is."""
        return self.name_of(thing.path if isinstance(thing, Namespace) else thing.where)

    def name_of(self, namespace: str) -> str:
        """Name a namespace by its file, as people call it."""
        return self._places.get(namespace, namespace)

    def _reaches(self, thing: Thing, place: str) -> bool:
        """True if a thing is in a namespace, or is a veth pair with an end there."""
        ends = (self.place(thing), self._places.get(getattr(thing, "peer_ns", ""), ""))
        return place in ends

    def _owner(self, owner: str) -> str:
        kind, _, ident = owner.partition(":")
        match kind:
            case "net":
                return f"network {self._network(ident)}"
            case "ctr":
                return f"container {self._box(ident)}"
            case "ep":
                end = self._ends.get(ident)
                if end is None:
                    return f"endpoint {ident[:12]}"
                return f"container {self._box(end.sandbox)} on network {self._network(end.network)}"
            case "vs":
                service, _, network = ident.rpartition(".")
                return f"service {service} on network {self._network(network)}"
            case "rem":
                return "an endpoint on another host"
            case "esp":
                return f"encryption to {ident}"
        return "all networks of this host" if owner == "host" else owner

    def _box(self, ident: str) -> str:
        return self._boxes[ident].name if ident in self._boxes else ident[:12]

    def _network(self, ident: str) -> str:
        net: Network | None = self._networks.get(ident)
        return net.name if net is not None else ident[:12]
