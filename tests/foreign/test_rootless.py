"""Containers of a rootless engine: they are named, and what the host does not see is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
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
    with running([*AS_USER, *CONTAINER]) as process:
        until(lambda: user_namespaces.maker(process.pid) == USER, "the namespace is there")
        until(lambda: "sleep" in processes.command_line(process.pid)[0], "sleep runs")
        yield process.pid


@pytest.fixture
def stack(container: int) -> Iterator[int]:
    """A program in its place: what counts are its name, its user and its namespace."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = shutil.copy("/bin/sleep", f"{folder}/slirp4netns")
        with running([*AS_USER, program, "1000000"]) as process:
            until(lambda: _name(process.pid) == "slirp4netns", "the program runs")
            yield process.pid


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


def test_where_no_user_has_run_an_engine_no_process_is_read(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootless, "USERS", "/nonexistent")
    monkeypatch.setattr(rootless, "unseen", lambda running: pytest.fail("processes were read"))
    read_host.read()
