"""plumb man: manual pages made of the help of each verb."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from plumb.cli import common, plumb
from plumb.cli.reference.help_text import entry_of


@common.command("man")
@click.argument("folder", type=click.Path(file_okay=False))
def man(folder: str) -> None:
    """Write the manual pages into a folder, as plumb.1 and plumb-run.1, one for each verb."""
    os.makedirs(folder, exist_ok=True)
    for context in contexts():
        with open(f"{folder}/{name(context)}.1", "w", encoding="utf-8") as file:
            file.write(page(context))
    print(folder)


def contexts(above: click.Context | None = None) -> Iterator[click.Context]:
    """Yield a context for each verb that has a page: those of `container` alone, for one."""
    here = click.Context(plumb, info_name="plumb") if above is None else above
    yield here
    if isinstance(here.command, click.Group):
        for verb in here.command.list_commands(here):
            command = here.command.get_command(here, verb)
            shared = here.info_name == "container" and verb not in ("inspect", "prune")
            if command is not None and not shared:
                yield from contexts(click.Context(command, parent=here, info_name=verb))


def name(context: click.Context) -> str:
    """A page's name, as in `plumb-network-create`."""
    return context.command_path.replace(" ", "-")


def page(context: click.Context) -> str:
    """The page of a verb, for man(7)'s macros."""
    command = context.command
    about = command.get_short_help_str(100).rstrip(".")
    lines = [
        f'.TH {_text(name(context)).upper()} 1 "" "plumb" "Manual of plumb"',
        ".SH NAME",
        f"{_text(name(context))} \\- {_text(about)}",
        ".SH SYNOPSIS",
        f".B {_text(context.command_path)}",
        _text(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
        *_options(context),
        *_verbs(context),
    ]
    entry = entry_of(context)
    if entry is not None:
        lines += [".SH EXAMPLES", ".EX", *map(_text, entry.examples), ".EE"]
        lines += [".SH SEE ALSO", f"plumb's document {_text(entry.page)}"]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _options(context: click.Context) -> Iterator[str]:
    records = [each.get_help_record(context) for each in context.command.get_params(context)]
    found = [record for record in records if record is not None]
    yield ".SH OPTIONS"
    for flags, text in found:
        yield from (".TP", f".B {_text(flags)}", _text(text) or "\\&")


def _verbs(context: click.Context) -> Iterator[str]:
    """Yield a group's verbs."""
    command = context.command
    if not isinstance(command, click.Group):
        return
    yield ".SH COMMANDS"
    for verb in command.list_commands(context):
        inner = command.get_command(context, verb)
        if inner is not None:
            yield from (".TP", f".B {_text(verb)}", _text(inner.get_short_help_str(100)))


def _text(words: str) -> str:
    """Words for roff: no character of theirs is a request of its."""
    escaped = " ".join(words.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
