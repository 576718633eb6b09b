"""Growth: a check costs the same for each container, and a verb costs what it touches.

Counted are rows of the store that become values, requests for listings over netlink, and visits of
namespaces; times are in tests/bench."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from plumb import Host
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netns import setns
from plumb.store import codec
from plumb.things.iptables import Rule
from plumb.trace.tracer import Tracer
from tests.labs import Lab

ROW, REQUEST, VISIT = "row", "request", "visit"
Work = Callable[[], object]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], Counter[object]]:
    """A function that does some work, and returns how many rows, requests and visits it took.

    Rows are counted by kind as well."""
    seen: Counter[object] = Counter()

    def count(of: object, name: str, *what: object) -> None:
        former = getattr(of, name)

        def wrapped(*args: Any, **named: Any) -> Any:
            seen.update(what or (ROW, args[0]))
            return former(*args, **named)

        monkeypatch.setattr(of, name, wrapped)

    decoder = codec.decoder

    def counting_decoder(kind: type[object]) -> Callable[[Any], object]:
        made = decoder(kind)

        def decode(value: Any) -> object:
            seen.update((ROW, kind))
            return made(value)

        return decode

    monkeypatch.setattr(codec, "decoder", counting_decoder)
    count(Connection, "get", REQUEST)
    count(Connection, "stream", REQUEST)
    count(setns, "go", VISIT)

    def counting(work: Work) -> Counter[object]:
        codec._READ.clear()
        seen.clear()
        work()
        return Counter(seen)

    return counting


@pytest.fixture
def town(lab: Lab) -> Iterator[Host]:
    """A host with a container on its network "home", and room for more networks."""
    with lab.host() as host:
        host.create_network("home", subnet="10.8.0.0/24")
        host.run("resident", network="home")
        yield host
        host.reset()


def grow(host: Host, first: int, last: int) -> int:
    """Add networks with two containers each, one of which publishes a port; their number."""
    with host.operation() as tx:
        for number in range(first, last):
            tx.create_network(f"n{number}", subnet=f"10.9.{number}.0/24")
            tx.run(f"a{number}", network=f"n{number}", publish=[f"{20000 + number}:80"])
            tx.run(f"b{number}", network=f"n{number}")
    return 2 * (last - first)


def test_check_costs_the_same_for_each_container(
    town: Host, counted: Callable[[Work], Counter[object]]
) -> None:
    """One visit each, and five listings: links, addresses, routes, chains, rules."""
    grow(town, 0, 9)
    few = counted(town.check)
    more = grow(town, 9, 12)
    many = counted(town.check)

    assert many[VISIT] - few[VISIT] == more
    assert many[REQUEST] - few[REQUEST] <= 5 * more


def test_check_reads_each_row_once(town: Host, counted: Callable[[Work], Counter[object]]) -> None:
    """Things alone: what was asked for does not matter."""
    grow(town, 0, 2)
    assert counted(town.check)[ROW] == len(town.store.things())


VERBS: dict[str, Callable[[Host], object]] = {
    "run": lambda host: host.run("guest", network="home"),
    "connect": lambda host: host.connect("n0", "guest"),
    "disconnect": lambda host: host.disconnect("n0", "guest"),
    "stop": lambda host: host.stop("guest"),
    "start": lambda host: host.start("guest"),
    "inspect": lambda host: host.networks_of(host.container("guest")),
    "rm": lambda host: host.remove("guest", force=True),
}


def test_a_verb_reads_no_rows_of_others(
    town: Host, counted: Callable[[Work], Counter[object]]
) -> None:
    """Nor does it visit others' namespaces."""
    grow(town, 0, 2)
    few = {name: counted(partial(verb, town)) for name, verb in VERBS.items()}
    grow(town, 2, 6)
    many = {name: counted(partial(verb, town)) for name, verb in VERBS.items()}

    for name in VERBS:
        assert many[name] == few[name], name


def test_a_trace_reads_the_rules_that_its_packet_met(
    town: Host, counted: Callable[[Work], Counter[object]]
) -> None:
    """Of some hundred rules on record."""
    grow(town, 0, 2)
    few = counted(lambda: Tracer(town).trace("a0", "b0"))
    grow(town, 2, 6)
    many = counted(lambda: Tracer(town).trace("a0", "b0"))

    assert many[Rule] == few[Rule]
    assert many[VISIT] == few[VISIT]
