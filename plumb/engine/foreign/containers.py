"""Containers of other engines for listings, under names that plumb's own do not have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache

from plumb.engine.reader import Reader
from plumb.errors import NotFound
from plumb.foreign import names, read_host
from plumb.foreign.values import ForeignHost
from plumb.model.cnm import Sandbox
from plumb.model.net.targets import Member


def known(reader: Reader) -> ForeignHost:
    """Read other engines' containers.

    Args:
        reader: plumb's record, for the names that are taken.
    """
    return names.named_apart(read_host.read(), {box.name for box in reader.containers()})


def chosen(reader: Reader, references: Iterable[str]) -> tuple[list[Sandbox], list[Member]]:
    """Find containers by what a command line calls them: plumb's own, and those of others that run.

    Args:
        references: names or ids, perhaps with the engine's name; without any, all are meant.

    Raises:
        Conflict: several containers fit, or another engine's that does not run.
        NotFound: none does.
    """
    references = list(references)
    if not references:
        return reader.containers(), list(known(reader).members)
    own, others = [], []
    foreign = cache(lambda: known(reader))  # an engine that hangs is waited for once
    for reference in references:
        found = _found(reader, reference, foreign)
        if isinstance(found, Sandbox):
            own.append(found)
        else:
            others.append(found)
    return own, others


def find(reader: Reader, reference: str) -> Sandbox | Member:
    """Find one of plumb's own containers, or else another engine's that runs.

    Raises:
        Conflict: several containers fit, or another engine's that does not run.
        NotFound: none does.
    """
    return _found(reader, reference, lambda: known(reader))


def _found(reader: Reader, reference: str, foreign: Callable[[], ForeignHost]) -> Sandbox | Member:
    engine, name = names.qualifier(reference)
    try:
        if engine in ("", names.OWN):
            return reader.container(name)
        raise NotFound(f"No such container: {reference}", f"'{engine} ps' shows those that run")
    except NotFound:
        other = names.find(foreign(), reference) if engine != names.OWN else None
        if other is None:
            raise
        return other.member


def network(reader: Reader, host: ForeignHost, reference: str) -> str:
    """Find a network of plumb's, or else of another engine's, by its name or id; its id.

    Raises:
        NotFound: there is none.
    """
    try:
        return reader.network(reference).id
    except NotFound:
        for each in host.networks:
            if reference in (each.network.name, each.network.id):
                return each.network.id
        raise


def counted(host: ForeignHost) -> str:
    """Count containers by engine: "3 containers of docker"; empty without any."""
    found = Counter(str(each.source.engine) for each in host.containers)
    return ", ".join(
        f"{number} container{'' if number == 1 else 's'} of {engine}"
        for engine, number in sorted(found.items())
    )
