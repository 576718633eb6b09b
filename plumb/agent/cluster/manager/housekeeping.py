"""Work of the managers' leader that nobody asks for: keys of encrypted networks, lost nodes.

Nothing depends on one leader: two that take themselves for it do the same, and each step is a
transaction. etcd's members forget old revisions by themselves (`etcd_member`); an existing store's
owner sees to that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from plumb.agent.cluster.state import absence, encryption
from plumb.agent.cluster.state.etcd import Etcd
from plumb.errors import PlumbError

TICK = 2.0
"""Seconds between two looks at whether a rotation of keys can go on."""
SWEEP = 60.0
"""Seconds between two sweeps of reservations."""


class Housekeeping:
    """The thread; see the module.

    Args:
        etcd: the cluster's store.
        leads: asks for whether this manager is the leader.
        complain: takes lines for the log.
    """

    def __init__(
        self, etcd: Etcd, leads: Callable[[], bool], complain: Callable[[str], None]
    ) -> None:
        self._etcd, self._leads, self._complain = etcd, leads, complain
        self._ending, self._swept = threading.Event(), 0.0
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """End it, after the request that is under way."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(TICK)

    def _run(self) -> None:
        said = ""
        while not self._ending.wait(TICK):
            try:
                if self._leads():
                    self._look()
                said = ""
            except PlumbError as error:  # without a quorum, say; each is told once
                if str(error) != said and not self._ending.is_set():
                    said = str(error)
                    self._complain(f"housekeeping waits: {error}")
            except Exception as error:
                self._complain(f"housekeeping failed: {error!r}")

    def _look(self) -> None:
        now = time.time()
        encryption.create(self._etcd, int(now))
        encryption.advance(self._etcd, int(now))
        if time.monotonic() - self._swept > SWEEP:
            self._swept = time.monotonic()
            for node in absence.sweep(self._etcd, now):
                self._complain(f"addresses of node {node} are free: it was away for a day")
