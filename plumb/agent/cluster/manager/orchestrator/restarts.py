"""Moment at which a task that has ended is replaced."""

from __future__ import annotations

from collections.abc import Sequence

from plumb.agent.cluster.state.service import moments
from plumb.frozen import frozen
from plumb.model.service.spec import Condition, RestartPolicy
from plumb.model.service.task import Task, TaskState

QUICK = 10.0
"""Seconds within which a task that ends has failed at once."""
LONGEST = 60.0
FAILED = (TaskState.FAILED, TaskState.REJECTED)


@frozen
class Restart:
    """Replacement of a task.

    Attributes:
        when: seconds since the epoch, infinite: never.
        restarts: moments of restarts of this place that count, this one among them.
    """

    when: float
    restarts: tuple[float, ...] = ()


NEVER = Restart(float("inf"))


def restart(policy: RestartPolicy, ended: Sequence[Task], template: str, now: float) -> Restart:
    """Decide when a place gets a task again.

    Args:
        policy: the service's.
        ended: tasks of the place that have ended, the last one last.
        template: digest of what a task is made from now.
        now: seconds since the epoch.
    """
    if not ended:
        return Restart(now)
    last = ended[-1]
    if _was_asked_for(last, template):
        return Restart(now)
    if policy.condition is Condition.NONE:
        return NEVER
    if policy.condition is Condition.ON_FAILURE and last.state not in FAILED:
        return NEVER
    when = moments.seconds(last.since) + max(policy.delay, back_off(ended, template))
    counted = _counted(policy, last, now)
    if policy.attempts and len(counted) >= policy.attempts:
        return NEVER if not policy.window else Restart(counted[0] + policy.window, counted)
    return Restart(when, (*counted, max(when, now)) if policy.attempts else ())


def _was_asked_for(task: Task, template: str) -> bool:
    """True of a task that was to end, or whose service has changed since."""
    planned = task.draining or task.desired is not TaskState.RUNNING
    return planned or task.template != template


def _counted(policy: RestartPolicy, last: Task, now: float) -> tuple[float, ...]:
    if not policy.attempts:
        return ()
    return tuple(one for one in last.restarts if not policy.window or one > now - policy.window)


def back_off(ended: Sequence[Task], template: str) -> float:
    """Seconds that a place rests whose tasks have failed at once, the last ones in a row.

    One is replaced as the policy says; from the second on the pause doubles. Docker has no such
    pause, and a delay of 0 is a storm there.
    """
    row = 0
    for task in reversed(ended):
        lived = moments.seconds(task.since) - moments.seconds(task.created)
        if task.state not in FAILED or task.template != template or lived > QUICK:
            break
        row += 1
    return min(2.0 ** (row - 2), LONGEST) if row > 1 else 0.0
