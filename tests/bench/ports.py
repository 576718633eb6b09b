"""Does one more published port cost more when many are there? On each firewall.

A host with one published port, and one with hundreds, take turns: a container that is there
publishes one more by joining the network that leads out, and takes it back by leaving it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from plumb import Host
from plumb.kernel.netns.namespaces import entered
from tests.bench.at_rest import at_rest
from tests.bench.figures import Report, Section, clocked, warmed
from tests.labs import Lab, iptables, lab, sh

FIREWALLS: Mapping[str, tuple[str, dict[str, object]]] = {
    "iptables-restore (nf_tables)": ("nf_tables", {}),
    "python-iptables (legacy)": ("legacy", {}),
    "nftables": ("nf_tables", {"firewall-backend": "nftables"}),
}
EACH = 10
"""Ports of one container."""
LIMIT, GROWTH = 8.0, 1.1
"""Milliseconds that one more may take, and how much more of them with many there."""


def measure(report: Report, many: int, wanted: int, seconds: float) -> None:
    """One more with one and with many there, on each firewall."""
    columns = {0: "one there", many: f"{many + 1} there"}
    table = report.section("one more published port", *columns.values())
    for name, (kind, settings) in FIREWALLS.items():
        with iptables(kind), ExitStack() as stack:
            hosts = [(count, *_host(stack, count, settings)) for count in columns]
            for number in warmed(wanted, seconds / len(FIREWALLS)):
                for count, place, host in hosts:
                    _once(
                        table if number else Section("warming up", table.columns),
                        name,
                        columns[count],
                        place,
                        host,
                    )
            for _, place, host in hosts:
                with entered(place.netns):
                    host.reset()
        first, later = (table.median(f"publish, {name}", column) for column in columns.values())
        report.target(f"one more port with {many}, {name}", later, LIMIT)
        report.target(
            f"one more port with {many}, to the first: {name}", later / first, GROWTH, "times"
        )


def _host(stack: ExitStack, count: int, settings: dict[str, object]) -> tuple[Lab, Host]:
    """A host with so many ports published, and a container that could publish one more."""
    place = stack.enter_context(lab())
    with entered(place.netns):
        sh(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
            "net.ipv6.conf.default.forwarding=1"
        )
        host = stack.enter_context(place.host(settings=settings))
        with host.operation() as verbs:
            verbs.create_network("shop", subnet="172.30.0.0/16")
            verbs.create_network("yard", subnet="172.31.0.0/16", internal=True)
            for number in range(count // EACH):
                first = 20000 + number * EACH
                verbs.run(
                    f"c{number}",
                    network="shop",
                    publish=f"{first}-{first + EACH - 1}:80-{80 + EACH - 1}",
                )
            verbs.run("keeper", network="shop", publish="19999:80")  # the agent is there already
            verbs.run("guest", network="yard", publish="8080:80")
    return place, host


def _once(table: Section, name: str, column: str, place: Lab, host: Host) -> None:
    with entered(place.netns):
        at_rest()
        table.add(f"publish, {name}", column, clocked(lambda: host.connect("shop", "guest")))
        at_rest()
        table.add(f"take back, {name}", column, clocked(lambda: host.disconnect("shop", "guest")))
