"""Names by which commands take other engines' containers.

A container has the name that its engine gave it. Where another container has that too, plumb's own
or another engine's, it is called by its engine's name as well: docker:web. "host" is the host, so a
container of that name is always docker:host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from plumb.errors import Conflict
from plumb.foreign.values import Engine, ForeignContainer, ForeignHost
from plumb.frozen import replace
from plumb.model.observations import HOST, Netns

OWN = "plumb"
"""What stands before the name of one of plumb's own containers, to tell it from others."""
HEX = frozenset("0123456789abcdef")


def named_apart(host: ForeignHost, taken: Collection[str]) -> ForeignHost:
    """Give each container a name that nobody else has.

    Args:
        taken: the names of plumb's own containers.
    """
    shared = Counter(each.member.box.name for each in host.containers)
    reserved = {HOST, *taken}

    def apart(container: ForeignContainer) -> str:
        name = container.member.box.name
        return container.qualified if name in reserved or shared[name] > 1 else name

    names = {
        each.member.place.ns: apart(each)
        for each in host.containers
        if each.member.place.name == each.name
    }
    return replace(
        host,
        containers=tuple(
            _renamed(each, apart(each), _place(each.member.place, names))
            for each in host.containers
        ),
    )


def _place(place: Netns, names: dict[str, str]) -> Netns:
    return place if not place.ns else replace(place, name=names.get(place.ns, place.name))


def _renamed(container: ForeignContainer, name: str, place: Netns) -> ForeignContainer:
    member = container.member
    return replace(
        container, member=replace(member, box=replace(member.box, name=name), place=place)
    )


def qualifier(reference: str) -> tuple[str, str]:
    """Split a reference into its engine and its name; the engine is empty where none is named."""
    engine, colon, name = reference.partition(":")
    known = engine in (OWN, *Engine) and engine != Engine.PROCESS
    return (engine, name) if colon and known else ("", reference)


def find(host: ForeignHost, reference: str) -> ForeignContainer | None:
    """Find a running container by its name, its id, or the beginning of that.

    Args:
        host: containers as the engines name them.
        reference: what the command line says, with or without the engine.

    Raises:
        Conflict: several containers fit, or the one that fits does not run.
    """
    engine, name = qualifier(reference)
    among = [each for each in host.containers if engine in ("", each.source.engine)]
    found = [each for each in among if name in (each.name, each.member.box.id)] or [
        each for each in among if _begins(each.member.box.id, name)
    ]
    if len(found) > 1:
        raise ambiguous(name, [each.qualified for each in found])
    if found:
        return found[0]
    for box, source in host.stopped:
        if engine in ("", source.engine) and name in (box.name, box.id):
            raise Conflict(
                f"container {box.name} is not running", f"'{source.engine} start {box.name}'"
            )
    return None


def _begins(ident: str, name: str) -> bool:
    return bool(name) and HEX.issuperset(name) and ident.startswith(name)


def ambiguous(name: str, qualified: Collection[str]) -> Conflict:
    """Build the error for a name that several containers have."""
    return Conflict(
        f"several containers are called {name}", f"name one of them: {', '.join(qualified)}"
    )
