"""Answers of the cluster process: how long a command waits for one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from plumb.errors import KernelRefused
from plumb.kernel import agent_socket, cluster_client

DELAY = 0.5


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Folder of a process whose answers come later than commands wait for most of them."""
    monkeypatch.setattr(cluster_client, "ANSWER", DELAY / 5)
    ending = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / agent_socket.SOCKET))
        listener.listen()
        threading.Thread(target=_answer, args=(listener, ending), daemon=True).start()
        yield str(tmp_path)
        ending.set()


def _answer(listener: socket.socket, ending: threading.Event) -> None:
    for _ in range(2):
        client, _ = listener.accept()
        with client, suppress(OSError):  # who waited no longer has hung up
            client.recv(1 << 16)
            ending.wait(DELAY)
            client.send(b'{"answer": "node"}\n')


def test_to_come_into_a_cluster_may_take_longer(slow: str) -> None:
    """A manager's start is many steps, and a busy machine takes its time for each."""
    assert cluster_client.ask_running(slow, "join", {}) == "node"
    with pytest.raises(KernelRefused, match="ask this node's cluster process to status"):
        cluster_client.ask_running(slow, "status", {})
