"""Words and exit status for a command line that is wrong, as Docker's command line has them."""

from __future__ import annotations

import re
from typing import NamedTuple

import click

from plumb.errors import Invalid

BAD_FLAG = 125
"""Exit status where a flag is unknown or has a value that it cannot have."""


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
    if isinstance(error, click.MissingParameter) or "unexpected extra argument" in error.message:
        if where is not None and any(isinstance(p, click.Argument) for p in where.command.params):
            return Complaint(_counted(where), hint, failed)
    elif isinstance(error, click.BadParameter) and isinstance(error.param, click.Option):
        text, why = _bad_number(error.message)
        return Complaint(str(bad_value(error.param, text, why)), hint, BAD_FLAG)
    return Complaint(error.format_message().rstrip("."), hint, failed)


def _unknown(name: str) -> str:
    if name.startswith("--"):
        return f"unknown flag: {name}"
    return f"unknown shorthand flag: '{name[1:2]}' in {name}"


def _needing(name: str) -> str:
    if name.startswith("--"):
        return f"flag needs an argument: {name}"
    return f"flag needs an argument: '{name[1:2]}' in {name}"


def _bad_number(message: str) -> tuple[str, str]:
    """The value that click complains of, and what Go would say of it."""
    if found := re.match(r"'(.*)' is not a valid (integer|float)( range)?\.?$", message, re.DOTALL):
        parser = "ParseInt" if found[2] == "integer" else "ParseFloat"
        return found[1], f'strconv.{parser}: parsing "{found[1]}": invalid syntax'
    found = re.match(r"'(.*?)' (.*?)\.?$", message, re.DOTALL)
    return (found[1], found[2]) if found else ("", message.rstrip("."))


def _counted(context: click.Context) -> str:
    """Say how many arguments a verb takes."""
    arguments = [each for each in context.command.params if isinstance(each, click.Argument)]
    least = sum(each.required for each in arguments)
    if any(each.nargs < 0 for each in arguments):
        count, last = f"at least {least}", least
    elif least < len(arguments):
        count, last = f"at least {least} and at most {len(arguments)}", len(arguments)
    else:
        count, last = str(least), least
    return f"'{context.command_path}' requires {count} argument{'' if last == 1 else 's'}"
