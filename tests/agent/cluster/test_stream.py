"""Services as nodes are told of them, and what a node makes of it: without a host, and at once."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from plumb.agent.cluster.manager.service_feed import ServiceFeed
from plumb.agent.cluster.published import Published
from plumb.agent.cluster.session import Session
from plumb.agent.cluster.state.service.template import digest
from plumb.agent.cluster.stream.applying import Applier
from plumb.agent.cluster.stream.services import StreamServices
from plumb.errors import KernelRefused
from plumb.frozen import replace
from plumb.model.cluster import Attached, Node, RemoteEndpoint
from plumb.model.cnm import Network
from plumb.model.service.assignment import Assignment
from plumb.model.service.service import Service
from plumb.model.service.spec import ServiceNetwork, ServiceSpec
from plumb.model.service.task import Place, Task, TaskState
from plumb.model.service.virtual import VirtualService
from plumb.store import codec

N1, N2 = "1" * 64, "2" * 64
PLACE = Place(N1, "e" * 64, IPv4Interface("10.50.0.5/24"))
WEB = VirtualService("web", N1, "web")
END = RemoteEndpoint("e" * 64, N1, "n", IPv4Address("192.0.2.1"), "02:42:0a:32:00:05", PLACE.ip)


def test_connections_go_to_a_task_that_runs_and_whose_endpoint_is_published() -> None:
    feed, where = ServiceFeed(), (N1, "web")
    spec = ServiceSpec("web", networks=(ServiceNetwork(N1),))
    feed.take_service("web", codec.dumps(Service("web", spec)))
    feed.take_task("t", codec.dumps(_task(TaskState.RUNNING)))
    assert _weights(feed) == {"t": 0}
    assert feed.take_end(N1, PLACE.endpoint, published=True) == {where}
    assert _weights(feed) == {"t": 1}
    assert feed.take_end(N1, PLACE.endpoint, published=False) == {where}
    assert _weights(feed) == {"t": 0}, "it keeps the connections that it has"
    feed.take_end(N1, PLACE.endpoint, published=True)
    feed.take_task("t", codec.dumps(_task(TaskState.FAILED)))
    assert _weights(feed) == {}


@pytest.mark.parametrize("updates", [0, 1, 2])
def test_a_task_of_whatever_version_waits_for_no_network_that_it_was_not_given(
    updates: int,
) -> None:
    """A service remembers its last specification; a task may be of one before that."""
    first = ServiceSpec("web", networks=(ServiceNetwork(N1),))
    second = replace(first, networks=(ServiceNetwork(N1), ServiceNetwork(N2)))
    third = replace(second, hostname="www")
    history = (None, first, second, third)[updates : updates + 2]
    previous, now = history
    assert now is not None
    feed = ServiceFeed()
    feed.take_network(N1, codec.dumps(Network(N1, "n1", "overlay")))
    feed.take_network(N2, codec.dumps(Network(N2, "n2", "overlay")))
    feed.take_service(
        "web", codec.dumps(Service("web", now, version=1 + updates, previous=previous))
    )
    task = replace(_task(TaskState.ASSIGNED), template=digest(first))
    feed.take_task("t", codec.dumps(task))
    (row,) = feed.assignments("n")["rows"]
    spec = codec.decode(ServiceSpec, row["spec"])
    attached = Attached(Network(N1, "n1", "overlay"), PLACE.ip, None, END.mac, None, ())
    assert Assignment(task, spec, (attached,)).complete


def _task(state: TaskState) -> Task:
    return Task("t", "web", node="n", state=state, places=(PLACE,))


def _weights(feed: ServiceFeed) -> dict[str, int]:
    told = codec.decode(VirtualService, feed.virtual((N1, "web")))
    return {one.task: one.weight for one in told.backends}


def test_a_network_that_cannot_be_balanced_holds_up_no_other() -> None:
    services, said = StreamServices(), list[str]()
    rows = [[net, "web", codec.plain(VirtualService("web", net, "web"))] for net in (N1, N2)]
    services.take({"services": rows, "tasks_revision": 7})

    def balance(network: str, found: tuple[VirtualService, ...]) -> None:
        if network == N1:
            raise KernelRefused("bind a port")

    assert services.balance(balance, said.append) == 0
    assert len(said) == 1
    assert not _waits(services)
    services.take({"services": [[N2, "web", None]], "tasks_revision": 8})
    assert _waits(services)
    assert services.balance(balance, said.append) == 0
    assert len(said) == 1, "it was tried again too early"
    services.failed[N1] = 0.0
    assert _waits(services)
    assert services.balance(lambda network, found: None, said.append) == 8


def test_endpoints_that_are_applied_by_two_threads_are_the_newest_in_the_end() -> None:
    """A service's change has the endpoints applied at once, while an application is under way."""
    source, host = Told(), SlowHost()
    events: Any = host
    applier = Applier(source, events, print)
    applier.start()
    try:
        applier.mark({N1})
        assert host.began.wait(60)
        source.ends = (END,)
        source.services.take({"services": [[N1, "web", codec.plain(WEB)]], "tasks_revision": 7})
        applier.mark({N1})
        host.other.wait(1.0)  # where it does not wait for the first one, it is done by then
        host.first.set()
        assert host.ended.wait(60)
        assert host.balanced.wait(60)
    finally:
        applier.close()
    assert host.ends == (END,)


