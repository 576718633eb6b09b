"""Services in etcd: names, ports and addresses of their own, and what is refused at once."""

from __future__ import annotations

from typing import Any

import pytest

from plumb.agent.cluster.manager.orchestrator.changes import Changes
from plumb.agent.cluster.manager.orchestrator.decide import decide
from plumb.agent.cluster.manager.orchestrator.leader import Leader
from plumb.agent.cluster.manager.orchestrator.snapshot import Reader
from plumb.agent.cluster.state import endpoints, keys, networks, reservations
from plumb.agent.cluster.state.etcd.operations import Put
from plumb.agent.cluster.state.service import services, tasks
from plumb.agent.cluster.state.service.election import Candidate
from plumb.errors import Conflict, Invalid, NotFound, PlumbError
from plumb.frozen import replace
from plumb.model.ports import PublishMode, ServicePort
from plumb.model.service.assignment import TaskStatus
from plumb.model.service.service import Service, UpdateState
from plumb.model.service.spec import (
    EndpointMode,
    FailureAction,
    ServiceNetwork,
    ServiceSpec,
    UpdatePolicy,
)
from plumb.model.service.task import Task, TaskState
from plumb.store import codec
from tests.agent.cluster.state.clusters import Cluster
from tests.waiting import until


def spec(*nets: str, name: str = "web", **more: Any) -> ServiceSpec:
    """A service on some networks."""
    return ServiceSpec(name, networks=tuple(ServiceNetwork(net) for net in nets), **more)


def lead(cluster: Cluster) -> list[Task]:
    """Decide once, as the leader, and return all tasks."""
    candidate = Candidate(cluster.etcd, "h1")
    assert candidate.stand()
    leader = Leader(cluster.etcd, "h1", print)
    snapshot = Reader(cluster.etcd).read()
    ids = iter(f"task{number}" for number in range(len(snapshot.tasks), 999))
    board = decide(leader._moment(snapshot), lambda: next(ids))
    Changes(cluster.etcd, candidate.condition, snapshot, print).write(board)
    candidate.withdraw()
    return tasks.everything(cluster.etcd)


def test_a_service_has_an_address_on_each_of_its_networks_on_ingress_first(
    cluster: Cluster,
) -> None:
    ingress, n1 = cluster.ingress(), cluster.network("n1", "10.50.0.0/24")

    made = services.create(cluster.etcd, spec("n1", ports=(ServicePort(80, 8080),)))

    assert [(one.network, str(one.ip)) for one in made.addresses] == [
        (ingress.id, "10.0.0.2/24"),
        (n1.id, "10.50.0.2/24"),
    ]
    assert services.find(cluster.etcd, "web") == made
    assert services.find(cluster.etcd, made.id[:6]) == made


def test_dnsrr_needs_no_address(cluster: Cluster) -> None:
    cluster.network("n1", "10.50.0.0/24")

    made = services.create(cluster.etcd, spec("n1", endpoint_mode=EndpointMode.DNSRR))

    assert made.addresses == ()


def test_a_name_is_given_once(cluster: Cluster) -> None:
    services.create(cluster.etcd, spec())

    with pytest.raises(Conflict, match="name conflicts with an existing object: service web"):
        services.create(cluster.etcd, spec())


def test_a_port_of_all_nodes_is_one_services(cluster: Cluster) -> None:
    cluster.ingress()
    first = services.create(cluster.etcd, spec(ports=(ServicePort(80, 8080),)))

    with pytest.raises(Conflict, match=f"in use by service 'web' .{first.id}. as an ingress port"):
        services.create(cluster.etcd, spec(name="b", ports=(ServicePort(81, 8080),)))
    services.create(cluster.etcd, spec(name="u", ports=(ServicePort(80, 8080, "udp"),)))

    services.remove(cluster.etcd, first.id)
    services.create(cluster.etcd, spec(name="b", ports=(ServicePort(81, 8080),)))


