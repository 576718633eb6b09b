"""Does one more connection cost more when many are there? It should not.

An operation touches its own things only.

What the kernel itself takes longer for shows beside it: a cable plugged into that bridge by `ip
link add`, since the kernel goes through all of a bridge's ports when one comes."""

from __future__ import annotations

from plumb import Host
from plumb.kernel.netns.namespaces import entered
from tests.bench.bulk import cleaned, dismantle, fill, namespaces_now
from tests.bench.figures import Report, Section, timed, warmed
from tests.labs import Lab, lab, sh

CABLE = "ip link add, into that bridge"


def measure(report: Report, few: int, many: int, wanted: int, seconds: float) -> None:
    """Connect and disconnect on two hosts in turn, one with few endpoints on the network, one with
    many."""
    columns = {count: f"{count:,} present" for count in (few, many)}
    table = report.section("one more, by the library", *columns.values())
    before = namespaces_now()
    with lab() as quiet, lab() as busy, quiet.host() as first, busy.host() as second:
        hosts = [(quiet, first, few), (busy, second, many)]
        for place, host, count in hosts:
            with entered(place.netns):
                _fill(place, host, count)
        for number in warmed(wanted, seconds):
            for place, host, count in hosts:
                _once(
                    table if number else Section("warming up", table.columns),
                    columns[count],
                    place,
                    host,
                )
        for place, _, _ in hosts:
            dismantle(place)
    cleaned(before)
    small, large = (table.median("connect", column) for column in columns.values())
    report.target(f"connect with {many:,} present", large, 5)
    report.target(
        f"connect with {many:,} present, to that with {few:,}", large / small, 1.2, "times"
    )


def _fill(place: Lab, host: Host, count: int) -> None:
    host.create_network("crowd", subnet="172.30.0.0/16")
    host.create_network("home", subnet="172.31.0.0/16")
    fill(place, "crowd", count)
    host.run("guest", network="home")


def _once(table: Section, column: str, place: Lab, host: Host) -> None:
    with entered(place.netns):
        table.add("connect", column, timed(lambda: host.connect("crowd", "guest")))
        table.add("disconnect", column, timed(lambda: host.disconnect("crowd", "guest")))
        bridge = host.network("crowd").link
        table.add(
            CABLE,
            column,
            timed(lambda: sh(f"ip link add bench0 master {bridge} up type veth peer name bench1")),
        )
        sh("ip link del bench0")
