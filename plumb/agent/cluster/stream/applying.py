"""Changes from the stream, applied to this host: endpoints elsewhere, keys, services.

Two threads, as a name that is gone must not wait for a hundred endpoints that have come. Of several
changes of one network the last counts; before a network's services are balanced, its endpoints are
applied, so that no connection is sent to one that is not known yet.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from plumb.agent.cluster.stream.events import Events
from plumb.agent.cluster.stream.services import StreamServices
from plumb.model.cluster import Encryption, RemoteEndpoint
from plumb.model.service.virtual import VirtualService

REST, LONGEST_REST = 2.0, 1.0
"""Rest after an application, in times that it took, and at most, seconds: what changes meanwhile is
one plan. So a host on which many others start containers spends a third of its time on them."""
BALANCE_REST = 0.25
"""Rest after services were balanced: as long as that took, and this at most, seconds."""
APPLY_AGAIN = 5.0
"""Seconds until what could not be applied to this host is tried again."""
TELL_AGAIN = 0.5
"""Seconds until managers are told again what none has taken down: tasks that end wait for it."""


class Source(Protocol):
    """Session, as far as what it brings is applied."""

    services: StreamServices

    def remotes(self, network: str) -> tuple[RemoteEndpoint, ...]:
        """Return the endpoints of a network on other nodes, as last known."""

    def acknowledge(self, revision: int) -> bool:
        """Tell the managers by which revision this node balances; True if they know."""

    def beat_now(self) -> None:
        """Renew the lease at once, and report what has changed with it."""


class Applier:
    """The threads; see the module.

    Args:
        source: where it comes from.
        events: applies it.
        complain: takes lines for the log.

    Attributes:
        keys: those that the managers have told last; used: those that are in use.
        ingress: id of the ingress network, empty without one; None before it was told.
    """

    def __init__(self, source: Source, events: Events, complain: Callable[[str], None]) -> None:
        self._source, self._events, self._complain = source, events, complain
        self._ending, self._dirty = threading.Event(), threading.Condition()
        self._turn = threading.Lock()
        self._changed: set[str] = set()
        self._balanced = 0
        self.keys: Encryption | None = None
        self.used: Encryption | None = None
        self.ingress: str | None = None
        self._built: str | None = None
        self._under_way: set[str] = set()
        self._threads = [
            threading.Thread(target=run, name=run.__name__, daemon=True)
            for run in (self._applies, self._balances)
        ]

    def start(self) -> None:
        """Begin, in threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End."""
        self._ending.set()
        self.mark(set())

    def mark(self, networks: set[str]) -> None:
        """Take note of networks whose endpoints have changed or apply anew; look at all else."""
        with self._dirty:
            self._changed |= networks
            self._dirty.notify_all()

    # -- endpoints and keys --------------------------------------------------------------

    def _applies(self) -> None:
        """Apply what has changed, networks and keys."""
        while not self._ending.is_set():
            with self._dirty:
                self._dirty.wait_for(self._has_work, APPLY_AGAIN)
                networks, self._changed = self._changed, set()
                self._under_way = networks
            began = time.monotonic()
            used = self._use_keys() and self._use_ingress()
            failed = {network for network in networks if not self._apply(network)}
            self._under_way = set()
            if (failed or not used) and not self._ending.wait(APPLY_AGAIN):
                self.mark(failed)
            self._ending.wait(min(REST * (time.monotonic() - began), LONGEST_REST))

    def _has_work(self) -> bool:
        other = self.keys != self.used or self.ingress != self._built
        return bool(self._changed) or other or self._ending.is_set()

    def _use_ingress(self) -> bool:
        """Build this host's part in the ingress network that there is now."""
        wanted = self.ingress
        if wanted is None or wanted == self._built:
            return True
        try:
            self._events.on_ingress(wanted)
        except Exception as error:
            self._complain(f"cannot build the ingress network: {error}")
            return False
        self._built = wanted
        return True

    def _use_keys(self) -> bool:
        """Use the keys that the managers have told last, and report it at once."""
        keys = self.keys
        if keys is None or keys == self.used:
            return True
        try:
            self._events.on_keys(keys)
        except Exception as error:
            self._complain(f"cannot use the keys of encrypted networks: {error}")
            return False
        self.used = keys
        self._source.beat_now()
        return True

    def _apply(self, network: str) -> bool:
        """Apply a network's endpoints as they are by now, whichever thread asks; True if it did."""
        try:
            with self._turn:
                self._events.on_remote(network, self._source.remotes(network))
        except Exception as error:
            self._complain(f"cannot apply what changed in network {network[:12]}: {error}")
            return False
        return True

    # -- services ------------------------------------------------------------------------

    def _balances(self) -> None:
        """Balance services that have changed."""
        while not self._ending.is_set():
            with self._dirty:
                self._dirty.wait_for(self._has_services, APPLY_AGAIN)
            began = time.monotonic()
            if not self._ending.is_set() and not self._balance_all():
                self._ending.wait(TELL_AGAIN)
            self._ending.wait(min(time.monotonic() - began, BALANCE_REST))

    def _has_services(self) -> bool:
        services = self._source.services
        untold = services.revision != self._balanced and not services.failed
        return services.waits or untold or self._ending.is_set()

    def _balance_all(self) -> bool:
        """Balance, and tell the managers by which revision of the tasks; True if they know."""
        revision = self._source.services.balance(self._balance, self._complain)
        if revision and revision != self._balanced:
            if not self._source.acknowledge(revision):
                return False
            self._balanced = revision
        return True

    def _balance(self, network: str, services: tuple[VirtualService, ...]) -> None:
        with self._dirty:
            late = network in self._changed | self._under_way
            self._changed.discard(network)
        if late and not self._apply(network):
            self.mark({network})
        self._events.on_services(network, services)
