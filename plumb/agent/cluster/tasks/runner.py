"""Runner of this node's tasks: makes the containers those that the leader has given to the node.

Each round compares what is to be with what is: new tasks are built in one operation, commands of
those that shall end get their stop signal and then their time, and what has become of each is
reported. Nothing is remembered that the host's record does not say, so that a process which was
killed goes on where it was. Without a manager all runs on as it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from plumb.agent.cluster.host_networks import HostNetworks
from plumb.agent.cluster.tasks import state
from plumb.errors import PlumbError
from plumb.kernel.process import deaths
from plumb.model.cluster import Node
from plumb.model.cnm import Sandbox, Status
from plumb.model.lifecycle import signals
from plumb.model.lifecycle.health import UNHEALTHY
from plumb.model.ports import ServicePort
from plumb.model.service.assignment import Assignment, TaskStatus
from plumb.model.service.task import TaskState
from plumb.store import codec

BATCH = 25
"""Containers that one operation builds."""
TICK = 5.0
"""Seconds after which a round begins even if nothing is known to have happened."""
HEALTH_TICK = 0.5
"""The same where the health of a task is checked."""
DRAINING = 1.0
"""Seconds between the report that a task is not healthy and its end."""
SOON = 0.2
AGAIN = 3.0
"""Seconds after which a report is sent again that no manager has taken down."""
STOP_GRACE = 10.0
BUILD_AGAIN = 1.0
"""Seconds until a container is tried again that could not be built; the second time it counts."""


class Ask(Protocol):
    """Request to the managers, as this node's."""

    def __call__(self, name: str, body: dict[str, Any], *, patience: float = ...) -> Any:
        """Ask.

        Raises:
            PlumbError: it is refused, or no manager answers.
        """


@dataclass
class _Round:
    """Findings of one round, by task."""

    assigned: dict[str, Assignment]
    boxes: dict[str, tuple[Sandbox, tuple[ServicePort, ...]]]
    codes: dict[str, int | None] = field(default_factory=dict)
    statuses: list[TaskStatus] = field(default_factory=list)


