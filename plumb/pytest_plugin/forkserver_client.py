"""pytest's end of the forkserver.

One process that makes hosts, started when the first is asked for, ended with pytest.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from typing import Any

from plumb.errors import PlumbError
from plumb.kernel.netns import fake_host
from plumb.pytest_plugin import rpc

MODULE = "plumb.pytest_plugin.lab_process.forkserver"


class Lost(PlumbError):
    """A process that a lab lives by has gone."""


class RpcChannel:
    """A stream to a process that answers requests in their order; threads take turns."""

    def __init__(self, stream: socket.socket, what: str) -> None:
        self._stream, self._what = stream, what
        self._turn = threading.Lock()
        # an answer was not waited for (Ctrl-C, a timeout), so that the next would be taken for
        # another
        self.cut = False

    def ask(self, value: Any, descriptors: list[int] | None = None) -> tuple[Any, list[int]]:
        """Send a request; what is answered, with the descriptors beside it.

        Raises:
            PlumbError: it was refused.
            Lost: nobody is there to answer.
        """
        __tracebackhide__ = True
        with self._turn:
            if self._stream.fileno() < 0:
                raise Lost(f"{self._what} has been closed", "it lives as long as its fixture")
            if self.cut:
                raise Lost(
                    f"{self._what} was interrupted in the middle of an answer",
                    "it can only be closed",
                )
            self.cut = True
            try:
                rpc.send(self._stream, value, descriptors or [])
                return self.hear()
            except (ConnectionError, EOFError) as error:
                raise Lost(f"{self._what} has ended", "was it killed?") from error

    def hear(self) -> tuple[Any, list[int]]:
        """The next answer; an error is raised again."""
        __tracebackhide__ = True
        value, given = rpc.receive(self._stream)
        self.cut = False
        if isinstance(value, rpc.Raised):
            for descriptor in given:
                os.close(descriptor)
            raise value.error()
        return value, given

    def close(self) -> None:
        """Hang up."""
        self._stream.close()

    @property
    def descriptor(self) -> int:
        """The stream's, -1 when it is closed."""
        return self._stream.fileno()


class LabHandle:
    """A fake host: how to ask it, its first process, and how to end it.

    Attributes:
        pid: of its first process, as pytest's own namespace numbers it; process: its pidfd.
    """

    def __init__(self, line: RpcChannel, pid: int, process: int) -> None:
        self.line, self.pid, self.process = line, pid, process

    def end(self) -> None:
        """Kill all that is in there, and wait for it; once is enough."""
        if self.process >= 0:
            fake_host.end(self.process)
            os.close(self.process)
            self.line.close()
            self.process = -1

    @property
    def descriptors(self) -> set[int]:
        """File descriptors that pytest holds for the lab."""
        return {self.line.descriptor, self.process} - {-1}


class Forkserver:
    """The process that makes hosts."""

    def __init__(self) -> None:
        own, its = socket.socketpair()
        try:
            self.process = fake_host.launch(MODULE, its.fileno())
        finally:
            its.close()
        self.line = RpcChannel(own, "the process that makes lab hosts")
        try:
            self.line.hear()
            self._be_watched(own)
        except BaseException:
            self.close()
            raise

    def _be_watched(self, line: socket.socket) -> None:
        """Tell it whose end is its own.

        Pytest's, and for a worker of xdist that of the pytest which has started it as well.
        """
        pids = [os.getpid(), *([os.getppid()] if "PYTEST_XDIST_WORKER" in os.environ else [])]
        descriptors = [os.pidfd_open(pid) for pid in pids]
        try:
            rpc.send(line, "watch", descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def bear(self, settings: Mapping[str, Any]) -> LabHandle:
        """A new host.

        Args:
            settings: of plumb on it, with daemon.json's keys.

        Raises:
            PlumbError: the kernel refused.
        """
        __tracebackhide__ = True
        own, its = socket.socketpair()
        try:
            pid, (process,) = self.line.ask(("host", dict(settings)), [its.fileno()])
        except BaseException:
            own.close()
            raise
        finally:
            its.close()
        born = LabHandle(RpcChannel(own, "the lab's host"), pid, process)
        try:
            born.line.hear()
        except BaseException:
            born.end()
            raise
        return born

    def able(self, feature: str) -> tuple[bool, str]:
        """True if the kernel has a feature, by plumb's name for it; and a remark about it."""
        found: tuple[bool, str] = self.line.ask(("able", feature))[0]
        return found

    def close(self) -> None:
        """End it, and with it all hosts."""
        self.line.close()
        self.process.kill()
        self.process.wait()


class Shared:
    """The forkserver of this pytest process; a forked child of it would need one of its own."""

    def __init__(self) -> None:
        self._forkserver: Forkserver | None = None
        self._retired: list[Forkserver] = []
        self._owner = 0

    def __call__(self) -> Forkserver:
        """The forkserver, started if need be.

        One that was interrupted goes on for the sake of its labs, and makes no more.
        """
        if (
            self._forkserver is not None
            and self._owner == os.getpid()
            and self._forkserver.line.cut
        ):
            self._retired.append(self._forkserver)
            self._forkserver = None
        if self._forkserver is None or self._owner != os.getpid():
            self._forkserver, self._owner = Forkserver(), os.getpid()
        return self._forkserver

    def known(self) -> tuple[set[int], set[int]]:
        """The descriptors that pytest holds of it, and its pid.

        Nothing where it was not started.
        """
        all_of_them = [*self._retired, *([self._forkserver] if self._forkserver else [])]
        return {each.line.descriptor for each in all_of_them}, {
            each.process.pid for each in all_of_them
        }

    def close(self) -> None:
        """End it, if it was started here."""
        if self._owner == os.getpid():
            for each in (*self._retired, *([self._forkserver] if self._forkserver else [])):
                each.close()
        self._forkserver, self._retired = None, []


the: Shared = Shared()
