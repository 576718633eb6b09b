"""Does one more connection cost more when many are there? It should not.

An operation touches its own things only.

What the kernel itself takes for it shows beside it: the same links, addresses and routes by
`ip -batch`, once on the host and once in the sandbox, without rules, record and names; and a cable
plugged into that bridge by `ip link add`, since the kernel goes through all of a bridge's ports
when one comes."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from plumb import Host
from plumb.kernel.netns.namespaces import entered
from plumb.plan import Step
from plumb.things.layer3 import Address, Route
from plumb.things.links import Up, Veth
from plumb.views.shell import commands
from tests.bench.at_rest import at_rest
from tests.bench.bulk import cleaned, dismantle, fill, namespaces_now
from tests.bench.figures import Report, Section, clocked, warmed
from tests.bench.floor import batched
from tests.labs import Lab, lab, sh

CABLE = "ip link add, into that bridge"
BATCH = "ip -batch, the same links"
BY_IP = (Veth, Address, Up, Route)


def measure(report: Report, few: int, many: int, wanted: int, seconds: float) -> None:
    """Connect and disconnect on two hosts in turn, one with few endpoints on the network, one with
    many."""
    columns = {count: f"{count:,} present" for count in (few, many)}
    table = report.section("one more, by the library", *columns.values())
    before = namespaces_now()
    steps: list[Sequence[Step]] = []
    with (
        lab() as quiet,
        lab() as busy,
        quiet.host(on_steps=steps.append) as first,
        busy.host(on_steps=steps.append) as second,
    ):
        hosts = [(quiet, first, few), (busy, second, many)]
        for place, host, count in hosts:
            with entered(place.netns):
                _fill(place, host, count)
        for number in warmed(wanted, seconds):
            for place, host, count in hosts:
                shown = table if number else Section("warming up", table.columns)
                with entered(place.netns):
                    _once(partial(_add, shown, columns[count]), host, steps)
        for place, _, _ in hosts:
            dismantle(place)
    cleaned(before)
    small, large = (table.median("connect", column) for column in columns.values())
    for count, column in columns.items():
        report.target(
            f"connect with {count:,} present, to ip -batch's",
            table.median("connect", column) / table.median(BATCH, column),
            1,
            "times",
        )
    report.target(
        f"connect with {many:,} present, to that with {few:,} (the growth of ip -batch's, and 5 %)",
        large / small,
        1.05 * table.median(BATCH, columns[many]) / table.median(BATCH, columns[few]),
        "times",
    )


def _add(table: Section, column: str, row: str, took: float) -> None:
    table.add(row, column, took)


def _fill(place: Lab, host: Host, count: int) -> None:
    host.create_network("crowd", subnet="172.30.0.0/16")
    host.create_network("home", subnet="172.31.0.0/16")
    fill(place, "crowd", count)
    host.run("guest", network="home")


def _once(add: Callable[[str, float], None], host: Host, steps: list[Sequence[Step]]) -> None:
    """Plug in and out: by the library, by `ip -batch`, and a cable alone."""
    at_rest()
    steps.clear()
    add("connect", clocked(lambda: host.connect("crowd", "guest")))
    connecting = [step for step in steps[0] if isinstance(step.thing, BY_IP)]
    at_rest()
    add("disconnect", clocked(lambda: host.disconnect("crowd", "guest")))
    at_rest()
    add(BATCH, _by_ip(connecting))
    bridge = host.network("crowd").link
    at_rest()
    cable = f"ip link add bench0 master {bridge} up type veth peer name bench1"
    add(CABLE, clocked(lambda: sh(cable)))
    sh("ip link del bench0")


def _by_ip(steps: Sequence[Step]) -> float:
    """Milliseconds in which `ip -batch` takes these steps, which are then taken back."""
    lines = [shlex.split(line) for line in commands(steps)]
    with tempfile.TemporaryDirectory() as folder:
        here, inside = Path(folder) / "here", Path(folder) / "inside"
        here.write_text("\n".join(batched(words[1:]) for words in lines if words[0] == "ip"))
        within = [words for words in lines if words[0] == "nsenter"]
        inside.write_text("\n".join(batched(words[3:]) for words in within))
        enter = within[0][1]
        took = clocked(lambda: sh(f"ip -batch {here} && nsenter {enter} ip -batch {inside}"))
    (veth,) = [step.after for step in steps if isinstance(step.after, Veth)]
    sh(f"ip link del {veth.name}")
    return took
