"""A flag that a verb does not have: passed over where it changes nothing, or refused in words."""

from __future__ import annotations

from collections import deque

from plumb.cli.reference.refused_flags import FLAGS, LETTERS, Refused
from plumb.errors import Invalid, Unsupported
from plumb.model.parse import boolean


def pass_over(path: str, name: str, word: str, rest: deque[str]) -> list[str]:
    """Leave out a flag that asks for what plumb does anyway.

    Args:
        path: the verb, as in `network create`.
        name: the flag, as in `--memory` or `-m`.
        word: the word that it was given in, as in `--memory=1g` or `-dm1g`.
        rest: words behind that; the flag's value is taken from them, and letters of the word that
            stand for other flags are put before them.

    Returns:
        What is left of the word; all of it if Docker has no such flag.

    Raises:
        Unsupported: plumb cannot do what it asks for.
        Invalid: its value is missing, or neither true nor false.
    """
    full = LETTERS.get(path, {}).get(name, name)
    flag = FLAGS.get(path, {}).get(full)
    if flag is None:
        return [word]
    letters, _, behind = word[1:].partition(name[1:])
    given = behind.removeprefix("=") if behind else None
    if given == behind and not flag.valued:  # other letters behind the flag's
        rest.appendleft(f"-{behind}")
        given = None
    if _value(flag, full, given, rest) not in flag.agrees:
        raise Unsupported(f"{full} is not supported: {flag.reason}")
    return [f"-{letters}"] if letters else []


def _value(flag: Refused, name: str, given: str | None, rest: deque[str]) -> str:
    """The value of a flag, its own or the next word; of one without a value, true or false."""
    if flag.valued:
        if given is None and not rest:
            raise Invalid(f"flag needs an argument: {name}")
        return rest.popleft() if given is None else given
    try:
        return str(boolean("true" if given is None else given)).lower()
    except ValueError as error:
        raise Invalid(f"invalid argument {given!r} for {name}: {error}") from None
