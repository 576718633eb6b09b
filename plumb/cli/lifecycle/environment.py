"""Environment variables of commands: --env and --env-file; labels of --label-file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from plumb.errors import Invalid


def variable(text: str) -> str:
    """An environment variable; of one without a value, the caller's, or a name that is not set."""
    name, equals, _ = text.partition("=")
    if not name or "\0" in text:
        raise Invalid(f"invalid environment variable {text!r}")
    return f"{name}={os.environ[name]}" if not equals and name in os.environ else text


def variables(words: Sequence[str], files: Sequence[str]) -> tuple[str, ...]:
    """Variables of files, then those that were given one by one, which have the last word.

    Raises:
        Invalid: a file cannot be read, or a line of it is no variable.
    """
    found = [each for path in files for each in _of_file(path)]
    return (*found, *(variable(text) for text in words))


def labels(files: Sequence[str]) -> Iterator[str]:
    """Yield the labels of files; a name without a value is none, as in Docker."""
    for path in files:
        yield from (line for line in _lines(path, "--label-file") if "=" in line)


def _of_file(path: str) -> Iterator[str]:
    """Variables of a file; of a name alone, the caller's, if there is one."""
    for line in _lines(path, "--env-file"):
        if "=" in line or line in os.environ:
            yield variable(line)


def _lines(path: str, flag: str) -> Iterator[str]:
    """Read a file by Docker's rules: # begins a comment, and names have no blanks."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise Invalid(f"open {path}: {reason}", f"{flag} takes a file") from error
    except UnicodeDecodeError as error:
        raise Invalid(f"env file {path} contains invalid utf8 bytes") from error
    for line in map(str.lstrip, text.split("\n")):
        name, _, _ = line.partition("=")
        if not line or line.startswith("#"):
            continue
        if not name:
            raise Invalid(f"no variable name on line '{line}'", f"of the file {path}")
        if any(map(str.isspace, name)):
            raise Invalid(f"variable '{name}' contains whitespaces", f"of the file {path}")
        yield line.removesuffix("\r")
