"""Budget of the agent's file descriptors, computed from RLIMIT_NOFILE.

    reserve     promises (a held port costs one, a DNS server two), commands' connections, pipes of
                the proxy, and new ports: a quarter of the limit
    proxies     connections and flows through published ports: three quarters of the rest
    names       TCP clients and forwarded queries of the embedded DNS: the last quarter of it

Load is shed, promises are kept: where promises take more than half of the reserve, clients get less
for each further one, so that the next port can be published. Of the limit the agent uses 262,144 at
most, as each proxied connection also costs some 10 KiB of memory, its and the kernel's.

With systemd's limit of 524,288 one port may have 55,000 connections; with 1,024 it has 180.
"""

from __future__ import annotations

import resource
import time
from typing import Any

from plumb.agent.proxy.splice import Pool
from plumb.agent.shares import NEVER, Shares

MAX_LIMIT = 1 << 18
"""Descriptors that the agent uses, at most."""
CONTROL = 128
"""Descriptors for commands: two for each session that the control socket may have."""
LEAST = 8
"""Descriptors that clients may have even if promises take all the others."""


class Budget:
    """Descriptors of the process, and their shares.

    Args:
        limit: descriptors that the process may have.

    Attributes:
        proxies: shares of published ports.
        names: shares of DNS servers; a query that waits for an upstream server is silent, and still
            not closed for another of the same sandbox.
        pipes: the pipes of the proxy.
        promised: descriptors of held ports and DNS servers.
    """

    def __init__(self, limit: int = MAX_LIMIT) -> None:
        self.limit = limit
        self._clients = max(limit * 3 // 4 - CONTROL, limit // 2)
        self.promised = 0
        self.proxies, self.names = Shares(0), Shares(0, NEVER)
        self.pipes = Pool(max(2, limit // 32))
        self._divide()

    def promise(self, descriptors: int) -> None:
        """Count descriptors of promises that were made, or (negative) are kept no more."""
        self.promised += descriptors
        self._divide()

    def usage(self) -> dict[str, Any]:
        """Describe the budget as JSON: bounds, what is in use, and what each party has met."""
        now = time.monotonic()
        return {
            "limit": self.limit,
            "promised": self.promised,
            "proxies": _described(self.proxies, now),
            "names": _described(self.names, now),
        }

    def _divide(self) -> None:
        reserve = self.limit - self._clients
        clients = max(LEAST, self._clients - max(0, self.promised - reserve // 2))
        self.names.capacity = clients // 4
        self.proxies.capacity = clients - clients // 4


def _described(shares: Shares, now: float) -> dict[str, Any]:
    return {
        "capacity": shares.capacity,
        "used": shares.used,
        "parties": [
            {
                "name": party.name,
                "used": party.used,
                "bound": party.bound,
                "greatest": [party.greatest.name, party.greatest.used] if party.greatest else [],
                "refused": party.refused,
                "closed": party.closed,
                "hits": {bound.value: hits for bound, hits in party.hits.items()},
                "seconds": now - party.last_hit if party.last_hit else None,
            }
            for party in shares.parties.values()
            if party.used or party.last_hit
        ],
    }


def raised_limit() -> int:
    """Raise the limit of file descriptors to its maximum.

    Returns:
        The number that the agent may use.
    """
    maximum = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    return min(maximum, MAX_LIMIT)
