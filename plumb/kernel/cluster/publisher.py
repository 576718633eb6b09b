"""Endpoints of this node that its cluster process publishes, for the writer of their records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plumb.kernel import cluster_client

Row = dict[str, Any]
"""An endpoint: `id`, `network`, `mac`, `ip`, `ip6`, `names`, `sandbox` (`RemoteEndpoint`); node and
tunnel end are the process's to say."""


class Publisher:
    """A running cluster process.

    Args:
        folder: of its socket.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def rows(self) -> list[Row]:
        """List what it publishes."""
        return list(cluster_client.ask_running(self._folder, "published", {}))

    def publish(self, rows: Sequence[Row]) -> None:
        """Publish endpoints, or publish them anew; now, or as soon as a manager answers.

        Raises:
            PlumbError: a manager refuses them.
        """
        cluster_client.ask_running(self._folder, "publish", {"endpoints": list(rows)})

    def withdraw(self, endpoints: Sequence[str]) -> None:
        """Withdraw endpoints by their ids, now or as soon as a manager answers."""
        cluster_client.ask_running(self._folder, "withdraw", {"endpoints": list(endpoints)})
