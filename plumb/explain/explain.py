"""Explanations of a subject, from plumb's record."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

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

MOST_OWNERS = 24
"""Owners that are named of one thing."""


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
        others: how many further owners there are, of what many containers share.
    """

    name: str
    place: str
    owners: tuple[str, ...]
    reason: Reason
    thing: Thing | None = None
    made_by: str = "plumb"
    others: int = 0


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

    Containers and their endpoints are read as they are asked for.

    Args:
        reader: the record.
    """

    def __init__(self, reader: Reader) -> None:
        self._store, self._layout = reader.store, reader.layout
        self._networks = {net.id: net for net in reader.networks()}
        self._places = {"": "host", **dict(self._of_clusters())}
        self._boxes: dict[str, Sandbox | None] = {}

    def _of_clusters(self) -> Iterator[tuple[str, str]]:
        """Namespaces of multi-host networks."""
        for net in self._networks.values():
            if net.multi_host:
                yield net.overlay.netns, f"overlay {net.name}"
                own = balancer_sandbox(net.id, net.overlay.ingress)
                yield self._layout.namespace(own), f"balancer {net.name}"

    def things(self) -> list[Thing]:
        """List all things that plumb has made on this host."""
        return self._store.things()

    def find(self, subject: Subject) -> Found:
        """Find what a subject means: things, or all things of a container or network."""
        subject = replace(subject, text=normal(subject.text))
        owners = [] if subject.place else self._owners_called(subject.text)
        exact = self._of_owners(owners)
        things = self._candidates(subject)
        exact = exact or [one for one in things if subject.is_(one)]
        named = {one.key for one in exact}
        related = [one for one in things if one.key not in named and subject.is_in(one)]
        return Found(
            tuple(self.explain(one, owners) for one in exact), tuple(map(self.explain, related))
        )

    def _candidates(self, subject: Subject) -> list[Thing]:
        """List the things that a subject could mean or be mentioned by."""
        namespace = self._namespace(subject.place) if subject.place else ""
        if namespace is None:
            return []
        folder, _, file = namespace.rpartition("/")
        words = [*subject.recorded, *([file] if folder == self._layout.namespaces else [])]
        things = self._store.things_saying(*words) if words else self._store.things()
        return [one for one in things if not subject.place or _reaches(one, namespace)]

    def _owners_called(self, name: str) -> list[str]:
        """List what belongs to a container or network of this name or id."""
        owners = [f"net:{net.id}" for net in self._networks.values() if name in (net.name, net.id)]
        box = self._box_called(name)
        if box is not None:
            owners.append(f"ctr:{box.id}")
            owners += [f"ep:{end.id}" for end in self._store.endpoints(sandbox=box.id)]
        return owners

    def _of_owners(self, owners: Sequence[str]) -> list[Thing]:
        found = self._store.things_of_owners(owners)
        return list({one.key: one for owner in owners for one in found.get(owner, ())}.values())

    def explain(self, thing: Thing, first: Collection[str] = ()) -> Explanation:
        """Explain a thing.

        Args:
            first: owners to name first, where a thing has more than are named.
        """
        owners = sorted(self._store.owners(thing.key), key=lambda one: one not in first)
        named = tuple(sorted(map(self._owner, owners[:MOST_OWNERS])))
        others = len(owners) - len(named)
        return Explanation(
            str(thing), self.place(thing), named, reason(thing), thing, others=others
        )

    def place(self, thing: Thing) -> str:
        """Name the namespace that a thing is in; of a namespace itself, whose it is."""
        return self.name_of(thing.path if isinstance(thing, Namespace) else thing.where)

    def name_of(self, namespace: str) -> str:
        """Name a namespace by its file, as people call it."""
        if namespace not in self._places:
            self._places[namespace] = self._name_of_box(namespace) or namespace
        return self._places[namespace]

    def _name_of_box(self, namespace: str) -> str:
        folder, _, file = namespace.rpartition("/")
        boxes = self._store.prefixed(Sandbox, file) if folder == self._layout.namespaces else []
        return boxes[0].name if boxes else ""

    def _namespace(self, place: str) -> str | None:
        """The namespace of a name; None where nothing has it."""
        known = {name: namespace for namespace, name in self._places.items()}
        box = self._box_called(place) if place not in known else None
        return self._layout.place(box) if box is not None else known.get(place)

    def _box_called(self, name: str) -> Sandbox | None:
        return self._store.named(Sandbox, name) or self._store.get(Sandbox, name)

    def _owner(self, owner: str) -> str:
        kind, _, ident = owner.partition(":")
        match kind:
            case "net":
                return f"network {self._network(ident)}"
            case "ctr":
                return f"container {self._box(ident)}"
            case "ep":
                end = self._store.get(Endpoint, ident)
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
        if ident not in self._boxes:
            self._boxes[ident] = self._store.get(Sandbox, ident)
        box = self._boxes[ident]
        return box.name if box is not None else ident[:12]

    def _network(self, ident: str) -> str:
        net: Network | None = self._networks.get(ident)
        return net.name if net is not None else ident[:12]


def _reaches(thing: Thing, namespace: str) -> bool:
    """True if a thing is in a namespace or is it, or is a veth pair with an end there."""
    own = thing.path if isinstance(thing, Namespace) else thing.where
    return namespace in (own, getattr(thing, "peer_ns", None))
