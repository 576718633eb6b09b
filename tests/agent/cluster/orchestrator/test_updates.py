"""Rolling updates: so many at a time, in that order, watched, paused, rolled back."""

from __future__ import annotations

from typing import Any

from plumb.frozen import replace
from plumb.model.service.service import UpdateState
from plumb.model.service.spec import FailureAction, Order, RestartPolicy, UpdatePolicy
from plumb.model.service.task import Task
from tests.agent.cluster.orchestrator.rehearsal import Cluster, cluster

OLD, NEW = ("sleep", "1"), ("sleep", "2")
QUICK: dict[str, Any] = {"monitor": 2.0}


def web(replicas: int = 4, **policy: Any) -> Cluster:
    """A cluster with a service that runs."""
    here = cluster()
    pace = UpdatePolicy(**{**QUICK, **policy})
    here.service(
        replicas=replicas,
        argv=OLD,
        update=pace,
        rollback=UpdatePolicy(monitor=2.0),
        restart=RestartPolicy(delay=1),
    )
    here.settle()
    return here


def is_new(here: Cluster, task: Task) -> bool:
    """True of a task that was made for the service's present specification."""
    return task.version == here.services["web"].version


def test_an_update_replaces_one_after_the_other() -> None:
    here = web()
    here.update(argv=NEW)

    lowest = 4
    for _ in range(60):
        here.settle(0.5)
        lowest = min(lowest, len(here.running()))

    assert lowest == 3
    assert len(here.running()) == 4
    assert all(is_new(here, task) for task in here.running())
    assert here.services["web"].update.state is UpdateState.COMPLETED
    assert here.services["web"].update.completed


def test_parallelism_of_0_is_all_at_once() -> None:
    here = web(parallelism=0)
    here.update(argv=NEW)

    here.settle(1)

    assert here.running() == [] or all(is_new(here, task) for task in here.running())


def test_a_new_task_starts_before_the_old_one_ends_if_asked() -> None:
    here = web(order=Order.START_FIRST)
    here.update(argv=NEW)

    for _ in range(60):
        here.settle(0.5)
        assert len(here.running()) >= 4

    assert all(is_new(here, task) for task in here.running())


def test_the_delay_lies_between_two_groups() -> None:
    here = web(delay=10.0)
    here.update(argv=NEW)

    here.settle(8)
    assert sum(is_new(here, task) for task in here.running()) == 1

    here.settle(10)
    assert sum(is_new(here, task) for task in here.running()) == 2


def test_an_update_whose_tasks_fail_is_paused() -> None:
    here = web()
    here.update(argv=NEW)
    here.fails = lambda task: is_new(here, task)

    here.settle(10)

    status = here.services["web"].update
    assert status.state is UpdateState.PAUSED
    assert "update paused due to failure or early termination of task" in status.message
    assert len(here.running()) == 3, "the others go on as they were"


def test_an_update_whose_tasks_fail_goes_on_if_asked() -> None:
    here = web(failure=FailureAction.CONTINUE)
    here.update(argv=NEW)
    here.fails = lambda task: is_new(here, task) and here.now < started + 20
    started = here.now

    here.settle(90)

    assert all(is_new(here, task) for task in here.running())
    assert here.services["web"].update.state is UpdateState.COMPLETED


def test_an_update_whose_tasks_fail_is_rolled_back_if_asked() -> None:
    here = web(failure=FailureAction.ROLLBACK)
    here.update(argv=NEW)
    here.fails = lambda task: task.version == 2

    here.settle(60)

    service = here.services["web"]
    assert service.update.state is UpdateState.ROLLED_BACK
    assert service.spec.argv == OLD
    assert len(here.running()) == 4
    assert sum(task.version == 1 for task in here.running()) == 3, "these were never touched"


def test_a_share_of_failures_is_borne() -> None:
    here = web(failure_ratio=0.5)
    here.update(argv=NEW)
    once: set[int] = set()

    def fails(task: Task) -> bool:
        if is_new(here, task) and task.slot == 1 and not once:
            once.add(task.slot)
            return True
        return False

    here.fails = fails

    here.settle(60)

    assert here.services["web"].update.state is UpdateState.COMPLETED


def test_scaling_replaces_nothing() -> None:
    here = web()
    before = {task.id for task in here.running()}
    here.update(replicas=6)

    here.settle(20)

    assert before < {task.id for task in here.running()}


def test_a_forced_update_replaces_all() -> None:
    here = web()
    before = {task.id for task in here.running()}
    here.update(forced=1)

    here.settle(60)

    assert before.isdisjoint(task.id for task in here.running())


def test_an_update_without_tasks_is_complete_at_once() -> None:
    here = web(replicas=0)
    here.services["web"] = replace(here.services["web"], version=1)
    here.update(argv=NEW)

    here.decide()

    assert here.services["web"].update.state is UpdateState.COMPLETED
