"""Values of keyword parameters: text, flags and mappings, refused if they are anything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from plumb.errors import Invalid
from plumb.model import parse
from plumb.model.cnm import Network, Pairs, Sandbox


def refuse_unknown(given: Mapping[str, object], known: type, what: str) -> None:
    """See that all keywords are known.

    Args:
        known: the TypedDict that has them.
        what: what they are about, for the message.

    Raises:
        Invalid: one is not; the hint names the nearest.
    """
    names = known.__annotations__
    for key in given:
        if key not in names:
            raise Invalid(
                f"unknown keyword {key!r} for {what}",
                parse.nearest(key, names) or f"there are {', '.join(names)}",
            )


def text(value: object, what: str) -> str:
    """A value that must be text.

    Raises:
        Invalid: it is not.
    """
    if not isinstance(value, str):
        raise Invalid(f"{what} is text, not {value!r}")
    return value


def texts(value: object, what: str) -> tuple[str, ...]:
    """Parse a text or several.

    Raises:
        Invalid: it is neither.
    """
    return tuple(text(each, what) for each in several(value, what, str))


def flag(value: object, what: str) -> bool:
    """True or False.

    Raises:
        Invalid: it is neither.
    """
    if not isinstance(value, bool):
        raise Invalid(f"{what} is True or False, not {value!r}")
    return value


def pairs(value: object, what: str) -> Pairs:
    """Names and values.

    Raises:
        Invalid: it is neither a mapping of texts nor pairs of them.
    """
    items = value.items() if isinstance(value, Mapping) else value
    if isinstance(items, str) or not isinstance(items, Iterable):
        raise Invalid(f"{what} is a mapping, or pairs of name and value, not {value!r}")
    return tuple(_pair(item, what) for item in items)


def _pair(value: object, what: str) -> tuple[str, str]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Invalid(f"{what} is a mapping, or pairs of name and value, not {value!r}")
    return text(value[0], what), text(value[1], what)


def reference(value: object, what: str) -> str:
    """A network or container by id, name or prefix, or itself.

    Raises:
        Invalid: it is neither text nor a network or a container.
    """
    return value.id if isinstance(value, Network | Sandbox) else text(value, f"a {what}'s name")


def several(value: object, what: str, *one: type) -> tuple[object, ...]:
    """The items of a value; it is one itself if it is of one of these types.

    Raises:
        Invalid: it is neither.
    """
    if one and isinstance(value, one):
        return (value,)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise Invalid(f"{what} is {'text' if str in one else 'a list'}, not {value!r}")
    return tuple(value)
