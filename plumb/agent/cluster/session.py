"""A node's session with its managers: its lease, what changes for it, what it publishes.

Threads. One renews the lease every few seconds; a node whose lease has expired is down, and
its endpoints are gone from the others. The other one holds a stream open, on which a manager tells
all endpoints of the networks that this node has a part in, and then what changes. Both begin anew
for as long as it takes, at whichever manager answers. What has changed is applied to this host in
threads of its own (`stream.applying`).

The stream tells this node's own endpoints as well. Where they differ from what it publishes, as
after a lease that expired while it lived on, it publishes and withdraws: so it comes back by
itself. While no manager answers, the last known endpoints of other nodes stay.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import Any

from plumb.agent.cluster.managers import Managers
from plumb.agent.cluster.published import Published
from plumb.agent.cluster.stream.applying import Applier
from plumb.agent.cluster.stream.events import Events
from plumb.agent.cluster.stream.services import StreamServices
from plumb.errors import Invalid, KernelRefused, NotFound, PlumbError, Unsupported
from plumb.kernel.cluster import failures
from plumb.model.cluster import Encryption, Node, RemoteEndpoint
from plumb.store import codec

SILENCE = 15.0
"""Seconds without a line of the stream, not even an empty one, until another manager is asked."""
PAUSES = (0.1, 3.0)
"""Seconds before the next try: the first time, and at most."""
BEAT = 3.0
"""Seconds between two renewals of the lease; the manager's answer may say otherwise."""
LOST = 10.0
"""Seconds without an answer after which commands wait for none; a new leader is there before."""
BATCH = 200
"""Endpoints that one request publishes."""


