"""A member of etcd's cluster as a child process, which ends when plumb's process ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from plumb.errors import Unsupported

LOG_LIMIT = 1 << 20
"""Bytes of a log, after which it begins anew."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "GOGC": "50"}
"""Nothing of the caller's environment: etcd takes each of its options from there as well.

With GOGC=50 its garbage collector runs earlier, which saves a third of the memory."""


class EtcdProcess:
    """A running etcd.

    The thread that makes it must live as long as it shall: PR_SET_PDEATHSIG is sent when the
    thread ends that has made the child (prctl(2)).

    Args:
        arguments: of etcd.
        folder: its working directory, in which it makes its client socket.
        log: the file for what it says.

    Raises:
        Unsupported: etcd is not installed.
    """

    def __init__(self, arguments: Sequence[str], folder: str, log: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._log = os.open(log, flags, 0o600)
        try:
            # setpriv (util-linux) asks for the signal between fork and exec, which Python cannot
            # do in a process with threads.
            self._child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", "etcd", *arguments],
                cwd=folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            os.close(self._log)
            raise Unsupported(
                f"cannot start etcd: {error.filename} is not installed",
                "apt-get install --no-install-recommends etcd-server util-linux",
            ) from None

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._child.pid

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; its exit status, None if it runs on."""
        with suppress(subprocess.TimeoutExpired):
            return self._child.wait(seconds)
        return None

    def trim(self) -> None:
        """Empty the log if it has grown long; etcd appends, so it goes on at the beginning."""
        if os.fstat(self._log).st_size > LOG_LIMIT:
            os.ftruncate(self._log, 0)

    def stop(self, seconds: float) -> None:
        """End it: SIGTERM, after that time SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                self._child.send_signal(number)
            if self.wait(seconds) is not None:
                break
        os.close(self._log)

    def discard(self) -> None:
        """Let go of what has ended by itself."""
        os.close(self._log)
