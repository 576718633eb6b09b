"""Leader among the managers: it stands for election, and makes the tasks follow the services.

It looks when something has changed, and when something is due. One that was cut off finds out by
its lease: what it still writes comes to nothing (`state.service.election`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from plumb.agent.cluster.certificates import tokens
from plumb.agent.cluster.manager.orchestrator.board import Board, Moment
from plumb.agent.cluster.manager.orchestrator.changes import Changes
from plumb.agent.cluster.manager.orchestrator.decide import decide
from plumb.agent.cluster.manager.orchestrator.snapshot import Reader, Snapshot
from plumb.agent.cluster.state import nodes
from plumb.agent.cluster.state.etcd import Etcd
from plumb.agent.cluster.state.service.election import LEASE, Candidate
from plumb.errors import PlumbError
from plumb.frozen import replace
from plumb.model.service.task import Task, TaskState

REST, LONGEST_REST = 0.05, 0.5
"""Seconds between two looks, so that one sees what many nodes report at the same time: as long as
the last one took, and these at least and at most."""
TICK = 1.0
"""Seconds after which it looks whether its own lease must be renewed."""
IDLE = 10.0
"""Seconds after which it looks even if nobody says that anything has changed."""
DRAINING = 10.0
"""Seconds that a task waits at most until no node sends new connections to it: a node is alive for
as long, and may be busy. One that has no lease is not waited for."""
LOOK = 0.25
"""Seconds until the next look at tasks that drain, where nothing else happens."""


class Leader:
    """The thread; see the module.

    Args:
        etcd: the cluster's store.
        node: this manager's id.
        complain: takes lines for the log.
    """

    def __init__(self, etcd: Etcd, node: str, complain: Callable[[str], None]) -> None:
        self._etcd, self._complain = etcd, complain
        self._candidate = Candidate(etcd, node)
        self._reader = Reader(etcd)
        self._ending, self._changed = threading.Event(), threading.Event()
        self._stood = self._since = self._due = 0.0
        self._drains: dict[str, tuple[int, float]] = {}
        self._thread = threading.Thread(target=self._run, name="leader", daemon=True)

    def start(self) -> None:
        """Stand for election, so that a new cluster has a leader at once; begin, in a thread."""
        with suppress(PlumbError):  # without a quorum the thread tries again
            self._stand()
        self._thread.start()

    def changed(self) -> None:
        """Take note that something has changed; any thread may say so."""
        self._changed.set()

    def close(self) -> None:
        """End it, and let another manager lead at once."""
        self._ending.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(LEASE)

    @property
    def leads(self) -> bool:
        """True if this manager assigns tasks."""
        return self._candidate.leads

    def _run(self) -> None:
        said = ""
        while not self._ending.is_set():
            self._changed.wait(max(0.0, min(TICK, self._due - time.time())) if self.leads else TICK)
            began = time.monotonic()
            try:
                self._go_round()
                said = ""
            except PlumbError as error:
                if str(error) != said and not self._ending.is_set():
                    said = str(error)
                    self._complain(f"assigning tasks waits: {error}")
                self._ending.wait(TICK / 2)
            except Exception as error:
                self._complain(f"assigning tasks failed: {error!r}")
                self._ending.wait(TICK)
            self._ending.wait(min(max(REST, time.monotonic() - began), LONGEST_REST))
        try:
            self._candidate.withdraw()
        except PlumbError:
            pass  # its lease expires

    def _go_round(self) -> None:
        if time.monotonic() - self._stood > LEASE / 3:
            self._stand()
        if not self._candidate.leads or not (self._changed.is_set() or time.time() >= self._due):
            return
        self._changed.clear()
        snapshot = self._reader.read()
        board = decide(self._moment(snapshot), tokens.new_id)
        changes = Changes(self._etcd, self._candidate.condition, snapshot, self._complain)
        changes.write(board)
        self._note(board, changes)
        if changes.late:
            self._candidate.check()
            self._changed.set()

    def _stand(self) -> None:
        """Renew the lease, or be elected."""
        led = self._candidate.leads
        self._candidate.stand()
        self._stood = time.monotonic()
        if self._candidate.leads and not led:
            self._since = time.monotonic()
            self._drains.clear()
            self._due = 0.0
            self._complain("this manager assigns the tasks now")

    def _moment(self, snapshot: Snapshot) -> Moment:
        """Return what is to be decided upon.

        A node without a lease is waited for where this manager has begun to lead just now: leases
        may have expired while no manager could renew them.
        """
        known = {
            ident: replace(node, alive=ident in snapshot.alive)
            for ident, node in snapshot.nodes.items()
        }
        waiting = time.monotonic() < self._since + nodes.LEASE
        return Moment(
            snapshot.services,
            list(snapshot.tasks.values()),
            known,
            frozenset(known if waiting else ()),
            self._drained(snapshot),
            time.time(),
        )

    def _drained(self, snapshot: Snapshot) -> frozenset[str]:
        """Ids of tasks that no node sends new connections to any more, or that have waited."""
        draining = [task for task in snapshot.tasks.values() if _is_draining(task)]
        now = time.monotonic()
        self._drains = {
            task.id: self._drains.get(task.id) or (snapshot.modified(task), now)
            for task in draining
        }
        return frozenset(task.id for task in draining if self._is_drained(task, snapshot, now))

    def _is_drained(self, task: Task, snapshot: Snapshot, now: float) -> bool:
        revision, since = self._drains[task.id]
        places = {node for one in task.places for node in snapshot.places(one.network)}
        asked = places & snapshot.alive
        late = [node for node in asked if snapshot.applied.get(node, 0) < revision]
        if late and now - since > DRAINING:
            self._complain(f"task {task.id} ends, and may still be sent to by {', '.join(late)}")
            return True
        return not late

    def _note(self, board: Board, changes: Changes) -> None:
        """Remember which tasks have begun to drain, and when the next look is due."""
        now = time.monotonic()
        for ident, revision in changes.drained.items():
            task = board.tasks[ident]
            if _is_draining(task) and ident not in self._drains:
                self._drains[ident] = revision, now
        waiting = self._since + nodes.LEASE - now
        soon = LOOK if self._drains else waiting if waiting > 0 else IDLE
        self._due = min(board.wake, time.time() + soon)


def _is_draining(task: Task) -> bool:
    return task.draining and not task.state.ended and task.desired is TaskState.RUNNING
