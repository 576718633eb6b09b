"""Words and exit status for a command line that is wrong, as Docker's command line has them."""

from __future__ import annotations

import re
from typing import NamedTuple

import click

from plumb.errors import Invalid

BAD_FLAG = 125
"""Exit status where a flag is unknown or has a value that it cannot have."""
NO_NUMBER = re.compile(r"'(.*)' is not a valid (integer|float)( range)?\.?$", re.DOTALL)
"""Click's text for a value that is no number."""


class BadFlag(Invalid):
    """Value that a flag cannot have.

    Attributes:
        status: the exit status of the command line.
    """

    status = BAD_FLAG


class Complaint(NamedTuple):
    """A sentence for a wrong command line, a hint, and the exit status."""

    text: str
    hint: str
    status: int


def flag(option: click.Parameter) -> str:
    """Return a flag as messages quote it: its letter, if it has one, and its name."""
    names = sorted(option.opts, key=lambda name: (name.startswith("--"), -len(name)))
    return ", ".join(names[:2]) if not names[0].startswith("--") else names[0]


def bad_value(option: click.Parameter, text: str, why: object, hint: str = "") -> BadFlag:
    """Make the error of a value that a flag cannot have."""
    return BadFlag(f'invalid argument "{text}" for "{flag(option)}" flag: {why}', hint)


def complaint(error: click.ClickException, failed: int) -> Complaint:
    """Put an error of click's into Docker's words.

    Args:
        failed: the exit status for other errors of this command line.
    """
    where = getattr(error, "ctx", None)
    hint = f"see '{where.command_path} --help'" if where else ""
    if isinstance(error, click.NoSuchOption):
        meant = [name for name in error.possibilities or () if name.startswith("--")]
        return Complaint(
            _unknown(error.option_name),
            f"did you mean {' or '.join(sorted(meant))}? {hint}" if meant else hint,
            BAD_FLAG,
        )
    if isinstance(error, click.BadOptionUsage):
        return Complaint(_needing(error.option_name), hint, BAD_FLAG)
    extra = "unexpected extra argument" in error.message
    if extra or isinstance(getattr(error, "param", None), click.Argument):
        if where is not None and (extra or isinstance(error, click.MissingParameter)):
            return Complaint(_counted(where), hint, failed)
    elif number := NO_NUMBER.match(error.message):
        option = getattr(error, "param", None)
        parser = "ParseInt" if number[2] == "integer" else "ParseFloat"
        why = f'strconv.{parser}: parsing "{number[1]}": invalid syntax'
        if option is not None:
            return Complaint(str(bad_value(option, number[1], why)), hint, BAD_FLAG)
    return Complaint(error.format_message().rstrip("."), hint, failed)


def _unknown(name: str) -> str:
    if name.startswith("--"):
        return f"unknown flag: {name}"
    return f"unknown shorthand flag: '{name[1:2]}' in {name}"


def _needing(name: str) -> str:
    if name.startswith("--"):
        return f"flag needs an argument: {name}"
    return f"flag needs an argument: '{name[1:2]}' in {name}"


def _counted(context: click.Context) -> str:
    """Say how many arguments a verb takes."""
    arguments = [each for each in context.command.params if isinstance(each, click.Argument)]
    least = sum(each.required for each in arguments)
    if any(each.nargs < 0 for each in arguments):
        count, last = f"at least {least}", least
    elif least < len(arguments):
        lower = f"at least {least} and " if least else ""
        count, last = f"{lower}at most {len(arguments)}", len(arguments)
    else:
        count, last = str(least), least
    return f"'{context.command_path}' requires {count} argument{'' if last == 1 else 's'}"
