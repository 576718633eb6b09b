"""plumb trace."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from plumb.cli import common
from plumb.errors import Invalid

if TYPE_CHECKING:
    from plumb.engine.reader import Reader
    from plumb.trace.report import Report


@common.command("trace")
@click.option("-4", "version", flag_value=4, type=int, help="By IPv4.")
@click.option("-6", "version", flag_value=6, type=int, help="By IPv6.")
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(0.01, 60),
    default=1.0,
    show_default=True,
    help="Seconds to wait for an answer.",
)
@click.option(
    "--source-port",
    "sport",
    type=click.IntRange(1, 65535),
    help="The client's port (default: a free one).",
)
@click.option(
    "--size",
    type=click.IntRange(28, 65535),
    help="Bytes of the packet, sent unfragmented (/udp and /icmp).",
)
@click.option("--ttl", type=click.IntRange(1, 255), help="How many routers it may pass.")
@click.option(
    "--also", multiple=True, metavar="PLACE", help="Watch this container or namespace as well."
)
@click.option("--all", "everywhere", is_flag=True, help="Watch all containers.")
@click.option("--pcap", metavar="FILE", help="Write the captured frames to this file, as pcapng.")
@click.option(
    "--html", metavar="FILE", help="Write one page that plays the packet's path over a picture."
)
@click.option("--json", "as_json", is_flag=True, help="As a JSON document.")
@click.argument("source", metavar="FROM")
@click.argument("to", metavar="TO[:PORT][/PROTOCOL]")
def trace(
    source: str,
    to: str,
    version: int | None,
    seconds: float,
    sport: int | None,
    size: int | None,
    ttl: int | None,
    also: tuple[str, ...],
    everywhere: bool,
    pcap: str | None,
    html: str | None,
    as_json: bool,
) -> int:
    """Send one packet and show its path.

    The output lists every link, rule and route that the packet met, and why it did not arrive.

    FROM and TO are containers, "host", namespace files or pid:N; TO may be an address or a name as
    well. With a port it is a TCP connection, /udp and /sctp are others; without one, an echo
    request. Exit status 1 if no answer came.
    """
    from plumb.trace.report import Wishes
    from plumb.trace.tracer import Tracer

    for option, path in (("pcap", pcap), ("html", html)):
        if path is not None:
            _require_file(option, path)

    wishes = Wishes(version or 0, seconds, sport or 0, size or 0, ttl or 0, also, everywhere)
    with common.read() as reader:
        report = Tracer(reader).trace(source, to, wishes)
        _tell(report, as_json)
        if html:
            _write_page(html, reader, report)
    if pcap:
        _write(pcap, report)
    return 0 if report.good else 1


def _require_file(option: str, path: str) -> None:
    """Refuse, before a packet is sent, a file that cannot be written."""
    if path == "-":
        raise Invalid(
            f"the output of --{option} and the story cannot both go to standard output",
            f"name a file: --{option} FILE",
        )
    there = os.path.exists(path)
    if os.path.isdir(path) or not os.access(
        path if there else os.path.dirname(path) or ".", os.W_OK
    ):
        what = "capture file" if option == "pcap" else "page"
        raise Invalid(f"cannot write the {what} {path}", "see that its folder is there")


def _tell(report: Report, as_json: bool) -> None:
    from plumb.views import trace as story_view

    if as_json:
        print(json.dumps(story_view.document(report), indent=2))
        return
    for row in story_view.rows(report):
        styled = (
            click.style(row.text, bold=True)
            if row.colour == "bold"
            else click.style(row.text, fg=row.colour or None)
        )
        click.echo(styled, color=False if os.environ.get("NO_COLOR") else None)


def _write_page(path: str, reader: Reader, report: Report) -> None:
    from plumb.draw import build, read
    from plumb.draw.explained import explained
    from plumb.explain.explain import Record
    from plumb.views.draw.page import page
    from plumb.views.draw.story import played

    topology = report.topology
    picture = build.picture(topology, read.beyond(topology))
    objects = explained(Record(reader), topology, picture)
    common.write_file(path, page(picture, objects, "Path of a packet", played(report)))


def _write(path: str, report: Report) -> None:
    """Write a capture file."""
    from plumb.views.pcapng import capture

    try:
        with open(path, "wb") as file:
            file.write(capture(report.frames, report.story, report.topology.titles))
    except OSError as error:
        raise Invalid(f"cannot write the capture file {path}: {error.strerror}") from error
