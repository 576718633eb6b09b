"""plumb completion, and plumb complete, which the shells ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import click
from click.shell_completion import CompletionItem, ShellComplete

from plumb.cli import VERBS, common, plumb
from plumb.cli.reference.names import set_types
from plumb.cli.reference.shells import SCRIPTS
from plumb.errors import PlumbError


@common.command("completion")
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
def completion(shell: str) -> None:
    """Print a script by which a shell completes verbs, flags, networks and containers."""
    print(SCRIPTS[shell], end="")


@common.command("complete", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def complete(words: tuple[str, ...]) -> None:
    """Print what the last word can become, a line each, its help behind a tab."""
    with suppress(PlumbError, click.ClickException, OSError):
        for value, text in candidates(words):
            print(f"{value}\t{text}" if text else value)


def candidates(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the words that the last one can become, each with its help.

    Args:
        words: of a command line without `plumb`; bash parts `--flag=value` in three.
    """
    *before, last = _joined(words) or [""]
    path, command = _verb(before)
    if command is plumb and not last.startswith("-") and before[-1:] != ["--config"]:
        yield from ((verb, text) for verb, (_, text) in VERBS.items() if verb.startswith(last))
        return
    set_types(path, command)
    prefix = last.partition("=")[0] + "=" if last[:2] == "--" and "=" in last else ""
    for item in _items(before, last):
        if item.type == "plain":
            yield prefix + item.value, (item.help or "").partition("\n")[0]


def _items(before: Sequence[str], last: str) -> list[CompletionItem]:
    return ShellComplete(plumb, {}, "plumb", "").get_completions(list(before), last)


def _joined(words: Sequence[str]) -> list[str]:
    """The words, a flag and its value as two; of a flag before `=` alone, an empty value."""
    found: list[str] = []
    for place, word in enumerate(words):
        if word == "=" and found and found[-1][:2] == "--":
            if place == len(words) - 1:
                found.append("")
        else:
            found.append(word)
    return found


def _verb(words: Sequence[str]) -> tuple[str, click.Command]:
    """The verb that a command line has come to, its words and its command."""
    command: click.Command = plumb
    path: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--config" and command is plumb:
            next(rest, None)
        elif not isinstance(command, click.Group):
            break
        elif not word.startswith("-"):
            inner = command.get_command(click.Context(command), word)
            if inner is None:
                break
            command = inner
            path.append(inner.name or word)
    return " ".join(path).removeprefix("container "), command
