"""A driver of one file: all of plumb works with it, with one more line in the table of drivers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from plumb import Host
from plumb.drivers import DRIVERS
from plumb.errors import Conflict, Invalid, NotFound
from plumb.kernel.memory import MemoryKernel
from plumb.model.driver_options import MacvlanMode
from plumb.plan import Step
from plumb.probes.promises.promise import HOST, WORLD, Member, Promise
from plumb.probes.promises.reachability import promises
from plumb.things.links import Dummy, Macvlan
from plumb.views import open_ports
from plumb.views.inspect import networks
from tests.drivers import toy
from tests.labs import Lab, sh
from tests.memory_host import FRESH


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line."""
    monkeypatch.setitem(DRIVERS, "toy", toy.DRIVER)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host that nobody else uses."""
    with Host(tmp_path / "root", settings={}, kernel=MemoryKernel(FRESH)) as made:
        yield made


def members(host: Host) -> list[Member]:
    """All containers with their endpoints and networks."""
    return [
        (box, [(end, host.network(end.network)) for end in host.endpoints(box)])
        for box in host.containers()
    ]


def reach(made: Sequence[Promise], source: str, target: str) -> set[bool]:
    """What is promised between two."""
    return {each.reach for each in made if (each.source, each.target) == (source, target)}


def test_from_create_to_rm(host: Host) -> None:
    """Network create, run, connect, disconnect, rm: things come and go."""
    with host.operation():
        pass
    before = host.store.things()
    net = host.create_network(
        "t", driver="toy", subnet="10.7.0.0/24", internal=True, options={"mode": "private"}
    )
    assert net.link == f"ty-{net.id[:12]}"
    assert net.link in [thing.name for thing in host.store.things() if isinstance(thing, Dummy)]
    host.run("c1", network="t")
    host.run("c2")
    host.connect("t", "c2")
    assert [str(end.ip) for end in host.endpoints(net)] == ["10.7.0.1/24", "10.7.0.2/24"]
    assert [
        (thing.parent, thing.mode)
        for thing in host.store.things_of(Macvlan)
        if isinstance(thing, Macvlan)
    ] == [(net.link, MacvlanMode.PRIVATE)] * 2
    assert host.check() == []
    with pytest.raises(Conflict, match="has active endpoints"):
        host.remove_network("t")
    host.disconnect("t", "c2")
    host.remove("c2", force=True)
    host.remove("c1", force=True)
    host.remove_network("t")
    assert host.store.things() == before


def test_its_own_options_are_read_from_the_stored_labels(host: Host) -> None:
    """They need no field of a network; interface names follow them."""
    host.create_network("t", driver="toy", options={"prefix": "toy"})
    assert host.network("t").own == toy.ToyOptions(iface_prefix="toy")
    host.run("c1", network="t")
    assert [end.ifname for end in host.endpoints(host.network("t"))] == ["toy0"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"options": {"mod": "private"}}, "unknown option 'mod' of the toy driver"),
        ({"options": {"mode": "x"}}, "x is no mode of a toy"),
        ({"ipv6": True}, "toy networks have no IPv6"),
    ],
)
def test_what_it_refuses(host: Host, asked: dict[str, Any], words: str) -> None:
    """Its own words, and those of all drivers."""
    with pytest.raises(Invalid, match=words):
        host.create_network("t", driver="toy", **asked)


def test_it_is_named_among_the_drivers(host: Host) -> None:
    """For one who has misspelt another."""
    with pytest.raises(NotFound) as caught:
        host.create_network("t", driver="bridg")
    assert caught.value.hint == "drivers are bridge, macvlan, ipvlan, overlay, toy, host and null"


def test_what_is_shown_and_promised(host: Host) -> None:
    """Containers of one network reach each other; the host and others are not spoken of wrongly."""
    host.create_network("t", driver="toy", subnet="10.7.0.0/24", internal=True)
    host.run("c1", network="t", publish="8080:80")
    host.run("c2", network="t")
    host.run("c3")
    assert networks.network(host.network("t"))["Driver"] == "toy"
    assert networks.network(host.network("t"))["IPAM"]["Config"] == [{"Subnet": "10.7.0.0/24"}]
    assert not any(end.ports for end in host.endpoints(host.network("t")))
    ways = [way for way in open_ports.openings(members(host)) if way.network == "t"]
    assert {way.whom for way in ways} == {"containers of t"}
    made = promises(members(host), [ip_address("198.51.100.1")], routed_here=True)
    assert reach(made, "c1", "c2") == {True}
    assert reach(made, "c1", "c3") == {False}
    assert reach(made, "c1", WORLD) <= {False}
    assert reach(made, HOST, "c1") == set()


def test_a_dry_run_shows_its_steps(tmp_path: Path) -> None:
    """And changes nothing."""
    steps: list[Step] = []
    with Host(
        tmp_path / "root",
        settings={},
        kernel=MemoryKernel(FRESH),
        dry_run=True,
        on_steps=steps.extend,
    ) as host:
        host.create_network("t", driver="toy")
    assert any(
        isinstance(step.after, Dummy) and step.after.name.startswith("ty-") for step in steps
    )
    assert not (tmp_path / "root").exists()


@pytest.mark.needs("dummy", "macvlan")
def test_on_a_kernel(lab: Lab) -> None:
    """Containers reach each other; repair mends it, and removal leaves nothing."""
    with lab.host() as host:
        host.create_network("t", driver="toy", subnet="10.7.0.0/24")
        host.run("c1", network="t")
        host.run("c2", network="t")
        link = host.network("t").link
        assert "1 received" in lab.inside(host, "c1", "ping -c1 -W10 10.7.0.2")
        sh(f"ip link set {link} down")
        assert [str(drift.thing) for drift in host.check()] == [f"link {link} up"]
        host.repair()
        assert host.check() == []
        assert "1 received" in lab.inside(host, "c1", "ping -c1 -W10 10.7.0.2")
        for name in ("c1", "c2"):
            host.remove(name, force=True)
        host.remove_network("t")
        assert link not in sh("ip -o link")
