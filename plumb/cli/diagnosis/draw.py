"""plumb draw."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from plumb.cli import common

if TYPE_CHECKING:
    from plumb.draw.picture import Picture


@common.command("draw")
@click.option("--svg", "form", flag_value="svg", help="As an SVG image.")
@click.option("--mermaid", "form", flag_value="mermaid", help="As a flowchart of Mermaid.")
@click.option("--dot", "form", flag_value="dot", help="As a graph of Graphviz.")
@click.option("--json", "form", flag_value="json", help="As a JSON document, which --diff reads.")
@click.option(
    "--html",
    metavar="FILE",
    help="Write one page that explains what one clicks on; it needs no network.",
)
@click.option(
    "--diff",
    "before",
    metavar="BEFORE",
    help="Print what has changed since this file of --json; exit status 1 if anything has.",
)
@click.option("-w", "--watch", is_flag=True, help="Go on, and draw again what has changed.")
@common.interval_option
def draw(
    form: str | None, html: str | None, before: str | None, watch: bool, interval: float
) -> int:
    """Draw this host's wiring: namespaces, their links, and what joins them.

    The namespaces are plumb's containers, other engines' containers, those of 'ip netns' and of
    processes. Published ports and NAT are arrows. Without an option it is text for the terminal.
    """
    from plumb.kernel.capabilities import require_root

    require_root("read this host's namespaces")
    if html is not None:
        if watch or before or form:
            raise click.UsageError("--html goes with no other form, nor with --diff or --watch")
        return _write_page(html)
    if watch and (before or form not in (None, "json")):
        raise click.UsageError("--watch goes with the text and with --json")
    if watch:
        _watch(form == "json", interval)
    picture = _read()
    if before is not None:
        return _compare(before, picture, form == "json")
    sys.stdout.write("".join(f"{line}\n" for line in _lines(picture, form)))
    return 0


def _read() -> Picture:
    from plumb.draw import read

    with common.read() as reader:
        return read.read(reader)


def _write_page(path: str) -> int:
    from plumb.draw import build, read
    from plumb.draw.explained import explained
    from plumb.explain.explain import Record
    from plumb.views.draw.page import page

    with common.read() as reader:
        topology, beyond = read.observed(reader)
        picture = build.picture(topology, beyond)
        text = page(picture, explained(Record(reader), topology, picture), "Wiring of this host")
    common.write_file(path, text)
    return 0


def _lines(picture: Picture, form: str | None) -> Iterator[str]:
    match form:
        case "svg":
            from plumb.views.draw import svg

            yield svg.image(picture).rstrip("\n")
        case "mermaid":
            from plumb.views.draw import mermaid

            yield from mermaid.lines(picture)
        case "dot":
            from plumb.views.draw import dot

            yield from dot.lines(picture)
        case "json":
            from plumb.draw import document

            yield document.written(picture)
        case _:
            from plumb.views.draw import text

            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
            yield from text.lines(picture, width)


def _compare(before: str, picture: Picture, as_json: bool) -> int:
    """Print what has changed since a file was written."""
    from plumb.doctor.document import LONGEST
    from plumb.draw import document

    with sys.stdin.buffer if before == "-" else open(before, "rb") as file:
        earlier = document.read(file.read(LONGEST + 1), before)
    return 1 if _print_changes(earlier, document.cleaned(picture), as_json) else 0


def _print_changes(before: Picture, now: Picture, as_json: bool = False) -> bool:
    """Print the changes; true if there are any."""
    from plumb.draw.difference import difference
    from plumb.views.draw import changes

    found = difference(before, now)
    if as_json:
        for each in changes.document(found):
            print(json.dumps(each))
        return bool(found)
    colour = False if os.environ.get("NO_COLOR") else None
    for sign, line in changes.lines(found):
        click.echo(click.style(line, fg=changes.COLOURS[sign]), color=colour)
    return bool(found)


def _watch(as_json: bool, interval: float) -> None:
    """Draw whenever something has changed; where that goes to a file, tell the changes alone."""
    before: Picture | None = None
    while True:
        started = time.monotonic()
        now = _read()
        if now != before:
            if as_json:
                print(json.dumps(json.loads("".join(_lines(now, "json")))))
            elif before is None or sys.stdout.isatty():
                if sys.stdout.isatty():
                    click.clear()
                sys.stdout.write("".join(f"{line}\n" for line in _lines(now, None)))
            else:
                _print_changes(before, now)
            sys.stdout.flush()
        before = now
        time.sleep(max(0.0, started + interval - time.monotonic()))