def test_a_port_without_a_number_gets_the_first_free_from_30000(cluster: Cluster) -> None:
    cluster.ingress()
    two = (ServicePort(80), ServicePort(81))

    made = services.create(cluster.etcd, spec(ports=two))

    assert [port.published for port in made.ports] == [30000, 30001]
    changed = services.update(cluster.etcd, made.id, 1, spec(ports=(ServicePort(81),)))
    assert [port.published for port in changed.ports] == [30001], "it keeps its number"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (spec("nosuch"), "network nosuch not found"),
        (
            spec(endpoint_mode=EndpointMode.DNSRR, ports=(ServicePort(80, 8080),)),
            "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
        ),
        (spec("host", ports=(ServicePort(80, 8080),)), "port publishing and the host network"),
        (spec("ingress"), "Service cannot be explicitly attached to the ingress network"),
        (spec(constraints=("node.colour==red",)), "invalid constraint"),
        (
            spec(ports=(ServicePort(80, 8080), ServicePort(81, 8080))),
            "duplicate published ports provided",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    cluster: Cluster, asked: ServiceSpec, words: str
) -> None:
    cluster.ingress()

    with pytest.raises((Invalid, NotFound), match=words):
        services.create(cluster.etcd, asked)
    assert services.everything(cluster.etcd) == []


def test_without_an_ingress_network_nothing_is_published(cluster: Cluster) -> None:
    with pytest.raises(PlumbError, match="no ingress network is present"):
        services.create(cluster.etcd, spec(ports=(ServicePort(80, 8080),)))
    host = ServicePort(80, 8080, mode=PublishMode.HOST)
    services.create(cluster.etcd, spec(ports=(host,)))


def test_an_update_needs_the_version_that_it_was_made_from(cluster: Cluster) -> None:
    made = services.create(cluster.etcd, spec(replicas=1))
    services.update(cluster.etcd, made.id, 1, spec(replicas=2))

    with pytest.raises(Conflict, match="update out of sequence"):
        services.update(cluster.etcd, made.id, 1, spec(replicas=3))


def test_an_update_keeps_addresses_and_adds_what_is_new(cluster: Cluster) -> None:
    ingress, n1 = cluster.ingress(), cluster.network("n1", "10.50.0.0/24")
    n2 = cluster.network("n2", "10.51.0.0/24")
    made = services.create(cluster.etcd, spec("n1"))

    changed = services.update(
        cluster.etcd, made.id, 1, spec("n1", "n2", ports=(ServicePort(80, 8080),))
    )

    assert [one.network for one in changed.addresses] == [n1.id, ingress.id, n2.id]
    assert changed.addresses[0] == made.addresses[0]
    assert changed.update.state is UpdateState.UPDATING


def test_a_rollback_goes_back_to_the_specification_before(cluster: Cluster) -> None:
    cluster.ingress()
    made = services.create(cluster.etcd, spec(ports=(ServicePort(80, 8080),)))
    with pytest.raises(Conflict, match="does not have a previous spec"):
        services.roll_back(cluster.etcd, made.id)
    services.update(cluster.etcd, made.id, 1, spec(argv=("true",)))
    assert cluster.etcd.get(keys.port("tcp", 8080)) is None

    back = services.roll_back(cluster.etcd, made.id)

    assert back.spec == made.spec
    assert back.update.state is UpdateState.ROLLING_BACK
    assert cluster.etcd.get(keys.port("tcp", 8080))


def test_a_network_that_a_service_is_on_stays(cluster: Cluster) -> None:
    ingress, n1 = cluster.ingress(), cluster.network("n1", "10.50.0.0/24")
    made = services.create(cluster.etcd, spec("n1", ports=(ServicePort(80, 8080),)))

    with pytest.raises(Conflict, match=f"network {n1.id} is in use by service {made.id}"):
        networks.remove(cluster.etcd, n1.id)
    with pytest.raises(Conflict, match="ingress network cannot be removed"):
        networks.remove(cluster.etcd, ingress.id)

    services.remove(cluster.etcd, made.id)
    networks.remove(cluster.etcd, n1.id)


