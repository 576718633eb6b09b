"""Root's Podman without its API's service: its containers by the words of conmon."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest

from plumb.engine.targets import TargetResolver
from plumb.errors import KernelRefused
from plumb.foreign import netavark, others, podman_files, read_host
from plumb.foreign.values import Engine, ForeignContainer
from plumb.frozen import replace
from plumb.kernel.foreign import processes
from tests.labs import Lab
from tests.programs import line, running
from tests.waiting import until

IDENT = "5f6e7d" * 10 + "abcd"
WORDS = ("--api-version", "1", "-c", IDENT, "-u", IDENT, "-n", "web")
EXIT = ("--exit-command", "/usr/bin/podman", "--exit-command-arg", "container")


@contextmanager
def watching(
    folder: Path, namespace: str, *, exits: Sequence[str] = EXIT, before: Sequence[str] = ()
) -> Iterator[int]:
    """A program of conmon's name and words, with a child in another namespace.

    Args:
        folder: a folder for it.
        namespace: the file of the child's namespace.
        exits: its words about the container's end.
        before: a command that runs it.
    """
    shutil.copy(sys.executable, folder / "conmon")
    child = f"nsenter --net={namespace} sleep 1000"
    code = f"import subprocess; subprocess.run({child.split()!r})"
    # Words behind a script's name are the script's, and are none of Python's.
    words = [str(folder / "conmon"), "-I", "-S", str(_script(folder, code)), *WORDS, *exits]
    with running([*before, *words]) as process:
        try:
            until(lambda: _conmon(process.pid), "conmon runs")
            conmon = _conmon(process.pid)
            until(lambda: _first(conmon), "the container's first process runs")
            yield conmon
        finally:
            _end(process)


def _conmon(pid: int) -> int:
    """The process of conmon's name that this one is, or has as its child; 0 until then."""
    every = processes.running()
    return next((p.pid for p in every if pid in (p.pid, p.parent) and p.name == "conmon"), 0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and those below it, the lowest first."""
    found = [process.pid]
    for each in found:
        found += [other.pid for other in processes.running() if other.parent == each]
    for pid in reversed(found):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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
    every = processes.running()
    assert podman_files.read(every)
    others = [replace(each, name="other") if each.pid == conmon else each for each in every]
    assert not podman_files.read(others)


def test_a_conmon_that_another_user_runs_is_none(
    conmon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can give a process this name."""
    monkeypatch.setattr(processes, "is_root_s", lambda pid: pid != conmon)
    assert not podman_files.read(processes.running())


@pytest.mark.parametrize("exits", [(), ("--exit-command", "/usr/bin/crio")])
def test_the_conmon_of_another_engine_is_none(
    lan: Lab, tmp_path: Path, exits: Sequence[str]
) -> None:
    """CRI-O watches over its containers by conmon, too."""
    with watching(tmp_path, lan.lan, exits=exits):
        assert not podman_files.read(processes.running())


def test_a_conmon_in_a_container_is_none(lan: Lab, tmp_path: Path) -> None:
    """Root in a container on the host's network may call a program anything."""
    with watching(tmp_path, lan.lan, before=("unshare", "--pid", "--fork")):
        assert not podman_files.read(processes.running())


@pytest.mark.parametrize(("name", "counts"), [("runc", 0), ("runc:[2:INIT]", 0), ("runcible", 1)])
def test_a_runtime_is_known_by_its_whole_name(conmon: int, name: str, counts: int) -> None:
    """A container's program may have a name that begins so."""
    every = processes.running()
    renamed = [replace(each, name=name) if each.parent == conmon else each for each in every]
    assert len(podman_files.read(renamed).containers) == counts


@pytest.mark.parametrize("name", ["runc", "crun", "conmon", "runc:[2:INIT]"])
def test_a_container_does_not_hide_by_a_runtime_s_name(
    conmon: int, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its process has another root folder, whatever it calls itself."""
    monkeypatch.setattr(processes, "same_root", lambda pid, other: pid == other)
    every = processes.running()
    renamed = [replace(each, name=name) if each.parent == conmon else each for each in every]
    assert len(podman_files.read(renamed).containers) == 1


def test_a_root_folder_is_a_process_s_own(tmp_path: Path) -> None:
    """One that has ended has none, and cannot be told from another."""
    code = "import os, sys; os.chroot(sys.argv[1]); print('in', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(tmp_path)]
    with running(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert line(process) == "in\n"
        assert not processes.same_root(process.pid, os.getpid())
        process.communicate(timeout=60)
    assert processes.same_root(os.getpid(), os.getpid())
    assert processes.same_root(process.pid, os.getpid())


def test_a_container_is_asked_for_its_own_ports() -> None:
    """Those that lead elsewhere are not looked at, of which a host has thousands."""
    target = ip_address("10.88.0.2")
    own = [("eth0", "", ip_interface("10.88.0.2/16"))]
    ports = {
        ip: [
            netavark.Forwarded(ip, 80, "tcp", "", port),
            netavark.Forwarded(ip, 80, "tcp", "", port),
        ]
        for ip, port in ((target, 8080), (ip_address("10.88.0.3"), 8081))
    }
    assert podman_files._published(own, ports) == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}


@pytest.mark.usefixtures("conmon")
def test_ports_that_are_not_read_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the host has more rules than plumb reads; containers are found all the same."""

    def refused() -> list[netavark.Forwarded]:
        raise KernelRefused("read the rules", 0, "more than 64 MiB")

    monkeypatch.setattr(netavark, "forwarded", refused)
    found = podman_files.read(processes.running())
    assert len(found.containers) == 1
    (said,) = found.missing
    assert said == (
        "published ports of Podman's containers: cannot read the rules: more than 64 MiB"
    )


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
