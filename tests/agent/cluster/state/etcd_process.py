"""etcd processes for tests: members on one loopback of their own, data in memory, killed by pid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plumb.agent.cluster.state.etcd import Etcd, UnixSocket
from plumb.agent.cluster.state.etcd.refusals import EtcdAway
from tests.needs import STRICT

READY = 60.0
"""Seconds for an etcd to start on a busy machine."""
MEMORY = "/dev/shm"


def require_etcd() -> None:
    """Skip a test where etcd is not installed, or fail it where everything should be."""
    if shutil.which("etcd"):
        return
    reason = "etcd is not installed: apt install etcd-server"
    if os.environ.get(STRICT):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@dataclass
class Member:
    """One etcd: its folder with socket and data, its number among the members."""

    folder: Path
    number: int
    namespace: int = 0
    cluster: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def peer(self) -> str:
        return f"http://127.0.0.1:{2380 + self.number}"

    @property
    def name(self) -> str:
        return f"m{self.number}"

    def client(self, **how: float) -> Etcd:
        return Etcd(UnixSocket(f"{self.folder}/etcd:0"), **how)

    def start(self) -> None:
        """Start it, the first one in a network namespace of its own, the others in that.

        An etcd that was killed leaves its socket, on which the next one could not listen.
        """
        (self.folder / "etcd:0").unlink(missing_ok=True)
        enter = ["unshare", "-n"]
        if self.namespace:
            enter = ["nsenter", "-t", str(self.namespace), "-n"]
        state = "existing" if self.cluster else "new"
        options = [
            f"--name={self.name}",
            "--data-dir=data",
            "--listen-client-urls=unix://etcd:0",
            "--advertise-client-urls=http://127.0.0.1:2379",
            f"--listen-peer-urls={self.peer}",
            f"--initial-advertise-peer-urls={self.peer}",
            f"--initial-cluster={self.cluster or f'{self.name}={self.peer}'}",
            f"--initial-cluster-state={state}",
            "--log-level=warn",
        ]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*enter, "sh", "-c", 'ip link set lo up; exec etcd "$@"', "etcd", *options],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait(self) -> None:
        """Wait until it has a leader."""
        deadline = time.monotonic() + READY
        with closing(self.client(timeout=5, patience=READY)) as etcd:
            while not _led(etcd):
                assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.05)

    def signal(self, number: int) -> None:
        assert self.process
        os.kill(self.process.pid, number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def kill(self) -> None:
        """Kill it at once, as a crash does."""
        if self.process:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


def _led(etcd: Etcd) -> bool:
    try:
        return bool(etcd.status().leader)
    except EtcdAway:
        return False


@dataclass
class Members:
    """The members of one cluster."""

    folder: Path
    each: list[Member] = field(default_factory=list)

    def add(self) -> Member:
        """Make one more, which is not started yet."""
        number = len(self.each)
        folder = self.folder / str(number)
        folder.mkdir()
        first = self.each[0].process if self.each else None
        made = Member(folder, number, first.pid if first else 0)
        self.each.append(made)
        if number:
            made.cluster = ",".join(f"{one.name}={one.peer}" for one in self.each)
        return made


@contextmanager
def members() -> Iterator[Members]:
    """A running etcd of one member, and whatever is added to it."""
    require_etcd()
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    made = Members(Path(tempfile.mkdtemp(prefix="plumb-etcd-", dir=where)))
    try:
        first = made.add()
        first.start()
        first.wait()
        yield made
    finally:
        for member in made.each:
            member.kill()
        shutil.rmtree(made.folder, ignore_errors=True)
