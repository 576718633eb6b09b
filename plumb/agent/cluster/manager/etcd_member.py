"""A manager's member of etcd: its options, its supervision.

Clients reach it by a Unix socket in a folder that only root may enter, and nobody else can.
Members reach each other at ADDRESS:2380, by TLS with certificates of an authority that signs for
nobody else (`pki`); a node's certificate opens nothing there.

A member that ends is started again, after a pause that grows from a tenth of a second to ten.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress

from plumb import root
from plumb.address import IPAddress
from plumb.errors import KernelRefused
from plumb.frozen import frozen
from plumb.kernel.cluster.etcd_process import EtcdProcess

PEER_PORT = 2380
SOCKET = "etcd:0"
"""Name of the client socket: etcd takes `unix://NAME:PORT`, and makes a file of that name."""
PAUSES = (0.1, 10.0)
"""Seconds before a member that has ended is started again: the first time, and at most."""
STEADY = 30.0
"""Seconds of running after which the pause is the first one again."""
GRACE = 5.0
CHECK_INTERVAL = 5.0
STATE_NEW, STATE_EXISTING = "new", "existing"


@frozen
class MemberFiles:
    """Paths of a member.

    Attributes:
        folder: with the client socket and the log.
        data: etcd's own.
        certificate, key, authority: PEM files for its peers.
    """

    folder: str
    data: str
    certificate: str
    key: str
    authority: str

    @property
    def socket(self) -> str:
        """The client socket."""
        return f"{self.folder}/{SOCKET}"


def peer_url(address: IPAddress) -> str:
    """The URL at which peers reach a member."""
    return (
        f"https://[{address}]:{PEER_PORT}"
        if address.version == 6
        else (f"https://{address}:{PEER_PORT}")
    )


def arguments(
    files: MemberFiles,
    name: str,
    advertised: IPAddress,
    listening: IPAddress,
    initial: str,
    state: str,
) -> list[str]:
    """Options of etcd.

    Args:
        files: the member's.
        name: the node's id.
        advertised: the address at which peers reach it.
        listening: the address it listens on.
        initial: all members as NAME=URL,…; only a member without data reads it.
        state: "new" for the first member, "existing" for one that joins.
    """
    return [
        "--name", name,
        "--data-dir", files.data,
        "--listen-client-urls", f"unix://{SOCKET}",
        # There is no TCP port for clients; etcd refuses to start without a URL to tell them.
        "--advertise-client-urls", "http://127.0.0.1:2379",
        "--listen-peer-urls", peer_url(listening),
        "--initial-advertise-peer-urls", peer_url(advertised),
        "--initial-cluster", initial,
        "--initial-cluster-state", state,
        "--peer-cert-file", files.certificate,
        "--peer-key-file", files.key,
        "--peer-trusted-ca-file", files.authority,
        "--peer-client-cert-auth",
        # A second and a half without a word from the leader, and another one is elected.
        "--heartbeat-interval",
        "150",
        "--election-timeout",
        "1500",
        # What was overwritten an hour ago is forgotten; a watcher that was away for longer lists.
        "--auto-compaction-mode", "periodic",
        "--auto-compaction-retention", "1h",
        "--snapshot-count", "5000",
        "--logger", "zap",
        "--log-outputs", "stderr",
        "--log-level", "warn",
    ]  # fmt: skip


class EtcdMember:
    """A supervised member.

    Args:
        files: its paths.
        options: etcd's, as `arguments` makes them.
        complain: takes a line for the log.
    """

    def __init__(
        self, files: MemberFiles, options: list[str], complain: Callable[[str], None]
    ) -> None:
        self.files, self._options, self._complain = files, options, complain
        self._ending, self._started = threading.Event(), threading.Event()
        self._process: EtcdProcess | None = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._supervise, name="etcd", daemon=True)

    def start(self) -> None:
        """Start it, and return when there is a process.

        Raises:
            Unsupported: etcd is not installed.
        """
        root.make_folder(self.files.data, 0o700)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def pid(self) -> int:
        """The process's id, 0 without one."""
        process = self._process
        return process.pid if process is not None else 0

    def _supervise(self) -> None:
        pause = PAUSES[0]
        while not self._ending.is_set():
            lasted = self._run_once()
            if self._failure is not None:
                return
            pause = PAUSES[0] if lasted > STEADY else min(pause * 2, PAUSES[1])
            self._ending.wait(pause)

    def _run_once(self) -> float:
        """Run etcd until it ends or shall end; how long that was, in seconds."""
        with suppress(FileNotFoundError):
            os.unlink(self.files.socket)  # one that was killed has left it, and cannot bind it
        try:
            process = EtcdProcess(self._options, self.files.folder, f"{self.files.folder}/etcd.log")
        except Exception as error:
            self._failure = error
            self._started.set()
            return 0.0
        self._process = process
        self._started.set()
        lasted = 0.0
        while not self._ending.is_set():
            status = process.wait(CHECK_INTERVAL if lasted else 0.5)
            if status is not None:
                self._complain(f"etcd (pid {process.pid}) ended with status {status}")
                self._process = None
                process.discard()
                return lasted
            lasted += CHECK_INTERVAL
            process.trim()
        process.stop(GRACE)
        self._process = None
        return lasted

    def stop(self) -> None:
        """End it, and wait for its end."""
        self._ending.set()
        process = self._process
        if process is not None:
            with suppress(OSError):
                os.kill(process.pid, 15)  # the supervisor waits for its end already
        self._thread.join()

    def erase(self) -> None:
        """Remove its data; it must have ended."""
        shutil.rmtree(self.files.data, ignore_errors=True)


def wait_ready(etcd_ready: Callable[[], bool], member: EtcdMember, seconds: float) -> None:
    """Wait until a member answers.

    Args:
        etcd_ready: asks it.
        member: the process.
        seconds: how long it may take.

    Raises:
        KernelRefused: it does not answer in time.
    """
    pause = threading.Event()
    for _ in range(max(1, int(seconds / 0.02))):
        if etcd_ready():
            return
        pause.wait(0.02)
    raise KernelRefused(
        "start etcd", 0, "it does not answer", f"its log is {member.files.folder}/etcd.log"
    )