def test_addresses_are_given_to_the_service_its_tasks_and_then_to_nodes(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24")
    services.create(cluster.etcd, spec("n1", replicas=3))

    made = lead(cluster)

    given = {task.slot: str(task.places[0].ip) for task in made}
    assert given == {1: "10.50.0.3/24", 2: "10.50.0.4/24", 3: "10.50.0.5/24"}
    assert {task.node for task in made} == {"h1", "h2"}
    for node in ("h1", "h2"):
        assert cluster.etcd.get(keys.balancer(net.id, node))
    assert str(cluster.attach("h1", net).ip) == "10.50.0.8/24"


def test_a_nodes_task_may_be_published_by_that_node(cluster: Cluster) -> None:
    cluster.network("n1", "10.50.0.0/24")
    services.create(cluster.etcd, spec("n1"))
    (task,) = lead(cluster)

    (held,) = [one for one in reservations.of_node(cluster.etcd, task.node) if one.sandbox]

    assert (held.endpoint, held.ip) == (task.places[0].endpoint, task.places[0].ip)


def test_what_has_ended_gives_its_addresses_back(cluster: Cluster) -> None:
    cluster.network("n1", "10.50.0.0/24")
    services.create(cluster.etcd, spec("n1"))
    (task,) = lead(cluster)

    tasks.report(cluster.etcd, task.node, [TaskStatus(task.id, TaskState.FAILED, error="x")])

    (now,) = tasks.everything(cluster.etcd)
    assert (now.state, now.error) == (TaskState.FAILED, "x")
    assert reservations.of_node(cluster.etcd, task.node) == []


def test_a_node_gets_no_place_where_its_last_task_has_ended_meanwhile(cluster: Cluster) -> None:
    """Between the leader's look and its writing, so that the task's end took no place along."""
    cluster.network("n1", "10.50.0.0/24")
    services.create(cluster.etcd, spec("n1"))
    (task,) = lead(cluster)
    held = reservations.of_node(cluster.etcd, task.node)
    cluster.etcd.txn(
        [], [gone for one in held if not one.sandbox for gone in reservations._erased(one)]
    )
    candidate = Candidate(cluster.etcd, "h1")
    assert candidate.stand()
    snapshot = Reader(cluster.etcd).read()
    board = decide(Leader(cluster.etcd, "h1", print)._moment(snapshot), lambda: "t1")
    tasks.report(cluster.etcd, task.node, [TaskStatus(task.id, TaskState.FAILED, error="x")])

    Changes(cluster.etcd, candidate.condition, snapshot, pytest.fail).write(board)

    assert reservations.of_node(cluster.etcd, task.node) == []


def test_nothing_is_reserved_for_a_node_that_has_left_meanwhile(cluster: Cluster) -> None:
    cluster.network("n1", "10.50.0.0/24")
    services.create(cluster.etcd, spec("n1"))
    candidate = Candidate(cluster.etcd, "h1")
    assert candidate.stand()
    snapshot = Reader(cluster.etcd).read()
    board = decide(Leader(cluster.etcd, "h1", print)._moment(snapshot), lambda: "t1")
    for lease in cluster.leases.values():
        cluster.etcd.lease_revoke(lease)

    changes = Changes(cluster.etcd, candidate.condition, snapshot, pytest.fail)
    changes.write(board)

    assert changes.late
    assert [reservations.of_node(cluster.etcd, node) for node in ("h1", "h2")] == [[], []]


def test_a_task_that_was_orphaned_holds_no_network(cluster: Cluster) -> None:
    """Its node is away, and gives nothing back."""
    net = cluster.network("n1", "10.50.0.0/24")
    made = services.create(cluster.etcd, spec("n1"))
    (task,) = lead(cluster)
    services.remove(cluster.etcd, made.id)
    with pytest.raises(Conflict, match="is in use by task"):
        networks.remove(cluster.etcd, net.id)
    cluster.etcd.lease_revoke(cluster.leases[task.node])
    gone = replace(task, state=TaskState.ORPHANED)
    cluster.etcd.txn([], [Put(keys.TASKS + task.id, codec.dumps(gone))])

    networks.remove(cluster.etcd, net.id)

    assert reservations.of_node(cluster.etcd, task.node) == []


def test_a_node_reports_its_own_tasks_alone(cluster: Cluster) -> None:
    services.create(cluster.etcd, spec())
    (task,) = lead(cluster)
    other = {"h1": "h2", "h2": "h1"}[task.node]

    tasks.report(cluster.etcd, other, [TaskStatus(task.id, TaskState.FAILED)])

    assert tasks.everything(cluster.etcd) == [task]


def test_what_has_ended_does_not_come_back(cluster: Cluster) -> None:
    services.create(cluster.etcd, spec())
    (task,) = lead(cluster)
    tasks.report(cluster.etcd, task.node, [TaskStatus(task.id, TaskState.FAILED)])

    tasks.report(cluster.etcd, task.node, [TaskStatus(task.id, TaskState.RUNNING)])

    assert tasks.everything(cluster.etcd)[0].state is TaskState.FAILED


def test_a_former_leader_writes_nothing(cluster: Cluster) -> None:
    services.create(cluster.etcd, spec())
    old, new = Candidate(cluster.etcd, "h1"), Candidate(cluster.etcd, "h2")
    assert old.stand()
    assert not new.stand()
    condition = old.condition
    snapshot = Reader(cluster.etcd).read()
    board = decide(Leader(cluster.etcd, "h1", print)._moment(snapshot), lambda: "t1")
    cluster.etcd.lease_revoke(old._lease)
    assert new.stand()

    changes = Changes(cluster.etcd, condition, snapshot, print)
    changes.write(board)

    assert changes.late
    assert tasks.everything(cluster.etcd) == []


def test_many_tasks_are_placed_in_few_transactions(cluster: Cluster) -> None:
    cluster.ingress()
    cluster.network("n1", "10.50.0.0/22")
    services.create(cluster.etcd, spec("n1", replicas=100, ports=(ServicePort(80, 8080),)))
    before = cluster.etcd.traffic.requests

    made = lead(cluster)

    assert len({str(task.places[1].ip) for task in made}) == 100
    assert cluster.etcd.traffic.requests - before < 60


def test_leaders_thread_makes_tasks_and_ends_them(cluster: Cluster) -> None:
    leader = Leader(cluster.etcd, "h1", print)
    leader.start()
    try:
        made = services.create(cluster.etcd, spec(replicas=2))
        until(lambda: _notified(leader) and len(tasks.everything(cluster.etcd)) == 2)
        services.remove(cluster.etcd, made.id)
        until(lambda: _notified(leader) and _all_are_to_end(cluster))
    finally:
        leader.close()
    assert cluster.etcd.get(keys.ELECTION) is None, "it has given its part up"


def _notified(leader: Leader) -> bool:
    """Say that something has changed, as the feed does."""
    leader.changed()
    return True


def _all_are_to_end(cluster: Cluster) -> bool:
    return all(t.desired is TaskState.SHUTDOWN for t in tasks.everything(cluster.etcd))


def test_addresses_of_other_members_are_passed_over(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24")
    services.create(cluster.etcd, spec("n1"))
    endpoints.attach(
        cluster.etcd,
        "h1",
        replace(_wish(cluster, net.id), ip=next(iter(net.pools)).subnet.network_address + 3),
    )

    (task,) = lead(cluster)

    assert str(task.places[0].ip) == "10.50.0.5/24", ".4 is the balancer of h1"


def _wish(cluster: Cluster, network: str) -> Any:
    from plumb.model.cluster import AttachRequest

    return AttachRequest("a" * 64, network, "c" * 64, ("c",))


def test_a_service_made_twice_by_one_id_is_one(cluster: Cluster) -> None:
    ident = "a" * 25
    made = services.create(cluster.etcd, spec(), ident)

    again: Service = services.create(cluster.etcd, spec(), ident)

    assert again == made


def test_a_service_without_addresses_left_holds_up_no_other(cluster: Cluster) -> None:
    cluster.network("small", "10.50.0.0/29")
    cluster.network("large", "10.51.0.0/24")
    services.create(cluster.etcd, spec("small", name="a", replicas=9))
    services.create(cluster.etcd, spec("large", name="b", replicas=2))

    made = lead(cluster)

    waiting = [task for task in made if task.state is TaskState.PENDING]
    assert len(waiting) == 9 - 4, "four addresses are left beside the service's own"
    assert all("no available IPv4 addresses" in task.error for task in waiting)
    assert len([task for task in made if task.node]) == 4 + 2


def test_an_update_that_cannot_be_rolled_back_is_paused(cluster: Cluster) -> None:
    cluster.ingress()
    pace = UpdatePolicy(failure=FailureAction.ROLLBACK)
    made = services.create(cluster.etcd, spec(ports=(ServicePort(80, 8080),), update=pace))
    services.update(cluster.etcd, made.id, 1, spec(argv=("false",), update=pace))
    services.create(cluster.etcd, spec(name="b", replicas=0, ports=(ServicePort(80, 8080),)))
    (task,) = lead(cluster)
    tasks.report(cluster.etcd, task.node, [TaskStatus(task.id, TaskState.FAILED)])

    lead(cluster)

    status = services.find(cluster.etcd, "web").update  # type: ignore[union-attr]
    assert status.state is UpdateState.PAUSED
    assert "port '8080' is already in use by service 'b'" in status.message
