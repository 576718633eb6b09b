"""Root's Podman without its API's service: its containers by the words of conmon."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plumb.engine.targets import TargetResolver
from plumb.foreign import others, podman_files, read_host
from plumb.foreign.values import Engine, ForeignContainer
from plumb.kernel.foreign import processes
from tests.labs import Lab
from tests.waiting import until

IDENT = "5f6e7d" * 10 + "abcd"
WORDS = ("--api-version", "1", "-c", IDENT, "-u", IDENT, "-n", "web")


@contextmanager
def watching(folder: Path, namespace: str) -> Iterator[int]:
    """A program of conmon's name and words, with a child in another namespace."""
    shutil.copy(sys.executable, folder / "conmon")
    child = f"nsenter --net={namespace} sleep 1000"
    code = f"import subprocess; subprocess.run({child.split()!r})"
    # Words behind a script's name are the script's, and are none of Python's.
    line = [str(folder / "conmon"), "-I", "-S", str(_script(folder, code)), *WORDS]
    with subprocess.Popen(line) as process:
        until(lambda: _first(process.pid), "the container's first process runs")
        yield process.pid
        subprocess.run(["kill", str(_first(process.pid)), str(process.pid)], check=True)


@pytest.fixture
def conmon(lan: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Conmon of a container web."""
    monkeypatch.setattr(others, "PODMAN_FOLDER", str(tmp_path))
    with watching(tmp_path, lan.lan) as pid:
        yield pid


def _script(folder: Path, code: str) -> Path:
    path = folder / "conmon.py"
    path.write_text(code)
    return path


def _first(pid: int) -> int:
    """The child that has become sleep; 0 until then."""
    return next(
        (each.pid for each in processes.running() if each.parent == pid and each.name == "sleep"), 0
    )


def test_a_container_has_its_name_and_namespace(conmon: int, lan: Lab) -> None:
    """As `podman ps` shows it, without a service that would answer."""
    (box,) = podmans()
    assert (box.name, box.member.box.id, box.pid) == ("web", IDENT, _first(conmon))
    assert processes.identity(box.member.place.ns) == processes.identity(lan.lan)
    with lan.host() as host:
        assert [each.box.name for each in TargetResolver(host).members] == ["web"]


def test_only_a_program_called_conmon_is_one(conmon: int) -> None:
    """Another program with the same words is none."""
    assert not podman_files.read([each for each in processes.running() if each.pid != conmon])


def test_podman_exec_is_no_container_of_its_own(
    conmon: int, lan: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It has a conmon of the same container, which was started later."""
    with watching(tmp_path_factory.mktemp("exec"), lan.lan):
        assert [each.pid for each in podmans()] == [_first(conmon)]


def podmans() -> list[ForeignContainer]:
    """Podman's containers on this host."""
    found = read_host.read().containers
    return [each for each in found if each.source.engine is Engine.PODMAN]
