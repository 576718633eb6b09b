"""What other programs' processes say of themselves, and how much of it plumb believes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plumb.foreign import docker_files
from plumb.foreign.docker_files import Shim
from plumb.kernel.foreign import processes
from plumb.kernel.foreign.processes import Process
from tests import programs
from tests.labs import Lab
from tests.waiting import until

NOBODY = 65534
RUNC = "sh -c 'printf runc > /proc/$$/comm; sleep 1000; true'"


@contextmanager
def shim(ident: str, *children: str, user: int = 0) -> Iterator[list[Process]]:
    """A process that calls itself a shim of Docker's, with programs as its children, in order."""
    started = "".join(f"{each} & " for each in children)
    script = f"printf containerd-shim > /proc/$$/comm; {started}wait"
    words = ["sh", "-c", script, "sh", "-namespace", "moby", "-id", ident]
    process = subprocess.Popen(words, start_new_session=True, user=user, cwd="/")

    def found() -> list[Process]:
        return [each for each in processes.running() if each.parent == process.pid]

    try:
        until(lambda: [each.name for each in found()] == [_name(each) for each in children])
        yield found()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _name(line: str) -> str:
    return "runc" if line == RUNC else line.split()[0]


def containers() -> list[Shim]:
    """The containers of this lab."""
    return list(docker_files.shims(processes.running()))


def test_a_container_is_the_oldest_child_of_its_shim(lab: Lab) -> None:
    """What `docker exec` runs is a child, too, and so is runc while it works."""
    with shim("a1b2", RUNC, "sleep 1000", "sleep 1001") as children:
        assert containers() == [Shim("moby", "a1b2", children[1].pid)]


@pytest.mark.parametrize("ident", ["../../tmp/x", "a/b", "", "a\nb", "a" * 256, "-x"])
def test_an_id_is_no_path(lab: Lab, ident: str) -> None:
    """It names a folder below Docker's."""
    with shim(ident, "sleep 1000"):
        assert containers() == []


def test_a_shim_is_root_s(lab: Lab) -> None:
    """Anybody can call a process so."""
    with shim("a1b2", "sleep 1000", user=NOBODY):
        assert containers() == []


def test_a_mounted_file_s_path_is_bytes(tmp_path: Path) -> None:
    """Of no encoding, perhaps."""
    folder, target = os.fsencode(tmp_path) + b"/latin\xe9", tmp_path / "resolv.conf"
    os.mkdir(folder)
    for each in (folder + b"/resolv.conf", target):
        Path(os.fsdecode(each)).touch()
    line = b'mount --bind "$0" "$1" && echo ready && exec cat'
    words: list[str | Path] = ["unshare", "--mount", "sh", "-c", os.fsdecode(line)]
    words += [os.fsdecode(folder + b"/resolv.conf"), target]
    with programs.running(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert programs.line(holder) == "ready\n"
        (found,) = processes.bind_source(holder.pid, str(target))

    assert os.fsencode(found).endswith(b"/latin\xe9/resolv.conf")


@pytest.mark.parametrize(
    "line", ["dockerd --exec-root /x -H fd://", "dockerd -H fd:// --exec-root=/x"]
)
def test_an_option_has_its_value_behind_it_or_behind_its_sign(line: str) -> None:
    """Go's and GNU's command lines take both."""
    assert processes.option(line.split(), "--exec-root") == "/x"
    assert processes.option(line.split(), "--exec") == processes.option([], "--exec-root") == ""
