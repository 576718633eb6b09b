"""Whom a client sends its command to: a process of its own user, whatever the path looks like."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plumb.kernel import agent_socket
from tests import labs
from tests.labs import Lab
from tests.prefork.prefork_lab import install_launcher, said, start

NOBODY = 65534


@contextmanager
def listening_as_nobody(folder: Path, name: str, kind: int) -> Iterator[socket.socket]:
    """A socket that looks like root's, on which another user's process listens.

    As at a path that has become another one since it was looked at.
    """
    folder.mkdir()
    with socket.socket(socket.AF_UNIX, kind) as listener:
        listener.bind(f"{folder}/{name}")
        os.chmod(f"{folder}/{name}", 0o600)
        os.seteuid(NOBODY)
        try:
            listener.listen()
        finally:
            os.seteuid(0)
        yield listener


@pytest.mark.parametrize("client", ["python", "launcher"])
def test_a_command_is_sent_to_its_own_users_process_alone(tmp_path: Path, client: str) -> None:
    """What listens answers with a command, which the caller would execute: as root."""
    with labs.lab() as made:
        lab = Lab(tmp_path / "root", made.netns)
        if client == "launcher":
            lab.launcher = install_launcher(tmp_path)
        command = (agent_socket.COMMAND, socket.SOCK_SEQPACKET)
        with listening_as_nobody(lab.root, *command) as listener:
            status, out, _ = said(start(lab, "version"))
            listener.setblocking(False)
            calls = 0
            while True:
                try:
                    conn, _ = listener.accept()
                except BlockingIOError:
                    break
                calls += 1
                assert conn.recv(1) == b"", "it was told nothing"
                conn.close()
        assert calls
        assert (status, out.split()[0]) == (0, "plumb")


def test_an_agent_is_of_the_callers_user(tmp_path: Path) -> None:
    """As what it answers is believed."""
    agent = (agent_socket.SOCKET, socket.SOCK_STREAM)
    with (
        listening_as_nobody(tmp_path / "root", *agent),
        pytest.raises(PermissionError, match="another user's process listens"),
    ):
        agent_socket.connect(str(tmp_path / "root"), 1)
