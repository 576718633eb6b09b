"""Tasks follow what services ask for: how many, where, and again when one has ended."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumb.frozen import replace
from plumb.model.cluster import Availability, NodeRole
from plumb.model.ports import PublishMode, ServicePort
from plumb.model.service.spec import Condition, RestartPolicy, ServiceMode
from plumb.model.service.task import TaskState
from tests.agent.cluster.orchestrator.rehearsal import Cluster, cluster


def test_a_service_gets_as_many_tasks_as_it_asks_for_spread_over_the_nodes() -> None:
    here = cluster(3)
    here.service(replicas=6)

    here.settle()

    assert Counter(task.node for task in here.running()) == {"h1": 2, "h2": 2, "h3": 2}
    assert [task.slot for task in here.running()] == [1, 2, 3, 4, 5, 6]


def test_a_second_service_goes_where_fewest_tasks_are() -> None:
    here = cluster(3)
    here.service("a", replicas=1)
    here.settle()
    here.service("b", replicas=2)

    here.settle()

    assert {task.node for task in here.running("b")} == {"h2", "h3"}


def test_scaling_down_takes_the_youngest() -> None:
    here = cluster()
    here.service(replicas=3)
    here.settle()
    here.update(replicas=1)

    here.settle()

    assert [task.slot for task in here.of()] == [1]


def test_nothing_happens_to_a_service_that_has_what_it_asks_for() -> None:
    here = cluster()
    here.service(replicas=3)
    here.settle()

    assert list(here.decide().changed()) == []


def test_a_global_service_has_a_task_on_each_node_and_follows_new_ones() -> None:
    here = cluster(2)
    here.service(mode=ServiceMode.GLOBAL)
    here.settle()
    here.nodes |= cluster(3).nodes

    here.settle()

    assert sorted(task.node for task in here.running()) == ["h1", "h2", "h3"]
    assert {task.slot for task in here.running()} == {0}


def test_a_failed_task_is_replaced_after_its_delay() -> None:
    here = cluster()
    here.service(replicas=1)
    here.settle()
    here.now += 60
    (task,) = here.running()
    here.put(task, TaskState.FAILED)

    here.settle(4)
    assert here.running() == []

    here.settle(3)
    assert [each.slot for each in here.running()] == [1]


def test_a_command_that_dies_at_once_is_started_ever_more_rarely() -> None:
    here = cluster()
    here.service(replicas=1, restart=RestartPolicy(delay=0))
    here.fails = lambda task: True

    here.settle(60)

    assert here.made <= 12
    assert len(here.of()) <= 6, "Docker keeps five that have ended"


def test_attempts_are_counted() -> None:
    here = cluster()
    here.service(replicas=1, restart=RestartPolicy(delay=1, attempts=2))
    here.fails = lambda task: True

    here.settle(60)

    assert here.made == 3


def test_a_task_that_ends_well_is_not_replaced_on_failure_alone() -> None:
    here = cluster()
    here.service(replicas=1, restart=RestartPolicy(Condition.ON_FAILURE))
    here.settle()
    (task,) = here.running()
    here.put(task, TaskState.COMPLETE)

    here.settle(20)

    assert here.made == 1


def test_constraints_choose_nodes() -> None:
    here = cluster(3)
    here.nodes["h1"] = replace(here.nodes["h1"], role=NodeRole.MANAGER)
    here.nodes["h2"] = replace(here.nodes["h2"], labels=(("zone", "a"),))
    here.service("a", replicas=2, constraints=("node.role==manager",))
    here.service("b", replicas=2, constraints=("node.labels.zone == a",))
    here.service("c", replicas=2, constraints=("node.hostname!=h3", "node.hostname!=h1"))

    here.settle()

    assert {task.node for task in here.running("a")} == {"h1"}
    assert {task.node for task in here.running("b")} == {"h2"}
    assert {task.node for task in here.running("c")} == {"h2"}


def test_a_task_that_no_node_may_have_waits_with_a_reason() -> None:
    here = cluster(2)
    here.service(replicas=1, constraints=("node.hostname==h9",))
    here.settle()
    (task,) = here.of()
    assert task.state is TaskState.PENDING
    assert task.error == "no suitable node (scheduling constraints not satisfied on 2 nodes)"

    here.nodes["h9"] = cluster(9).nodes["h9"]
    here.settle()

    assert [task.node for task in here.running()] == ["h9"]


def test_a_drained_node_loses_its_tasks_to_others() -> None:
    here = cluster(2)
    here.service(replicas=2)
    here.settle()
    here.nodes["h1"] = replace(here.nodes["h1"], availability=Availability.DRAIN)

    here.settle()

    assert [task.node for task in here.running()] == ["h2", "h2"]


def test_a_paused_node_keeps_its_tasks_and_gets_no_new_one() -> None:
    here = cluster(2)
    here.service(replicas=2)
    here.settle()
    here.nodes["h1"] = replace(here.nodes["h1"], availability=Availability.PAUSE)
    here.update(replicas=4)

    here.settle()

    assert Counter(task.node for task in here.running()) == {"h1": 1, "h2": 3}


def test_tasks_of_a_node_that_is_away_are_given_to_others() -> None:
    here = cluster(2)
    here.service(replicas=2)
    here.settle()
    here.nodes["h2"] = replace(here.nodes["h2"], alive=False)

    here.settle()

    assert [task.node for task in here.running()] == ["h1", "h1"]
    assert TaskState.ORPHANED in {task.state for task in here.of()}


def test_a_node_that_is_waited_for_keeps_its_tasks() -> None:
    here = cluster(2)
    here.service(replicas=2)
    here.settle()
    here.nodes["h2"] = replace(here.nodes["h2"], alive=False)
    here.waited = frozenset({"h2"})

    here.settle()

    assert sorted(task.node for task in here.running()) == ["h1", "h2"]


def test_a_slot_has_no_second_task_before_the_first_has_ended() -> None:
    here = cluster(2)
    here.service(replicas=1)
    here.settle()
    (task,) = here.running()
    here.stuck = {task.node}
    here.nodes[task.node] = replace(here.nodes[task.node], availability=Availability.DRAIN)

    here.settle(20)

    assert here.made == 1


def test_a_task_drains_before_it_is_stopped() -> None:
    here = cluster()
    here.service(replicas=1)
    here.settle()
    here.drains = False
    here.update(replicas=0)

    here.decide()
    (task,) = here.of()
    assert (task.draining, task.desired) == (True, TaskState.RUNNING)

    here.drains = True
    here.decide()
    assert here.of()[0].desired is TaskState.SHUTDOWN


def test_the_tasks_of_a_removed_service_end_and_are_forgotten() -> None:
    here = cluster()
    here.service(replicas=3)
    here.settle()
    del here.services["web"]

    here.settle()

    assert here.tasks == {}


def test_a_port_of_mode_host_is_taken_once_on_a_node() -> None:
    here = cluster(2)
    port = ServicePort(80, 8080, mode=PublishMode.HOST)
    here.service(replicas=3, ports=(port,))

    here.settle()

    assert {task.node for task in here.running()} == {"h1", "h2"}
    assert here.of()[-1].error == "no suitable node (host-mode port already in use on 2 nodes)"


def test_a_job_runs_each_of_its_tasks_once() -> None:
    here = cluster()
    on_failure = RestartPolicy(Condition.ON_FAILURE)
    here.service(mode=ServiceMode.REPLICATED_JOB, replicas=3, concurrent=1, restart=on_failure)

    for _ in range(20):
        here.settle(1)
        assert len(here.running()) <= 1
        for task in here.running():
            here.put(task, TaskState.COMPLETE)

    assert here.made == 3
    assert [task.state for task in here.of()] == [TaskState.COMPLETE] * 3


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_happens_it_ends_as_asked(data: st.DataObject) -> None:
    here = cluster(4)
    here.service(replicas=data.draw(st.integers(0, 6)), restart=RestartPolicy(delay=1))
    for _ in range(data.draw(st.integers(1, 8))):
        _upset(here, data)
        here.settle(data.draw(st.sampled_from((0.5, 2.0, 7.0))))
        alive = [task for task in here.of() if not task.state.ended]
        on_nodes = [task for task in alive if here.nodes[task.node].alive] if alive else []
        assert max(Counter(task.slot for task in on_nodes).values(), default=0) <= 1

    here.nodes["h1"] = replace(here.nodes["h1"], alive=True, availability=Availability.ACTIVE)
    here.settle(80)

    assert len(here.running()) == here.services["web"].spec.replicas


def _upset(here: Cluster, data: st.DataObject) -> None:
    """Scale, take a node away or bring it back, drain it, or kill a task."""
    name = data.draw(st.sampled_from(sorted(here.nodes)))
    node = here.nodes[name]
    match data.draw(st.integers(0, 3)):
        case 0:
            here.update(replicas=data.draw(st.integers(0, 6)))
        case 1:
            here.nodes[name] = replace(node, alive=not node.alive)
        case 2:
            drawn = data.draw(st.sampled_from(Availability))
            here.nodes[name] = replace(node, availability=drawn)
        case _:
            for task in here.running()[:1]:
                here.put(task, TaskState.FAILED)


@pytest.mark.parametrize("text", ["node.hostname=h1", "node.colour==red", "==h1"])
def test_what_is_no_constraint_is_refused(text: str) -> None:
    from plumb.errors import Invalid
    from plumb.model.service import constraints

    with pytest.raises(Invalid):
        constraints.parsed((text,))