class Told:
    """What the stream has brought."""

    def __init__(self) -> None:
        self.services, self.ends = StreamServices(), tuple[RemoteEndpoint, ...]()

    def remotes(self, network: str) -> tuple[RemoteEndpoint, ...]:
        """Endpoints by now."""
        return self.ends

    def acknowledge(self, revision: int) -> bool:
        """Pass over."""
        return True

    def beat_now(self) -> None:
        """Pass over."""


class NoEvents:
    """Takes what happens."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class SlowHost(NoEvents):
    """Host whose first application of endpoints lasts until it is told to end."""

    def __init__(self) -> None:
        self.began, self.first, self.ended = Event(), Event(), Event()
        self.other, self.balanced = Event(), Event()
        self.ends: tuple[RemoteEndpoint, ...] | None = None

    def on_remote(self, network: str, ends: tuple[RemoteEndpoint, ...]) -> None:
        """Apply endpoints."""
        if self.began.is_set():
            self.ends = ends
            self.other.set()
            return
        self.began.set()
        assert self.first.wait(60)
        self.ends = ends
        self.ended.set()

    def on_services(self, network: str, services: tuple[VirtualService, ...]) -> None:
        """Note that the services were balanced, when both have applied endpoints."""
        self.balanced.set()


def _waits(services: StreamServices) -> bool:
    return services.waits


class SlowManagers:
    """Managers that do not answer in time while they are busy, and renew leases all the same."""

    places = ("192.0.2.1:2377",)

    def __init__(self) -> None:
        self.busy = True
        self.asked: list[tuple[str, Any]] = []

    def know(self, places: list[str]) -> None:
        """Pass over."""

    def ask(self, name: str, body: Any, seconds: float, **_: Any) -> Any:
        if name == "heartbeat":
            node = codec.plain(Node("n", "h1", IPv4Address("192.0.2.2"), IPv4Address("192.0.2.2")))
            return {"lease": 5, "managers": [], "authorities": "", "node": node}
        if self.busy:
            raise KernelRefused(f"ask for {name}")
        self.asked.append((name, body["endpoints"]))
        return True


@pytest.mark.parametrize("lease", [0, 5], ids=["another lease", "the same lease"])
def test_what_no_manager_answered_for_is_published_when_the_lease_is_renewed(
    tmp_path: Path, lease: int
) -> None:
    managers: Any = SlowManagers()
    session = Session("n", managers, Published(str(tmp_path)), NoEvents(), lambda text: None)
    session._lease = lease
    session.publish([END])
    with pytest.raises(KernelRefused):
        session._beat()
    managers.busy = False
    session._beat()
    session._beat()
    assert managers.asked == [("publish", [codec.plain(END)])]

    managers.busy = True
    session.withdraw([END.id])
    managers.busy = False
    session._beat()
    assert managers.asked[1:] == [("withdraw", [END.id])]
