"""Services in words: rows, times, progress, and their part of `network inspect --verbose`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from plumb.frozen import replace
from plumb.model.cluster import RemoteEndpoint
from plumb.model.ports import PublishMode, ServicePort
from plumb.model.service.progress import progress
from plumb.model.service.service import Service, UpdateState, UpdateStatus
from plumb.model.service.spec import ServiceMode, ServiceNetwork, ServiceSpec
from plumb.model.service.task import Task, TaskState
from plumb.model.service.virtual import Backend, Mechanism, VirtualService
from plumb.views.inspect import cluster
from plumb.views.services import document, rows
from plumb.views.services.progress import lines
from tests.fake_services import N1, NODES

NOW = datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC)
WEB = Service("w" * 25, ServiceSpec("web", replicas=2))


def task(slot: int, state: TaskState = TaskState.RUNNING, second: int = 0, **more: Any) -> Task:
    """A task of `web` on h1."""
    moment = f"2026-01-31T12:00:{second:02}Z"
    made = Task(f"t{slot}{second}".ljust(25, "0"), WEB.id, slot=slot, node=NODES[0].id, state=state,
                created=moment, since=moment)  # fmt: skip
    return replace(made, **more)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "less than a second ago"),
        (1, "1 second ago"),
        (29, "29 seconds ago"),
        (61, "About a minute ago"),
        (150, "2 minutes ago"),
        (3700, "About an hour ago"),
        (86400 * 3, "3 days ago"),
    ],
)
def test_times_are_said_as_docker_says_them(seconds: float, said: str) -> None:
    since = (NOW - timedelta(seconds=seconds)).isoformat()
    assert rows.ago(since, NOW) == said


def test_older_tasks_of_a_slot_are_below_the_youngest() -> None:
    ended = task(1, TaskState.FAILED, desired=TaskState.SHUTDOWN, error="exit status 3")
    found = rows.tasks([ended, task(1, second=9), task(2)], {WEB.id: WEB}, {}, now=NOW)
    assert [row["Name"] for row in found] == ["web.1", r" \_ web.1", "web.2"]
    assert found[1]["CurrentState"] == "Failed 30 seconds ago"
    assert found[1]["Error"] == '"exit status 3"'


def test_ports_of_mode_host_are_listed_once() -> None:
    port = ServicePort(80, 8080, mode=PublishMode.HOST)
    (row,) = rows.tasks([task(1, ports=(port,))], {WEB.id: WEB}, {}, now=NOW)
    assert row["Ports"] == "*:8080->80/tcp"


def test_a_job_tells_what_has_completed() -> None:
    job = replace(WEB, spec=ServiceSpec("job", ServiceMode.REPLICATED_JOB, replicas=3))
    found = [task(1, TaskState.COMPLETE, desired=TaskState.COMPLETE), task(2)]
    assert rows.replicas(job, found, NODES) == "1/3 (1/3 completed)"


def test_a_task_on_a_lost_node_does_not_count() -> None:
    down = [replace(NODES[0], alive=False)]
    assert rows.replicas(WEB, [task(1), task(2)], down) == "0/2"


def test_the_hosts_own_network_has_an_id_and_no_address() -> None:
    spec = ServiceSpec("web", networks=(ServiceNetwork("host"),))
    found = document.document(replace(WEB, spec=spec))
    (target,) = found["Spec"]["TaskTemplate"]["Networks"]
    assert found["Endpoint"]["VirtualIPs"] == [{"NetworkID": target["Target"]}]


# -- progress ---------------------------------------------------------------------------


def test_progress_counts_the_youngest_task_of_each_slot() -> None:
    failed = task(1, TaskState.FAILED, desired=TaskState.SHUTDOWN)
    found = progress(WEB, [failed, task(1, TaskState.STARTING, second=9), task(2)])
    assert (found.done, found.total, found.converged) == (1, 2, False)
    assert next(lines(found)) == "overall progress: 1 out of 2 tasks"


def test_nothing_has_converged_while_an_update_is_under_way() -> None:
    updating = replace(WEB, update=UpdateStatus(UpdateState.UPDATING))
    both = [task(1), task(2)]
    assert progress(WEB, both).converged
    assert not progress(updating, both).converged


def test_a_service_of_no_tasks_has_converged_when_none_is_left() -> None:
    none = replace(WEB, spec=replace(WEB.spec, replicas=0))
    assert not progress(none, [task(1)]).converged
    assert progress(none, [task(1, TaskState.SHUTDOWN, desired=TaskState.SHUTDOWN)]).converged


def test_a_global_service_waits_for_its_first_task() -> None:
    everywhere = replace(WEB, spec=ServiceSpec("web", ServiceMode.GLOBAL))
    assert not progress(everywhere, []).converged
    assert progress(everywhere, [task(0)]).converged


# -- network inspect --verbose ------------------------------------------------------------


def remote(last: int, name: str) -> RemoteEndpoint:
    """An endpoint on h2."""
    ip = IPv4Interface(f"10.50.0.{last}/24")
    return RemoteEndpoint(
        f"{last:064}", N1.id, NODES[1].id, IPv4Address("192.0.2.11"), "", ip, None, (name,)
    )


def test_verbose_shows_tasks_below_their_service() -> None:
    web = VirtualService(
        WEB.id,
        N1.id,
        "web",
        ip=IPv4Interface("10.50.0.2/24"),
        ports=(ServicePort(80, 8080),),
        backends=(Backend("t", "web.1.t", IPv4Interface("10.50.0.3/24")),),
        mark=256,
    )
    found = cluster.services(N1, [], [remote(3, "web.1.t"), remote(4, "c1")], [web])
    assert (found["web"]["VIP"], found["web"]["LocalLBIndex"]) == ("10.50.0.2", 256)
    assert found["web"]["Ports"] == ["Target: 80, Publish: 8080"]
    assert [each["Name"] for each in found["web"]["Tasks"]] == ["web.1.t"]
    assert [each["Name"] for each in found[""]["Tasks"]] == ["c1"]


@pytest.mark.parametrize(
    ("mechanism", "way"), [(Mechanism.IPVS, "direct"), (Mechanism.RULES, "balancer")]
)
def test_verbose_tells_by_what_a_service_is_balanced(mechanism: Mechanism, way: str) -> None:
    """And that answers come by way of the balancer without IPVS, whatever the network asks for."""
    net = replace(N1, overlay=replace(N1.overlay, direct_return=True))
    one = IPv4Interface("10.50.0.2/24")
    tasks = (Backend("t", "web.1.t", IPv4Interface("10.50.0.3/24")),)
    web = VirtualService(WEB.id, net.id, "web", ip=one, backends=tasks, mechanism=mechanism)
    found = cluster.services(net, [], [remote(3, "web.1.t")], [web])
    assert found["web"]["Balancing"] == {"Algorithm": "rr", "Mechanism": mechanism, "Return": way}


def test_a_service_without_tasks_is_not_shown() -> None:
    assert cluster.services(N1, [], [], [VirtualService(WEB.id, N1.id, "web")]) == {}
