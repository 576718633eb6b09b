"""Filters: `--filter KEY=VALUE` of listings and of prune, with the engine's rules.

Several values of one key are alternatives; labels must all be there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from plumb.errors import Invalid
from plumb.model.parse import nearest

Tests = Mapping[str, Callable[[str], bool]]
ALL_OF = ("label", "node.label")
"""Keys whose values must all match."""


def values(words: Iterable[str], known: Iterable[str]) -> dict[str, list[str]]:
    """Values by key of `--filter` words.

    Raises:
        Invalid: a word that is not KEY=VALUE, or a key that there is not.
    """
    found: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip().lower()
        if not equals:
            raise Invalid(f"invalid filter '{word}'", "a filter is KEY=VALUE")
        if key not in known:
            raise Invalid(
                f"invalid filter '{key}'", nearest(key, known) or f"there are {', '.join(known)}"
            )
        found.setdefault(key, []).append(value.strip())
    return found


def matches(words: Sequence[str], tests: Tests) -> bool:
    """True if an object passes `--filter` words.

    Args:
        tests: by key, what tells whether a value fits the object.

    Raises:
        Invalid: a key that there is not.
    """
    return all(
        (all if key in ALL_OF else any)(tests[key](value) for value in wanted)
        for key, wanted in values(words, tests).items()
    )


def expression(*texts: str) -> Callable[[str], bool]:
    """A test for a regular expression that is found in one of these texts.

    As in the engine, one that cannot be compiled finds nothing.
    """

    def passes(wanted: str) -> bool:
        try:
            form = re.compile(wanted)
        except re.error:
            return wanted in texts
        return any(form.search(text) for text in texts)

    return passes


def label(labels: Sequence[tuple[str, str]]) -> Callable[[str], bool]:
    """A test for a label: KEY or KEY=VALUE."""

    def passes(wanted: str) -> bool:
        key, equals, value = wanted.partition("=")
        return (key, value) in labels if equals else key in dict(labels)

    return passes
