"""Advice for a container that plumb does not know, and another engine on this host does."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from plumb.errors import NotFound, PlumbError

if TYPE_CHECKING:
    from plumb.foreign.values import ForeignHost

UNKNOWN = ("No such container: ", "No such object: ")
"""Beginnings of errors about a name that plumb does not know, by its verbs."""
VERBS = frozenset({"attach", "exec", "inspect", "kill", "logs", "rename"}) | {
    *("restart", "rm", "start", "stop", "top", "wait")
}
"""Verbs of containers that Docker's and Podman's command lines have too."""
COMMANDS = ("docker", "podman")


def hint(error: PlumbError, verb: str) -> str:
    """The error's own hint, or the command of the engine that has the container.

    Args:
        verb: what plumb was asked for: "exec".
    """
    begun = next((each for each in UNKNOWN if str(error).startswith(each)), "")
    if not begun or verb not in VERBS or not isinstance(error, NotFound):
        return error.hint
    return _of_engine(str(error).removeprefix(begun), verb) or error.hint


def _of_engine(name: str, verb: str) -> str:
    from plumb.foreign import names

    engine, own = names.qualifier(name)
    found = _read()
    known = [(each.member.box, each.source) for each in found.containers]
    for box, source in [*known, *found.stopped]:
        fits = own in (box.name, box.id) or (len(own) >= SHORT and box.id.startswith(own))
        if fits and engine in ("", source.engine) and source.engine in COMMANDS:
            return f"{source.engine} has a container of that name: '{source.engine} {verb} {own}'"
    return ""


@cache
def _read() -> ForeignHost:
    """The containers of all engines, asked once: `rm` may be given many names."""
    from plumb.foreign import read_host

    return read_host.read()


SHORT = 12
"""Digits of an id as engines print it."""
