"""A command that asks the cluster process waits for work, however long, and not for silence."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from plumb.agent.cluster import signs_of_life
from plumb.agent.cluster.local import LocalServer
from plumb.errors import KernelRefused
from plumb.kernel import agent_socket, cluster_client

SILENCE = 2.0
"""Seconds that a command bears here."""


class SlowMember:
    """A node whose answer takes longer than a command bears silence."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def ask(self, name: str, body: dict[str, Any]) -> str:
        """Answer late."""
        threading.Event().wait(self.seconds)
        return "done"


@contextmanager
def process(folder: Path, seconds: float) -> Iterator[None]:
    """Serve a folder's socket, as the cluster process does."""
    listener, member = agent_socket.listen(str(folder)), SlowMember(seconds)
    slow: Any = member
    server = LocalServer(listener, slow, print)
    threading.Thread(target=server.run, daemon=True).start()
    with listener:
        yield


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command bear two seconds of silence."""
    monkeypatch.setattr(cluster_client, "ANSWER", SILENCE)


def test_a_process_that_works_on_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs_of_life, "EVERY", SILENCE / 20)
    with process(tmp_path, 2 * SILENCE):
        assert cluster_client.ask_running(str(tmp_path), "networks", {}) == "done"


def test_a_process_that_is_silent_is_not_waited_for(tmp_path: Path) -> None:
    with process(tmp_path, 3600.0), pytest.raises(KernelRefused) as refused:
        cluster_client.ask_running(str(tmp_path), "networks", {})
    assert refused.value.errno == errno.ETIMEDOUT
