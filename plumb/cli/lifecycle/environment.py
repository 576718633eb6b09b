"""Environment variables of commands: --env and --env-file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from plumb.errors import Invalid


def variable(text: str) -> str:
    """An environment variable; of one without a value, the caller's."""
    name, equals, _ = text.partition("=")
    if not name or "\0" in text:
        raise Invalid(f"invalid environment variable {text!r}")
    return text if equals else f"{name}={os.environ.get(name, '')}"


def variables(words: Sequence[str], files: Sequence[str]) -> tuple[str, ...]:
    """Variables of files, then those that were given one by one, which have the last word.

    Raises:
        Invalid: a file cannot be read, or a line of it is no variable.
    """
    found = [each for path in files for each in _of_file(path)]
    return (*found, *(variable(text) for text in words))


def _of_file(path: str) -> Iterator[str]:
    """Read a file by Docker's rules: # begins a comment, and a name alone is the caller's."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise Invalid(f"open {path}: {reason}", "--env-file takes a file") from error
    except UnicodeDecodeError as error:
        raise Invalid(f"env file {path} contains invalid utf8 bytes") from error
    for line in map(str.lstrip, text.split("\n")):
        name, equals, _ = line.partition("=")
        if not line or line.startswith("#"):
            continue
        if not name:
            raise Invalid(f"no variable name on line '{line}'", f"of the file {path}")
        if any(map(str.isspace, name)):
            raise Invalid(f"variable '{name}' contains whitespaces", f"of the file {path}")
        if equals or name in os.environ:
            yield variable(line.rstrip("\r"))
