"""plumb stats."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from plumb.cli import common
from plumb.cli.listings import ends_of
from plumb.errors import KernelRefused
from plumb.model.cnm import Ends, Sandbox, Status

Counters = dict[str, Mapping[str, int]]
"""Each endpoint's link's, by the endpoint's id."""


@common.command("stats")
@click.option(
    "-w", "--watch", is_flag=True, help="Update repeatedly, with rates, until interrupted."
)
@click.option(
    "--interval",
    type=click.FloatRange(0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds between updates with --watch.",
)
@common.template_option
@click.argument("containers", nargs=-1)
def stats(
    watch: bool, interval: float, as_json: bool, template: str, containers: tuple[str, ...]
) -> None:
    """Show what went through containers' interfaces, and their connections by state.

    All containers' without a name.
    """
    from plumb.views.stats import COLUMNS

    before: Counters = {}
    while True:
        started = time.monotonic()
        rows, now = _measured(containers, before, interval)
        if watch and not (as_json or template) and sys.stdout.isatty():
            click.clear()
        if as_json:
            stamp = {"Time": time.time()} if watch else {}
            for row in rows:
                print(
                    json.dumps(
                        {**{key: value for key, value in row.items() if key not in WORDS}, **stamp}
                    )
                )
        else:
            common.columns_of(COLUMNS, False, template, rows)
            for text in () if template else dict.fromkeys(t for row in rows for t in row["Bounds"]):
                print(text)
        sys.stdout.flush()
        if not watch:
            return
        before = now
        time.sleep(max(0.0, started + interval - time.monotonic()))


WORDS = ("Received", "Sent", "Errors", "Dropped", "Sockets", "Flows", "Bounds")
"""For people; programs have the numbers."""


def _measured(
    names: tuple[str, ...], before: Counters, seconds: float
) -> tuple[list[dict[str, Any]], Counters]:
    """The rows, and the counters that the next ones are compared with."""
    from plumb.kernel import agent_client
    from plumb.kernel.net import statistics
    from plumb.views.stats import row

    tracked = statistics.flows()
    now: Counters = {}
    rows = []
    folder, members = _members(names)
    usage = agent_client.usage(folder)
    clients = {party.name: party for party in usage.parties} if usage else {}
    for box, ns, ends in members:
        try:
            traffic, own = statistics.inside(ns)
        except KernelRefused:
            continue  # it has stopped meanwhile
        for end, net in ends:
            if end.ifname in traffic:
                counted = now[end.id] = traffic[end.ifname]._asdict()
                earlier = before.get(end.id)
                rows.append(
                    row(box, end, net, counted, own, tracked, clients, ns, earlier, seconds)
                )
    return rows, now


def _members(names: tuple[str, ...]) -> tuple[str, list[tuple[Sandbox, str, Ends]]]:
    """The agent's folder; the running containers with interfaces of their own, and their place."""
    with common.read() as host:
        known = {net.id: net for net in host.networks()}
        chosen = [host.container(name) for name in names] or host.containers()
        return host.layout.run, [
            (box, host.layout.place(box), ends_of(host, box, known))
            for box in chosen
            if box.status is Status.RUNNING and not box.shares
        ]
