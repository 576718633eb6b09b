"""Killed: a pytest that is shot dead in the middle of a test leaves nothing, with nobody to clean
up after it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import REPOSITORY, labs
from tests.host.trial_hosts import MARK
from tests.labs import sh
from tests.plugin.runs import arguments
from tests.programs import running
from tests.waiting import until

MIDDLE = """
    import json, os, sys, time

    def test_it(lab, lab_factory):
        with lab_factory() as other:
            other.container("other", networks=other.network("net"))
            net = lab.network("net", ipv6=True)
            web = lab.container("web", networks=net, publish=["8080:80"], command="sleep 600")
            client = lab.lan().client
            lab.cli("ps")               # the agent starts a warm process
            lab.cli("ps")
            web.popen("setsid sh -c 'setsid sleep 600 & sleep 600'")
            client.popen([sys.executable, "-m", "http.server", "80"], ready=80)
            lab.host.popen("sleep 600")
            # A veth pair from the real host into the lab goes when the lab's network goes.
            inside = f"/proc/{lab.born.pid}/ns/net"
            os.system(f"ip link add canary0 type veth peer name canary1 netns {inside}")
            hosts = [lab.born.pid, other.born.pid]
            kinds = ("net", "mnt", "pid")
            names = [os.readlink(f"/proc/{pid}/ns/{kind}") for pid in hosts for kind in kinds]
            names.append(web.call(os.readlink, "/proc/self/ns/net"))
            with open("middle.new", "w") as file:
                json.dump({"pytest": os.getpid(), "hosts": hosts, "namespaces": names}, file)
            os.rename("middle.new", "middle")
            web.call(time.sleep, 600, seconds=600)
"""


@dataclass
class Middle:
    """A run in the middle of its test.

    Attributes:
        pytest, hosts: pids; namespaces: what its labs are made of.
        mark: is in the environment of all that it has started.
        moment: ticks since the boot: the kernel gives the number of a namespace that has gone to a
            new one, and who is in that was started later.
    """

    pytest: int
    hosts: list[int]
    namespaces: list[str]
    mark: str
    folder: Path
    run: subprocess.Popen[bytes] = field(repr=False)
    moment: float = field(
        default_factory=lambda: time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
    )

    def processes(self) -> list[str]:
        """What runs that it has started, or is in one of its namespaces, other than itself."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    mine = self.mark.encode() in (entry / "environ").read_bytes()
                    within = {
                        os.readlink(entry / f"ns/{kind}") for kind in ("net", "mnt", "pid")
                    } & set(self.namespaces)
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                    if mine or (within and int(stat[19]) <= self.moment):
                        found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
                except OSError:
                    continue
        return found


@contextmanager
def middle(folder: Path, *more: str) -> Iterator[Middle]:
    """A pytest run that has come to the middle of its test, on the host that the calling thread is
    on."""
    (folder / "tmp").mkdir()
    (folder / "test_it.py").write_text("\n".join(line[4:] for line in MIDDLE.splitlines()))
    mark = str(uuid.uuid4())
    environment = {
        **os.environ,
        MARK: mark,
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(REPOSITORY),
    }
    command = arguments("-q", "-p", "no:tmpdir", *more)
    with running(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as run:
        until(
            lambda: (folder / "middle").exists() or run.poll() is not None, "the middle of the test"
        )
        assert run.poll() is None, run.communicate(timeout=60)[0].decode()
        found = json.loads((folder / "middle").read_text())
        yield Middle(found["pytest"], found["hosts"], found["namespaces"], mark, folder, run)


@pytest.fixture(autouse=True)
def real_host() -> Iterator[None]:
    """A host that plays the one which pytest runs on."""
    with labs.lab():
        yield


def test_a_killed_pytest_leaves_nothing(tmp_path: Path) -> None:
    """kill -9 of pytest.

    All processes end, all namespaces are gone, nothing is mounted, no file is left.
    """
    mounts, host = labs.mounts(), labs.state()
    with middle(tmp_path) as run:
        assert len(run.processes()) > 10
        assert "canary0" in sh("ip link")
        os.kill(run.pytest, signal.SIGKILL)
        until(lambda: not run.processes(), run.processes)
        until(lambda: "canary0" not in sh("ip link"), "the lab's network to be taken down")

        assert labs.mounts() == mounts
        assert labs.state() == host
        assert list((tmp_path / "tmp").iterdir()) == []


def test_a_killed_pytest_with_workers_leaves_nothing(tmp_path: Path) -> None:
    """kill -9 of the pytest that has started a worker.

    The worker's labs end at once, and it when it has noticed.
    """
    pytest.importorskip("xdist")
    with middle(tmp_path, "-n", "1") as run:
        os.kill(run.run.pid, signal.SIGKILL)
        until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in run.hosts), "the hosts to end"
        )
        until(lambda: not run.processes(), run.processes)


def test_a_killed_forkserver_takes_the_labs_along(tmp_path: Path) -> None:
    """kill -9 of the process that makes hosts: they end with it, and pytest can say so."""
    with middle(tmp_path) as run:
        forkserver = int(
            Path(f"/proc/{run.hosts[0]}/stat").read_text().rpartition(")")[2].split()[1]
        )
        os.kill(forkserver, signal.SIGKILL)
        until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in run.hosts), "the hosts to end"
        )
        said, _ = run.run.communicate(timeout=300)

    # Whether the call into the container had begun by then is a matter of time.
    assert re.search("the function has ended its process|Lost: .* has ended", said.decode())


def test_an_interrupted_pytest_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C ends pytest as always, and the labs with it."""
    with middle(tmp_path) as run:
        os.kill(run.pytest, signal.SIGINT)
        said, _ = run.run.communicate(timeout=300)

        assert "KeyboardInterrupt" in said.decode()
        until(lambda: not run.processes(), run.processes)
