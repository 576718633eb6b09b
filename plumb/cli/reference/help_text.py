"""End of a verb's help: two examples, and the page about it."""

from __future__ import annotations

import click

from plumb.cli.reference.examples import Entry, entry


def entry_of(context: click.Context) -> Entry | None:
    """The entry of the verb that a context is about, by the names of commands; None without."""
    words: list[str] = []
    above: click.Context | None = context
    while above is not None and above.parent is not None:
        words.insert(0, above.command.name or "")
        above = above.parent
    try:
        return entry(" ".join(words))
    except KeyError:  # one that the help does not list
        return None


def write_end(context: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the examples and the page."""
    found = entry_of(context)
    if found is None:
        return
    with formatter.section("Examples"):
        for line in found.examples:
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")
    formatter.write_paragraph()
    formatter.write_text(f"More: {found.page}")