class Session:
    """The session; see the module.

    Args:
        node: this node's id.
        managers: whom it asks.
        published: what it publishes.
        events: takes what happens.
        complain: takes lines for the log.
    """

    def __init__(
        self,
        node: str,
        managers: Managers,
        published: Published,
        events: Events,
        complain: Callable[[str], None],
    ) -> None:
        self.node, self.managers, self.published = node, managers, published
        self._events, self._complain = events, complain
        self._ending, self._beat_now = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._remote: dict[str, dict[str, RemoteEndpoint]] = {}
        self._refused: set[str] = set()
        self._late: dict[str, RemoteEndpoint | None] = {}
        self._lease, self.revision = 0, 0
        self.services = StreamServices()
        self._applier = Applier(self, events, complain)
        self.since = 0.0
        self.failure, self._failing = "", 0.0
        self._stream: Any = None
        self._threads = [
            threading.Thread(target=run, name=run.__name__, daemon=True)
            for run in (self._beats, self._watches)
        ]

    def start(self) -> None:
        """Begin, in threads."""
        self._applier.start()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the session; the lease is left to expire."""
        self._ending.set()
        self._beat_now.set()
        self._applier.close()
        self._hang_up()
        self.managers.close()

    @property
    def connected(self) -> bool:
        """True while a manager renews the lease."""
        return not self.failure and self.since > 0

    @property
    def lost(self) -> bool:
        """True if no manager has answered for longer than the election of a leader takes."""
        return bool(self._failing) and time.monotonic() - self._failing > LOST

    def remotes(self, network: str) -> tuple[RemoteEndpoint, ...]:
        """The endpoints of a network on other nodes, as last known."""
        with self._lock:
            return tuple(self._remote.get(network, {}).values())

    # -- what this node publishes --------------------------------------------------------

    def publish(self, ends: Sequence[RemoteEndpoint]) -> None:
        """Publish endpoints, now or as soon as a manager answers.

        A network that comes to this host with them gets what was told of it meanwhile.

        Raises:
            PlumbError: the managers refuse one.
        """
        here = {end.network for end in self.published.all()}
        for end in ends:
            self.published.add(end)
        self._apply_to({end.network for end in ends} - here)
        try:
            self._send(ends)
        except KernelRefused as away:
            self._complain(f"{away}; {len(ends)} endpoints will be published later")
            self._note_late({end.id: end for end in ends})
            self._beat_now.set()
        except PlumbError:
            for end in ends:
                self.published.remove(end.id)
            raise

    def _apply_to(self, networks: set[str]) -> None:
        """Apply what is known of networks to this host, after the operation that is at work."""
        self.services.mark(networks)
        self._applier.mark(networks)

    def _send(self, ends: Sequence[RemoteEndpoint]) -> None:
        rows = [codec.plain(end) for end in ends]
        for first in range(0, len(rows), BATCH):
            body = {"endpoints": rows[first : first + BATCH], "lease": self._lease}
            self.managers.ask("publish", body, BEAT, patience=0)

    def _send_again(self, ends: Sequence[RemoteEndpoint]) -> None:
        """Publish endpoints of before; one that is refused holds up no others, and no session."""
        try:
            self._send(ends)
        except (NotFound, Invalid):
            for end in ends:
                try:
                    self._send([end])
                except (NotFound, Invalid) as refused:
                    if end.id not in self._refused:
                        self._complain(f"container {end.sandbox[:12]} is not published: {refused}")
                    self._refused.add(end.id)

    def withdraw(self, idents: list[str]) -> None:
        """Withdraw endpoints, now or as soon as a manager answers."""
        for ident in idents:
            self.published.remove(ident)
        try:
            self.managers.ask("withdraw", {"endpoints": idents}, BEAT, patience=0)
        except KernelRefused as away:
            self._complain(f"{away}; endpoints will be withdrawn later")
            self._note_late(dict.fromkeys(idents))
            self._beat_now.set()

    def _note_late(self, ends: Mapping[str, RemoteEndpoint | None]) -> None:
        """Have endpoints published, or withdrawn (None), when the lease is renewed next.

        A manager that was too slow may have done so already.
        """
        with self._lock:
            self._late |= ends

    def _catch_up(self) -> None:
        """Publish and withdraw what no manager has answered for so far."""
        with self._lock:
            late, self._late = self._late, {}
        try:
            self._send_again([end for end in late.values() if end and self._is_published(end)])
            gone = [ident for ident in late if self.published.get(ident) is None]
            if gone:
                self.managers.ask("withdraw", {"endpoints": gone}, BEAT, patience=0)
        except KernelRefused:
            with self._lock:
                self._late = {**late, **self._late}
            raise

    def _is_published(self, end: RemoteEndpoint) -> bool:
        return self.published.get(end.id) == end

    def _agree(self, own: list[RemoteEndpoint]) -> None:
        """Publish and withdraw what differs from what a manager has of this node."""
        there = {end.id: end for end in own}
        self._send_again([end for end in self.published.all() if there.get(end.id) != end])
        surplus = [ident for ident in there if self.published.get(ident) is None]
        if surplus:
            self.managers.ask("withdraw", {"endpoints": surplus})

    # -- the lease -----------------------------------------------------------------------

    def _beats(self) -> None:
        pause = BEAT
        while not self._ending.is_set():
            self._beat_now.clear()
            try:
                pause = self._beat()
                self.failure, self.since = "", self.since or time.time()
                self._failing = 0.0
            except PlumbError as error:
                if not isinstance(error, KernelRefused):
                    self._events.on_removed(error)
                if not self.failure:
                    self._complain(str(error))
                self._fail(error)
                pause = BEAT / 2
            except Exception as error:
                self._complain(f"renewing the lease failed: {error!r}")
                self._fail(error)
            self._beat_now.wait(pause * random.uniform(0.8, 1.0))

    def _fail(self, error: Exception) -> None:
        self.failure, self.since = str(error), 0.0
        self._failing = self._failing or time.monotonic()

    def _beat(self) -> float:
        used = self._applier.used.numbers if self._applier.used else ""
        body = {"lease": self._lease, "programmed": used}
        answer = self.managers.ask("heartbeat", body, BEAT, patience=0)
        expired, self._lease = answer["lease"] != self._lease, answer["lease"]
        self.managers.know(answer["managers"])
        self._events.on_managers(self.managers.places)
        self._events.on_authorities(answer["authorities"])
        self._events.on_node(codec.decode(Node, answer["node"]))
        if expired:
            self._note_late({end.id: end for end in self.published.all()})
        self._catch_up()
        return float(answer.get("every", BEAT))

    @property
    def keys(self) -> Encryption | None:
        """The keys of encrypted networks, as a manager has told them last."""
        return self._applier.keys

    def acknowledge(self, revision: int) -> bool:
        """Tell the managers by which revision of the tasks this node balances; True if they know.

        Tasks that drain wait a little longer where no manager answers.
        """
        body = {"revision": revision, "lease": self._lease}
        with suppress(PlumbError):
            return bool(self.managers.ask("tasks-applied", body, BEAT, patience=0))
        return False

    def beat_now(self) -> None:
        """Renew the lease at once, and report what has changed with it."""
        self._beat_now.set()

    @property
    def lease(self) -> int:
        """The lease's number, 0 before the first renewal."""
        return self._lease

    # -- what changes --------------------------------------------------------------------

    def _watches(self) -> None:
        pause = PAUSES[0]
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                self._watch()
            except (PlumbError, OSError, HTTPException, ValueError, KeyError) as error:
                if not self._ending.is_set() and isinstance(error, NotFound | Unsupported):
                    self._events.on_removed(error)
            except Exception as error:
                self._complain(f"watching failed: {error!r}")
            steady = time.monotonic() - began > SILENCE
            pause = PAUSES[0] if steady else min(pause * 2, PAUSES[1])
            self._ending.wait(pause * random.uniform(0.5, 1.0))

    def _watch(self) -> None:
        connection, response = self.managers.stream(SILENCE)
        self._stream = connection
        try:
            while not self._ending.is_set():
                line = response.readline()
                if not line:
                    return
                if line.strip():
                    self._take(json.loads(line))
        finally:
            self._stream = None
            _close(response)
            connection.close()

    def _hang_up(self) -> None:
        stream = self._stream
        if stream is not None and stream.sock is not None:
            try:
                stream.sock.shutdown(2)
            except OSError:
                pass

    def _take(self, change: dict[str, Any]) -> None:
        """Take a line of the stream: `networks` in full, `put` and `gone` for single endpoints."""
        if "error" in change:
            raise failures.decoded(change)
        own: list[RemoteEndpoint] = []
        touched: set[str] = set()
        with self._lock:
            if change.get("all"):
                touched |= set(self._remote)
                self._remote.clear()
            for network, ends in change.get("networks", {}).items():
                known = [codec.decode(RemoteEndpoint, end) for end in ends]
                self._remote[network] = {end.id: end for end in known if end.node != self.node}
                touched.add(network)
            for network in change.get("left", ()):
                self._remote.pop(network, None)
                touched.add(network)
            for one in change.get("put", ()):
                end = codec.decode(RemoteEndpoint, one)
                if end.node != self.node:
                    self._remote.setdefault(end.network, {})[end.id] = end
                    touched.add(end.network)
            for network, ident in change.get("gone", ()):
                if self._remote.get(network, {}).pop(ident, None) is not None:
                    touched.add(network)
        if "own" in change:
            own = [codec.decode(RemoteEndpoint, end) for end in change["own"]]
            self._agree(own)
        elif any(self.published.get(ident) for _, ident in change.get("gone", ())):
            self._beat_now.set()
        self._take_single(change)
        self.services.take(change)
        self.revision = int(change.get("revision", self.revision))
        self._applier.mark(touched)
        tasks = change.keys() & {"tasks", "tasks_changed"}
        if tasks and (assigned := self.services.assignments(self.remotes)) is not None:
            self._events.on_tasks(assigned)

    def _take_single(self, change: dict[str, Any]) -> None:
        """Take of a line what there is one of: the keys of encrypted networks, this node."""
        if change.get("encryption"):
            self._applier.keys = codec.decode(Encryption, change["encryption"])
        self._applier.ingress = change.get("ingress", self._applier.ingress)
        for ident, question in change.get("questions", {}).items():
            self._events.on_question(ident, question)
        if "node" in change:
            self._events.on_node(codec.decode(Node, change["node"]))


def _close(response: HTTPResponse) -> None:
    try:
        response.close()
    except OSError:
        pass
