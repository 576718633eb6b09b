"""Decisions, written: each transaction on condition that this manager leads.

What was read must be as it was: a task that its node has reported on meanwhile is decided about
again. New tasks get their addresses in the order of services and slots, then each node its own
place in networks that are new to it, as with Docker.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence

from plumb.agent.cluster.manager.orchestrator.board import Board
from plumb.agent.cluster.manager.orchestrator.snapshot import Snapshot
from plumb.agent.cluster.state import endpoints, keys
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import (
    Compare,
    Delete,
    KeyValue,
    Operation,
    Put,
    present,
    unchanged,
)
from plumb.agent.cluster.state.reservations import Reservation, batches
from plumb.agent.cluster.state.service import allotting, asked, services
from plumb.agent.cluster.state.service.allotting import Drafts, Written
from plumb.errors import Conflict, Exhausted, Invalid, NotFound, PlumbError
from plumb.frozen import replace
from plumb.model.cluster import AttachRequest
from plumb.model.cnm import Network
from plumb.model.service.service import Service, UpdateState
from plumb.model.service.task import Place, Task, TaskState
from plumb.store import codec

BATCH = 60
"""Tasks that one transaction writes; etcd takes 128 conditions and 128 operations in one."""
ROOM = 100
"""Operations of a transaction that gives addresses."""
ATTEMPTS = 4
Placed = tuple[Task | None, Task, tuple[Network, ...]]
"""A task before and after its node was chosen, and the networks that it is on."""
Batch = Sequence[Placed]


class Changes:
    """Writer of what a board says.

    Args:
        etcd: the cluster's store.
        condition: holds as long as this manager leads.
        snapshot: the state that was decided upon.
        complain: takes lines for the log.
    """

    def __init__(
        self, etcd: Etcd, condition: Compare, snapshot: Snapshot, complain: Callable[[str], None]
    ) -> None:
        self._etcd, self._condition = etcd, condition
        self._snapshot, self._complain = snapshot, complain
        self.drained: dict[str, int] = {}
        self.late = False

    def write(self, board: Board) -> None:
        """Write all that was decided.

        `late` says then that some of it was not, since somebody was faster; `drained` has the
        revision at which each task's end has begun.
        """
        changed = list(board.changed())
        placed = [(was, now) for was, now in changed if now and _is_placed(was, now)]
        rest = [(was, now) for was, now in changed if not (now and _is_placed(was, now))]
        self._write_services(board)
        for some in batches(rest, BATCH):
            if not self._write_tasks(some):
                for one in some:
                    self._write_tasks([one])
        placed.sort(key=lambda pair: _order(board, pair[1]))
        for batch in self._by_room(board, placed):
            self._place_what_can_be(board, batch)
        self._give_places(board)

    # -- services -----------------------------------------------------------------------

    def _write_services(self, board: Board) -> None:
        for ident, service in board.services.items():
            if service is not board.moment.services[ident]:
                found = self._snapshot.found[keys.SERVICES + ident]
                compare, put = services.put(found, service)
                self._did(self._etcd.txn([self._condition, compare], [put]).succeeded)
        for one in board.rollbacks:
            try:
                services.roll_back(self._etcd, one.service, one.message, [self._condition])
            except (Conflict, Invalid, NotFound) as error:
                self._pause(board.moment.services[one.service], f"{one.message}: {error}")

    def _pause(self, service: Service, message: str) -> None:
        """Pause an update that cannot be rolled back, as where another service has its port."""
        status = replace(service.update, state=UpdateState.PAUSED, message=message)
        found = self._snapshot.found[keys.SERVICES + service.id]
        compare, put = services.put(found, replace(service, update=status))
        self._did(self._etcd.txn([self._condition, compare], [put]).succeeded)

    def _did(self, succeeded: bool) -> bool:
        self.late = self.late or not succeeded
        return succeeded

    # -- tasks --------------------------------------------------------------------------

    def _write_tasks(self, some: Sequence[tuple[Task | None, Task | None]]) -> bool:
        compares, operations = [self._condition], list[Operation]()
        for was, now in some:
            for task in [one for one in (was, now) if one is not None][:1]:
                key = keys.TASKS + task.id
                compares.append(unchanged(key, self._found(was)))
                operations.append(Put(key, codec.dumps(now)) if now else Delete(key))
        answer = self._etcd.txn(compares, operations)
        if answer.succeeded:
            for _, now in some:
                if now is not None and now.draining:
                    self.drained[now.id] = answer.revision
        return self._did(answer.succeeded) if len(some) == 1 else answer.succeeded

    def _found(self, was: Task | None) -> KeyValue | None:
        return self._snapshot.found[keys.TASKS + was.id] if was else None

    # -- addresses ----------------------------------------------------------------------

    def _networks(self, board: Board, task: Task) -> tuple[Network, ...]:
        spec = board.services[task.service].spec
        return asked.joined(spec, self._snapshot.networks)

    def _by_room(self, board: Board, placed: Iterable[tuple[Task | None, Task]]) -> Iterator[Batch]:
        """Part new tasks into batches that one transaction can hold."""
        batch: list[Placed] = []
        room = ROOM
        for was, now in placed:
            try:
                nets = self._networks(board, now)
            except PlumbError as error:
                self._complain(f"task {now.name(now.service)} waits: {error}")
                continue
            size = 2 + sum(4 if net.ipv6 else 3 for net in nets)
            if batch and size > room:
                yield batch
                batch, room = [], ROOM
            batch.append((was, now, nets))
            room -= size
        if batch:
            yield batch

    def _place(self, batch: Batch) -> None:
        """Give tasks to their nodes, with addresses."""
        nets = [net for _, _, own in batch for net in own]

        def compose(drafts: Drafts) -> Written:
            compares = [self._condition]
            given = {now.node for _, now, _ in batch}
            # Who is about to leave gives back what it has, and nothing that came later.
            compares += [present(key + node) for node in given for key in (keys.NODES, keys.ALIVE)]
            operations: list[Operation] = []
            for was, now, own in batch:
                key = keys.TASKS + now.id
                places = [_reserve(drafts, net, now, compares, operations) for net in own]
                compares.append(unchanged(key, self._found(was)))
                operations.append(Put(key, codec.dumps(replace(now, places=tuple(places)))))
            return compares, operations

        with allotting.turns(self._etcd, nets):
            for attempt in range(ATTEMPTS):
                if allotting.write(self._etcd, nets, compose, attempt).succeeded:
                    return
        self._did(False)

    def _place_what_can_be(self, board: Board, batch: Batch) -> None:
        """Give tasks to their nodes; those without an address wait, and hold up no others."""
        try:
            self._place(batch)
        except Exhausted as error:
            if len(batch) > 1:
                for one in batch:
                    self._place_what_can_be(board, [one])
                return
            was, now, _ = batch[0]
            waits = replace(
                now, node="", state=TaskState.PENDING, error=str(error), since=now.created
            )
            if was is None or was.error != waits.error:
                self._write_tasks([(was, waits)])

    def _give_places(self, board: Board) -> None:
        """Give each node its own place in the networks of its tasks, where it has none."""
        wanted: dict[tuple[str, str], None] = {}
        for task in sorted(board.tasks.values(), key=lambda task: _order(board, task)):
            if task.node and not task.state.ended and task.service in board.services:
                for net in self._known_networks(board, task):
                    wanted[net, task.node] = None
        for net, node in wanted:
            if keys.balancer(net, node) not in self._snapshot.balancers and board.up(node):
                ident = keys.balancer_id(net, node)
                try:
                    endpoints.reserve(self._etcd, node, AttachRequest(ident, net))
                except NotFound:
                    pass  # the network, the node or its last task there is gone meanwhile
                except Exhausted as error:
                    self._complain(f"node {node} has no place in network {net[:12]}: {error}")

    def _known_networks(self, board: Board, task: Task) -> list[str]:
        if task.places:
            return [one.network for one in task.places if one.network in self._snapshot.networks]
        try:
            return [net.id for net in self._networks(board, task)]
        except PlumbError:
            return []


def _is_placed(was: Task | None, now: Task) -> bool:
    """True of a task that has got its node just now."""
    return bool(now.node) and not now.state.ended and (was is None or not was.node)


def _order(board: Board, task: Task) -> tuple[str, str, int, str]:
    service = board.services.get(task.service)
    node = board.nodes.get(task.node)
    return (
        service.created if service else "",
        task.service,
        task.slot,
        node.hostname if node else "",
    )


def _reserve(
    drafts: Drafts, net: Network, task: Task, compares: list[Compare], operations: list[Operation]
) -> Place:
    """Take addresses of a network for a task, as its node's."""
    ident = secrets.token_hex(32)
    key = keys.reservation(task.node, net.id, ident)
    ip, ip6 = allotting.addresses(drafts[net.id], key)
    mac = endpoints.mac_of(ip.ip)
    made = Reservation(ident, net.id, task.node, mac, ip, ip6, task.id)
    compares.append(present(keys.NETWORKS + net.id))
    operations.append(Put(key, codec.dumps(made)))
    return Place(net.id, ident, ip, ip6, mac)
