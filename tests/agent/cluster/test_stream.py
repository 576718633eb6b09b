"""Services as nodes are told of them, and what a node makes of it: without a host, and at once."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from plumb.agent.cluster.manager.service_feed import ServiceFeed
from plumb.agent.cluster.published import Published
from plumb.agent.cluster.session import Session
from plumb.agent.cluster.stream.services import StreamServices
from plumb.errors import KernelRefused
from plumb.model.cluster import Node, RemoteEndpoint
from plumb.model.service.service import Service
from plumb.model.service.spec import ServiceNetwork, ServiceSpec
from plumb.model.service.task import Place, Task, TaskState
from plumb.model.service.virtual import VirtualService
from plumb.store import codec

N1, N2 = "1" * 64, "2" * 64
PLACE = Place(N1, "e" * 64, IPv4Interface("10.50.0.5/24"))
END = RemoteEndpoint("e" * 64, N1, "n", IPv4Address("192.0.2.1"), "02:42:0a:32:00:05", PLACE.ip)


def test_connections_go_to_a_task_that_runs_and_whose_endpoint_is_published() -> None:
    feed, where = ServiceFeed(), (N1, "web")
    spec = ServiceSpec("web", networks=(ServiceNetwork(N1),))
    feed.take_service("web", codec.dumps(Service("web", spec)))
    feed.take_task("t", codec.dumps(_task(TaskState.RUNNING)))
    assert _targets(feed) == []
    assert feed.take_end(N1, PLACE.endpoint, published=True) == {where}
    assert _targets(feed) == ["t"]
    assert feed.take_end(N1, PLACE.endpoint, published=False) == {where}
    assert _targets(feed) == []
    feed.take_end(N1, PLACE.endpoint, published=True)
    feed.take_task("t", codec.dumps(_task(TaskState.FAILED)))
    assert _targets(feed) == []


def _task(state: TaskState) -> Task:
    return Task("t", "web", node="n", state=state, places=(PLACE,))


def _targets(feed: ServiceFeed) -> list[str]:
    told = codec.decode(VirtualService, feed.virtual((N1, "web")))
    return [one.task for one in told.backends]


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


class NoEvents:
    """Takes what happens."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


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
