"""Containers of a rootless engine: they are named, and what the host does not see is said."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from plumb.foreign import read_host, rootless
from plumb.kernel.foreign import processes, user_namespaces
from tests import labs
from tests.doctor import faults
from tests.labs import Lab
from tests.programs import running
from tests.waiting import until

USER = 12_345
"""An ordinary user, whom no other test has."""
CONTAINER = ("unshare", "--user", "--map-root-user", "--net", "sleep", "1000000")
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A host with the folder of a user who has run Podman."""
    (tmp_path / str(USER) / "libpod").mkdir(parents=True)
    monkeypatch.setattr(rootless, "USERS", str(tmp_path))
    with labs.lab() as made:
        yield made


@pytest.fixture
def container(lab: Lab) -> Iterator[int]:
    """A process of the user's in a user namespace and a network namespace of its own."""
    refused = subprocess.run([*AS_USER, *CONTAINER[:-2], "true"], capture_output=True, check=False)
    if refused.returncode:
        pytest.skip(f"an ordinary user may make no user namespace: {refused.stderr.decode()}")
    with program("conmon", "/bin/sh", "-c", f"{shlex.join(CONTAINER)} & wait") as keeper:
        until(lambda: _below(keeper), "the container is there")
        (pid,) = _below(keeper)
        try:
            until(lambda: user_namespaces.maker(pid) == USER, "the namespace is there")
            until(lambda: "sleep" in processes.command_line(pid)[0], "sleep runs")
            yield pid
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _below(pid: int) -> list[int]:
    return [each.pid for each in processes.running() if each.parent == pid]


@contextmanager
def program(name: str, file: str, *words: str) -> Iterator[int]:
    """Run a program of the user's under another name."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copied = shutil.copy(os.path.realpath(file), f"{folder}/{name}")
        with running([*AS_USER, copied, *words]) as process:
            until(lambda: _name(process.pid) == name, "the program runs")
            yield process.pid


@pytest.fixture
def stack(container: int) -> Iterator[int]:
    """A program in its place: what counts are its name, its user and its namespace."""
    with program("slirp4netns", "/bin/sleep", "1000000") as pid:
        yield pid


def _name(pid: int) -> str:
    found = processes.process(pid)
    return found.name if found else ""


def test_they_are_named_with_the_program_that_is_their_network(container: int, stack: int) -> None:
    (said,) = read_host.read().missing
    assert f"uid {USER}, in pid:{container} (sleep): their network is" in said
    assert f"slirp4netns (pid {stack})" in said
    assert f"plumb trace pid:{container} TO" in said


def test_doctor_says_that_it_did_not_look_at_them(lab: Lab, container: int, stack: int) -> None:
    """No fault, and not "no problem found"."""
    (mine,) = faults.found(lab)
    assert mine.id == "not-read"
    assert any(f"uid {USER}" in each for each in mine.read)


def test_a_program_without_a_container_is_no_engine_s(stack: int, container: int) -> None:
    """As pasta in a shell of its own user's, whose namespace has ended."""
    os.kill(container, 9)
    until(lambda: processes.process(container) is None, "the container has ended")
    assert read_host.read().missing == ()


def test_a_sandbox_of_the_user_s_is_no_container(container: int, stack: int) -> None:
    """As a browser's, whose processes have namespaces of their own: it has no engine above it."""
    with running([*AS_USER, *CONTAINER]) as sandbox:
        until(lambda: user_namespaces.maker(sandbox.pid) == USER, "the namespace is there")
        until(lambda: not processes.in_this_namespace(sandbox.pid), "it has its own")
        (said,) = read_host.read().missing
        assert f"in pid:{container} (sleep): their network" in said
        os.kill(container, 9)
        until(lambda: processes.process(container) is None, "the container has ended")
        assert read_host.read().missing == ()


def test_where_no_user_has_run_an_engine_no_process_is_read(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootless, "USERS", "/nonexistent")
    monkeypatch.setattr(rootless, "unseen", lambda running: pytest.fail("processes were read"))
    read_host.read()
