"""Deliveries: packets that arrive.

With every driver, both address families, and each mechanism of published ports.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plumb.errors import Conflict, Invalid, NotFound
from plumb.trace.headers import Direction
from plumb.trace.path import Ending, Rewritten
from plumb.trace.report import Report, Wishes
from plumb.views import trace
from tests import labs
from tests.labs import sh
from tests.trace.fault_lab import Bench, bench
from tests.trace.golden import GOLDEN, alike

# python-iptables leaves files open where it has to load the legacy tables' modules first.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"
)
QUICK = Wishes(seconds=0.3)


@pytest.fixture(scope="module", params=("nf_tables", "legacy", "nftables"))
def lab(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Bench for each firewall."""
    with bench(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def plain() -> Iterator[Bench]:
    """Bench with the usual firewall."""
    with bench("nf_tables") as made:
        yield made


def way(lab: Bench, report: Report, which: Direction = Direction.THERE) -> str:
    """Links that a packet crossed, by the bench's names."""
    known = {text: name for name, text in lab.names.items() if name.startswith(("br", "veth"))}
    return " ".join(
        f"{each.place.name}:{known.get(each.dev, each.dev)}"
        for each in report.story.crossings(which)
    )


@pytest.mark.parametrize("version", [4, 6])
def test_on_one_bridge(lab: Bench, version: int) -> None:
    """Two containers of one network: by their veth pairs, not by the host's address."""
    report = lab.trace("c2", "c1:80", Wishes(version, seconds=0.3))

    assert report.good
    assert way(lab, report) == "c2:eth0 host:veth2 host:veth1 c1:eth0"
    assert way(lab, report, Direction.BACK) == "c1:eth0 host:veth1 host:veth2 c2:eth0"


@pytest.mark.parametrize("version", [4, 6])
def test_a_published_port_from_outside(lab: Bench, version: int) -> None:
    """The destination is rewritten on the host, and the answer's source back."""
    report = lab.trace("lan", "host:8080", Wishes(version, seconds=0.3))
    words = [
        f"{step.place.name} {step.what}"
        for steps in report.story.ways.values()
        for step in steps
        if isinstance(step, Rewritten)
    ]

    assert report.good
    assert way(lab, report) == "lan:port0 host:eth0 host:br1 host:veth1 c1:eth0"
    assert words == ["host destination", "host source"]
    assert any(line.mine and line.why.startswith("published:") for line in report.story.lines())
    assert any(line.why == "80/tcp is published" for line in report.story.lines())


def test_a_published_port_by_the_proxy(lab: Bench) -> None:
    """The proxy serves clients that no DNAT rule matches.

    Its own packet to the container is traced behind the client's.
    """
    report = lab.trace("c2", "host:8080", QUICK)

    assert report.good
    assert report.after is not None
    assert (way(lab, report), way(lab, report.after)) == (
        "c2:eth0 host:veth2 host:br1",
        "host:br1 host:veth1 c1:eth0",
    )


def test_the_hosts_own_loopback(lab: Bench) -> None:
    """The proxy serves 127.0.0.1 too."""
    report = lab.trace("host", "127.0.0.1:8080", QUICK)

    assert report.good
    assert way(lab, report) == "host:lo host:lo"
    assert report.after is not None


def test_out_into_the_world(lab: Bench) -> None:
    """The source becomes the host's, and the answer's destination the container's again."""
    report = lab.trace("c1", "198.51.100.1", QUICK)
    words = [
        f"{step.what} {step.now}"
        for steps in report.story.ways.values()
        for step in steps
        if isinstance(step, Rewritten)
    ]

    assert report.good
    assert words == ["source 192.0.2.10", "destination 172.20.0.2"]


def test_an_internal_network(lab: Bench) -> None:
    """Its containers reach each other."""
    assert lab.trace("c6", "c8:80", QUICK).good


@pytest.mark.parametrize(
    ("source", "to"),
    [("host", "c1:80"), ("c1", "host:22"), ("c9", "c1:80"), ("c1", "c9:22"), ("c1", "c1:80")],
)
def test_host_and_containers(lab: Bench, source: str, to: str) -> None:
    """The host, a container that has the host's network, and one that asks itself."""
    assert lab.trace(source, to, QUICK).good


def test_a_datagram_need_not_be_answered(plain: Bench) -> None:
    """Its arrival at a listener is a success."""
    report = plain.trace("c2", "c1:53/udp", QUICK)

    assert report.good
    assert report.story.end.ending is Ending.ARRIVED


@pytest.mark.parametrize("to", ["127.0.0.11:53/udp", "127.0.0.11:53"])
def test_the_embedded_dns_server(plain: Bench, to: str) -> None:
    """It is in the container's own namespace, where a datagram arrives and need not be answered."""
    report = plain.trace("c1", to, QUICK)

    assert report.good
    assert report.request.aim == report.request.question.place


def test_a_datagram_by_the_proxy(plain: Bench) -> None:
    """A published port for datagrams, asked from its own network."""
    report = plain.trace("c2", "host:8053/udp", QUICK)

    assert report.good
    assert report.after is not None


def test_names_and_addresses(plain: Bench) -> None:
    """The source namespace resolves names; an address needs no name."""
    box = plain.host.container("c1")

    assert plain.trace("c1", f"{box.id[:12]}:80", QUICK).good
    assert plain.trace("c2", "172.20.0.2:80", QUICK).good
    assert plain.trace("c2", "[fd00:20::2]:80", QUICK).good
    assert plain.trace("c2", "localhost", QUICK).good


@pytest.mark.parametrize(
    ("source", "to", "error", "says"),
    [
        ("nobody", "c1:80", NotFound, "no container and no network namespace nobody"),
        ("c1", "nobody", NotFound, "does not know nobody"),
        ("c1", "c2:80/icmp", Invalid, "has no port"),
        ("c1", "c2/tcp", Invalid, "needs a port"),
        ("c1", "c7:80", Invalid, "has no address"),
        ("c1", ":80", Invalid, "cannot trace to"),
        ("pid:0", "c1", NotFound, "pid:0"),
    ],
)
def test_what_cannot_be_asked(
    plain: Bench, source: str, to: str, error: type[Exception], says: str
) -> None:
    """The error names the fault."""
    with pytest.raises(error, match=says):
        plain.trace(source, to, QUICK)


def test_a_stopped_container_cannot_ask(plain: Bench) -> None:
    """A stopped container has no namespace."""
    plain.host.create("stopped", network="n1")
    with pytest.raises(Conflict, match="not running"):
        plain.trace("stopped", "c1", QUICK)
    plain.host.remove("stopped")


def test_a_process_is_a_place(plain: Bench) -> None:
    """pid:N means the namespace of that process, by whatever name it is known."""
    report = plain.trace(f"pid:{os.getpid()}", "c1:80", QUICK)

    assert report.good
    assert report.request.question.place.name == "host"


@pytest.mark.parametrize(
    "driver",
    [pytest.param(driver, marks=pytest.mark.needs(driver)) for driver in ("macvlan", "ipvlan")],
)
def test_machines_of_the_lan(driver: str) -> None:
    """Links on a parent: among each other, and with the LAN."""
    with bench("nf_tables", driver) as lab:
        assert lab.trace("m1", "m2", QUICK).good
        assert lab.trace("m1", "198.51.100.1", QUICK).good
        report = lab.trace("lan", "m1", QUICK)
        assert report.good
        assert way(lab, report).startswith("lan:port0")
        assert way(lab, report).endswith("m1:eth0")


# -- nothing is left behind ---------------------------------------------------------------


def traces() -> dict[str, object]:
    """State that a trace could leave: rules, sysctls, loggers, links, sockets."""
    loggers = {
        str(path): path.read_text()
        for path in Path("/proc/sys/net/netfilter/nf_log").glob("[0-9]*")
    }
    rules = sh("nft list ruleset; iptables-legacy-save; ip6tables-legacy-save", check=False)
    return {**labs.state(), "loggers": loggers, "every rule": rules}


@pytest.mark.parametrize(
    ("source", "to"), [("lan", "host:8080"), ("lan", "c1:80"), ("c2", "c1:85")]
)
def test_nothing_is_left_behind(lab: Bench, source: str, to: str) -> None:
    """Rules, sysctls and loggers are the same before and after, with every end."""
    before = uncounted(traces())
    lab.trace(source, to, Wishes(seconds=0.1))

    assert uncounted(traces()) == before


def uncounted(found: dict[str, object]) -> dict[str, object]:
    """State without the rules' counters, and without the tools' timestamps."""
    text = re.sub(r"(?m)^#.*$", "", str(found["every rule"]))
    return {**found, "every rule": re.sub(r"packets \d+ bytes \d+|\[\d+:\d+\]", "", text)}


def test_a_trace_costs_little(plain: Bench) -> None:
    """Where there are ten containers, about as much as a Python that is started to do nothing.

    Some 20 ms, iptables-save included.
    """

    def spent(act: Callable[[], object]) -> float:
        costs = []
        for _ in range(5):
            before = computed()
            act()
            costs.append(computed() - before)
        return sorted(costs)[2]

    def computed() -> float:
        return sum(
            used.ru_utime + used.ru_stime
            for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )

    assert spent(lambda: plain.trace("c2", "c1:80", QUICK)) < 3 * spent(
        lambda: sh(f"{sys.executable} -c pass")
    )


# -- golden stories ---------------------------------------------------------------

STORIES = {
    "one-bridge": ("c2", "c1:80", 4),
    "published": ("lan", "host:8080", 4),
    "published-6": ("lan", "host:8080", 6),
    "proxied": ("c2", "host:8080", 4),
    "into-the-world": ("c1", "198.51.100.1", 4),
    "direct-access": ("lan", "c1:80", 4),
    "nobody-listens": ("c2", "c1:85", 4),
    "on-loopback": ("c2", "c1:82", 4),
    "icc-off": ("c4", "c5:80", 4),
    "published-on-loopback": ("lan", "host:8081", 4),
}


@pytest.mark.parametrize("name", STORIES)
def test_the_story_is_the_golden_one(lab: Bench, name: str) -> None:
    """The printed story, but for its random parts."""
    source, to, version = STORIES[name]
    found = alike(
        "\n".join(
            row.text for row in trace.rows(lab.trace(source, to, Wishes(version, seconds=0.15)))
        )
    )
    path = GOLDEN / f"{name}-{lab.kind}.txt"
    if os.environ.get("PLUMB_UPDATE_GOLDEN"):
        path.write_text(found)

    assert found == path.read_text()
