"""plumb events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import click

from plumb.cli import common
from plumb.cli.filters.words import label, matches
from plumb.engine.reader import Reader
from plumb.errors import NotFound

if TYPE_CHECKING:
    from plumb.kernel.events.journal import Journal
    from plumb.kernel.events.route_monitor import RouteMonitor

Event = dict[str, Any]
WITHOUT_EVENTS = ("image", "volume", "daemon", "plugin", "service", "node", "secret", "config")
"""Keys of Docker's filters that are about what plumb has no events of."""
LONGEST = 86400.0
"""Seconds of one wait: select(2) takes no end that is centuries away."""


@common.command("events")
@click.option("--since", default="", metavar="TIME", help="Begin with the events from then on.")
@click.option("--until", default="", metavar="TIME", help="End then.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="container, event, label, network, scope, type.",
)
@click.option(
    "--kernel", is_flag=True, help="Changes of the host's links, addresses and routes as well."
)
@common.template_option
def events(
    since: str, until: str, filters: tuple[str, ...], kernel: bool, template: str, as_json: bool
) -> int | None:
    """Print what becomes of containers and networks, as it happens, until it is interrupted.

    A time is a date as 2026-01-31T12:00:00, seconds since 1970, or a duration ago as 1h30m.
    """
    from plumb.cli import complain
    from plumb.views import events as views
    from plumb.views.template import Refused, Stopped

    now = time.time_ns()
    begin, end = _time(since, "since", now), _time(until, "until", now)
    matches(filters, _tests({"Actor": {"ID": "", "Attributes": {}}, "Type": "", "Action": ""}))
    try:
        written = views.writer("json" if as_json else template)
        for event in _events(common.read(), begin, end, kernel):
            if matches(filters, _tests(event)):
                text = written(event).encode(errors="replace").decode()  # a label may be no UTF-8
                print(text, flush=True)
    except (Refused, Stopped) as error:
        return complain(f"template parsing error: {error}", "", 64)
    return None


def _time(text: str, flag: str, now: int) -> int | None:
    from plumb.model.lifecycle.moments import moment

    return moment(text, now, f'value for "{flag}"') if text else None


def _events(host: Reader, begin: int | None, end: int | None, kernel: bool) -> Iterator[Event]:
    """Yield events of a span of time, those to come too.

    Args:
        begin, end: nanoseconds since 1970; None: from now on, or without an end.
        kernel: those of the kernel as well, from now on.
    """
    from plumb.kernel.events.journal import Journal

    asked = time.time_ns()
    oldest = begin if begin is not None else asked if end is None else 0
    with ExitStack() as stack:
        monitors = [stack.enter_context(closing(_monitor()))] if kernel else []
        journal = stack.enter_context(Journal(host.layout.root, host.layout.events))
        known = [event for event in journal.more() if event["timeNano"] >= oldest]
        for event in _following(journal, monitors, known, end):
            if event["timeNano"] >= (begin or 0):
                yield _completed(host, event)


def _monitor() -> RouteMonitor:
    from plumb.kernel.events.route_monitor import RouteMonitor

    return RouteMonitor()


def _following(
    journal: Journal, monitors: Sequence[RouteMonitor], known: Sequence[Event], end: int | None
) -> Iterator[Event]:
    while True:
        for event in known:
            if end is not None and event["timeNano"] > end:
                return
            yield event
        left = None if end is None else (end - time.time_ns()) / 1e9
        if left is not None and left <= 0:
            return
        wait = None if left is None else min(left, LONGEST)
        journal.wait(wait, *(monitor.fileno() for monitor in monitors))
        now, changes = time.time_ns(), [one for monitor in monitors for one in monitor.more()]
        rest = [change.document(now + number) for number, change in enumerate(changes)]
        known = [*rest, *journal.more()]


def _completed(host: Reader, event: Event) -> Event:
    """Add the names that a process beside the engine did not know: of a health check, of `exec`."""
    actor = event["Actor"]
    if "name" in actor["Attributes"] or event["Type"] != "container":
        return event
    try:
        box = host.container(actor["ID"])
    except NotFound:
        return event
    named = {**dict(box.labels), "name": box.name, **actor["Attributes"]}
    return {**event, "Actor": {"ID": actor["ID"], "Attributes": named}}


def _tests(event: Event) -> dict[str, Callable[[str], bool]]:
    """Tests of an event by the keys of filters."""
    ident, attributes = event["Actor"]["ID"], event["Actor"]["Attributes"]
    action = event["Action"]

    def of(kind: str) -> Callable[[str], bool]:
        name = attributes.get("name", "")
        return lambda wanted: (
            event["Type"] == kind and (ident.startswith(wanted) or name.startswith(wanted))
        )

    return {
        "container": of("container"),
        "network": of("network"),
        "event": lambda wanted: action == wanted or action.startswith(f"{wanted}:"),
        "type": lambda wanted: event["Type"] == wanted,
        "label": label(tuple(attributes.items())),
        "scope": lambda wanted: wanted == "local",
        **dict.fromkeys(WITHOUT_EVENTS, lambda wanted: False),
    }
