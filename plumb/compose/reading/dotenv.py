r"""Files of variables: .env beside a compose file, and those that env_file names.

A line is NAME=value. Values without quotes end at a blank and #; in double quotes \n and other
escapes count, in single quotes nothing does. Variables in values are interpolated, but for single
quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from plumb.compose.reading import text_file
from plumb.compose.reading.interpolate import interpolated
from plumb.errors import Invalid, NotFound

ENTRY = re.compile(
    r"""
    [ \t]* (?:export[ \t]+)? (?P<name>[A-Za-z_][A-Za-z0-9_.\-]*) [ \t]*
    (?P<value>
        [=:][ \t]* (?: '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)"
                     | (?P<plain>(?:[^'"\s\#][^\n]*)?) )
    )?
    [ \t]* (?:\#[^\n]*)? (?:\n|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
COMMENT = re.compile(r"\s+#.*")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "$": "$$"}


Reader = Callable[[Path | str], str]


def read(
    path: Path | str, variables: Mapping[str, str], reader: Reader = text_file.regular
) -> dict[str, str]:
    """Read a file of variables.

    Args:
        variables: those that are set already, for interpolation and for names without a value.
        reader: reads the text; of a file that another one names only a regular one is read.

    Raises:
        NotFound: there is no such file.
        Invalid: it cannot be read, or a line is none of the kind.
    """
    return parsed(contents(path, reader), str(path), variables)


def contents(path: Path | str, reader: Reader = text_file.regular) -> str:
    """Text of such a file.

    Raises:
        NotFound, Invalid: as of `read`.
    """
    try:
        return reader(path)
    except FileNotFoundError:
        raise NotFound(f"env file {path} not found") from None
    except (OSError, ValueError) as error:
        raise Invalid(f"env file {path} cannot be read: {error}") from None


def raw(text: str) -> dict[str, str]:
    """Parse lines NAME=value whose values are taken as they stand (format: raw)."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {name: value for name, equals, value in (line.partition("=") for line in lines)}


def parsed(text: str, file: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Parse the text of a file of variables.

    Raises:
        Invalid: a line is none of the kind; the message has its number.
    """
    found: dict[str, str] = {}
    for line, entry in _entries(text, file):
        known = {**found, **variables}
        try:
            value = _value(entry, known)
        except ValueError as error:
            raise Invalid(f"{file}:{line}: {error}") from None
        if value is not None:
            found[entry["name"]] = value
    return found


def _entries(text: str, file: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield each entry with the number of its line."""
    at = 0
    while at < len(text):
        if blank := BLANK.match(text, at):
            at = blank.end()
            continue
        line = text.count("\n", 0, at) + 1
        entry = ENTRY.match(text, at)
        if entry is None:
            raise Invalid(f"{file}:{line}: it is no variable", "a line is NAME=value")
        yield line, entry
        at = entry.end()


def _value(entry: re.Match[str], known: Mapping[str, str]) -> str | None:
    """Value of an entry; of a name alone that of the caller, None if it has none."""
    if entry["value"] is None:
        return known.get(entry["name"])
    if entry["single"] is not None:
        return entry["single"]
    if entry["double"] is not None:
        text = re.sub(r"\\(.)", lambda escape: ESCAPES.get(escape[1], escape[1]), entry["double"])
        return interpolated(text, known)
    return interpolated(COMMENT.sub("", entry["plain"]).rstrip(), known)