class TaskRunner:
    """The thread; see the module.

    Args:
        host: this host.
        node: returns this node.
        ask: sends managers reports.
        complain: takes lines for the log.
    """

    def __init__(
        self,
        host: HostNetworks,
        node: Callable[[], Node],
        ask: Ask,
        complain: Callable[[str], None],
    ) -> None:
        self._host, self._node, self._ask, self._complain = host, node, ask, complain
        self._assigned: tuple[Assignment, ...] | None = None
        self._deaths = deaths.Deaths()
        self._ending = threading.Event()
        self._asked: dict[str, float] = {}
        self._unhealthy: dict[str, float] = {}
        self._rejected: dict[str, TaskStatus] = {}
        self._failed: dict[str, tuple[object, ...]] = {}
        self._sent: dict[str, tuple[TaskStatus, float]] = {}
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="tasks", daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """End after the round that is under way; the tasks run on."""
        self._ending.set()
        self._deaths.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(30)

    def assign(self, tasks: tuple[Assignment, ...]) -> None:
        """Take all tasks of this node."""
        self._assigned = tasks
        self._deaths.wake()

    def _run(self) -> None:
        pause = 0.0
        while not self._ending.is_set():
            self._deaths.wait(pause)
            if self._ending.is_set():
                return
            try:
                pause = self._round()
                self._said = ""
            except Exception as error:
                pause = 1.0
                if str(error) != self._said:
                    self._said = str(error)
                    self._complain(f"tasks wait: {error!r}")

    def _round(self) -> float:
        """Compare and act once; returns the seconds until the next round."""
        assigned = self._assigned
        if assigned is None:
            return TICK
        found = _Round(
            {one.task.id: one for one in assigned},
            {box.task.task: (box, ports) for box, ports in self._host.tasks() if box.task},
        )
        pause = min(self._check_health(found), self._end(found))
        self._finish(found)
        pause = min(pause, self._build(found))
        self._observe(found)
        return min(pause, self._send(found))

    def _check_health(self, found: _Round) -> float:
        """Note what is not healthy any more; seconds until the next look."""
        checked = [
            (ident, box)
            for ident, (box, _) in found.boxes.items()
            if box.health.command and box.status is Status.RUNNING
        ]
        for ident, box in checked:
            folder = self._host.folder(box)
            if state.health(box, folder) == UNHEALTHY and state.exit_code(box, folder) is None:
                self._unhealthy.setdefault(ident, time.monotonic() + DRAINING)
        self._unhealthy = {k: v for k, v in self._unhealthy.items() if k in found.boxes}
        return HEALTH_TICK if checked else TICK

    # -- the end --------------------------------------------------------------------------

    def _end(self, found: _Round) -> float:
        """Send stop signals, and kill what has had its time; seconds until the next is due."""
        now, pause = time.monotonic(), TICK
        for ident, (box, _) in found.boxes.items():
            folder = self._host.folder(box)
            found.codes[ident] = state.exit_code(box, folder)
            if found.codes[ident] is not None or self._is_wanted(found, ident):
                continue
            if not box.argv:
                found.codes[ident] = 0
                continue
            if ident not in self._asked:
                grace = (
                    found.assigned[ident].spec.stop_grace if ident in found.assigned else STOP_GRACE
                )
                self._asked[ident] = now + grace
                deaths.ask_to_end(folder, signals.number(box.command.stop_signal or "TERM"))
            elif now >= self._asked[ident]:
                deaths.kill(folder)
            pause = min(pause, SOON if now >= self._asked[ident] else self._asked[ident] - now)
            self._deaths.watch(folder)
        return pause

    def _is_wanted(self, found: _Round, ident: str) -> bool:
        """True of a task that is to run here."""
        one = found.assigned.get(ident)
        until = self._unhealthy.get(ident, float("inf"))
        return one is not None and _is_to_run(one) and time.monotonic() < until

    def _finish(self, found: _Round) -> None:
        """Take away networks of those that have ended, and containers of those that are over."""
        over = [
            (box.id, None if ident in self._asked else found.codes[ident])
            for ident, (box, _) in found.boxes.items()
            if box.status is Status.RUNNING and found.codes[ident] is not None
        ]
        gone = [
            box.id
            for ident, (box, _) in found.boxes.items()
            if ident not in found.assigned and found.codes[ident] is not None
        ]
        # The managers hear of ends first: names and balancers elsewhere wait for it.
        self._observe_ends(found)
        if over or gone:
            self._send(found)
            self._host.finish(over, gone)
        for ident in list(self._asked):
            if ident not in found.boxes or found.codes[ident] is not None:
                del self._asked[ident]

    def _observe_ends(self, found: _Round) -> None:
        for ident, (box, _) in found.boxes.items():
            code = found.codes[ident]
            if code is not None:
                one = found.assigned.get(ident)
                found.statuses.append(state.ended(box, code, one, ident in self._unhealthy))

    # -- the beginning --------------------------------------------------------------------

    def _build(self, found: _Round) -> float:
        """Build the containers of new tasks, some at a time; seconds until some are tried again."""
        held = self._held(found)
        new = [
            one
            for ident, one in found.assigned.items()
            if ident not in found.boxes
            and ident not in self._rejected
            and one.complete
            and _is_to_run(one)
            and held.isdisjoint(state.host_ports(one.spec.ports))
        ]
        for some in self._parts(new):
            if self._ending.is_set():
                break
            self._begin(some)
            known = {one.task.id for one in some}
            for box, ports in self._host.tasks():
                if box.task is not None and box.task.task in known:
                    found.boxes[box.task.task] = box, ports
                    found.codes[box.task.task] = state.exit_code(box, self._host.folder(box))
            self._observe(found)
            self._send(found)
        waiting = found.assigned.keys() - found.boxes.keys() - self._rejected.keys()
        self._failed = {k: v for k, v in self._failed.items() if k in waiting}
        return BUILD_AGAIN if self._failed else TICK

    def _parts(self, new: Sequence[Assignment]) -> list[Sequence[Assignment]]:
        """Divide tasks into operations; one that has failed is the only task of its own.

        Where it fails again once commands of others run, theirs would be ended and executed anew.
        """
        fresh = [one for one in new if one.task.id not in self._failed]
        some = [fresh[first : first + BATCH] for first in range(0, len(fresh), BATCH)]
        return [*some, *([one] for one in new if one.task.id in self._failed)]

    def _held(self, found: _Round) -> set[tuple[str, int]]:
        """Ports of this host that tasks have which are about to end: new ones wait for them."""
        return {
            port
            for ident, (_, ports) in found.boxes.items()
            if found.codes[ident] is None and not self._is_wanted(found, ident)
            for port in state.host_ports(ports)
        }

    def _begin(self, some: Sequence[Assignment]) -> None:
        try:
            self._host.begin(some, self._node())
        except PlumbError as error:
            if len(some) > 1:
                for one in some:
                    self._begin([one])
                return
            ident, places = some[0].task.id, tuple(one.balancer for one in some[0].attached)
            self._complain(f"cannot build task {some[0].name}: {error}")
            if self._failed.get(ident) != places:
                # The node's own place may have changed after the task was told; that is told soon.
                self._failed[ident] = places
                return
            self._rejected[ident] = TaskStatus(ident, TaskState.REJECTED, "preparing", str(error))

    # -- reports --------------------------------------------------------------------------

    def _observe(self, found: _Round) -> None:
        """Watch what runs, and note what is to be reported of it."""
        self._rejected = {k: v for k, v in self._rejected.items() if k in found.assigned}
        for ident, (box, ports) in found.boxes.items():
            if found.codes.get(ident) is None:
                folder = self._host.folder(box)
                found.statuses.append(state.running(box, ports, state.health(box, folder)))
                if box.argv:
                    self._deaths.watch(folder)
        found.statuses += self._rejected.values()
        found.statuses += [
            TaskStatus(ident, TaskState.SHUTDOWN, "shutdown")
            for ident, one in found.assigned.items()
            if ident not in found.boxes and one.task.desired is not TaskState.RUNNING
        ]

    def _send(self, found: _Round) -> float:
        """Report what the managers have not taken down yet; seconds until that is tried again."""
        now = time.monotonic()
        latest = {one.task: one for one in found.statuses}
        new = [
            one
            for ident, one in latest.items()
            if ident in found.assigned
            and not state.is_recorded(one, found.assigned[ident])
            and not self._was_sent(one, now)
        ]
        self._sent = {ident: sent for ident, sent in self._sent.items() if ident in found.assigned}
        if not new:
            return TICK
        try:
            rows = [codec.plain(one) for one in new]
            self._ask("task-status", {"tasks": rows}, patience=0.0)
        except PlumbError:
            return AGAIN / 2
        self._sent |= {one.task: (one, now) for one in new}
        return AGAIN

    def _was_sent(self, status: TaskStatus, now: float) -> bool:
        before = self._sent.get(status.task)
        return before is not None and before[0] == status and now - before[1] < AGAIN


def _is_to_run(one: Assignment) -> bool:
    return one.task.desired is TaskState.RUNNING and not one.task.state.ended
