"""Prefork server: a process with all of plumb imported that runs commands in forks of itself.

Starting Python with all imports takes ten times as long as the command itself. So where there is an
agent, the first command makes it start one more process, which imports everything, and from then on
a command is a fork. It is the same `plumb.cli.main`, in a process that has taken over everything of
its caller that a program can observe: arguments, environment, working directory, namespaces,
limits, signals, and the very file descriptors of its standard streams. If some of that cannot be
taken over, the worker tells the caller before it does anything, and the command runs in the
caller's own process, as it does where there is no agent.

    caller (prefork.client)           agent                        prefork server
    ── request ─────────────────────▶ not yet: closes, starts ───▶ imports
    ── request ─────────────────────────────────────────────────▶ worker: accepts, adopts
    ◀─ willing ──────────────────────────────────────────────────
    ── streams, liveness pipe ──────────────────────────────────▶
    ◀─ begun, pidfd ──────────────────────────────────────────────  next worker is forked meanwhile
    ── signals ─────────────────────────────────────────────────▶
    ◀─ exit status, or: become this command, or: run it yourself ─

One worker waits already (a fork takes a millisecond, and its first steps ten: warm_up.py and
written_pages.py). The liveness pipe closes when the caller ends: SIGKILL to the caller thus kills
the command. A command survives the end of the agent, as it may be the command that ends the agent.

The server ends with the agent, after an hour without a command, and when plumb's files have
changed; the next command makes the agent start another. `ps` shows it as plumb-warm, with the
number of commands that it has run.
"""

from __future__ import annotations

import gc
import marshal
import os
import pkgutil
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

import plumb
from plumb import cli, root
from plumb.errors import PlumbError
from plumb.kernel import agent_socket
from plumb.kernel.netfilter import backends
from plumb.kernel.netfilter.libnftables import LIBRARY
from plumb.kernel.process import adopt, caller
from plumb.kernel.process.title import set_title
from plumb.prefork.client import (
    BECOME,
    BEGUN,
    COLD,
    LAUNCHER,
    MAX_DATAGRAM,
    STATUS,
    TIMEOUT,
    WILLING,
    Request,
    received,
)
from plumb.prefork.launchers import AskAgain, KnownLaunchers, begun
from plumb.prefork.own_files import OwnFiles
from plumb.prefork.streams import apply_request, flush
from plumb.prefork.warm_up import warm_up
from plumb.prefork.written_pages import WrittenPages

IDLE = 3600.0
"""Seconds without a command after which the server ends: it takes 40 MB."""
TAKEN, SERVED, STALE = b"t", b"s", b"o"
"""Reports of a worker: it has a caller; it has run the command; plumb's files have changed."""
NOT_LOADED = (
    "plumb.__main__",
    "plumb.compose",
    "plumb.probes",
    "plumb.pytest_plugin",
    "plumb.kernel.netfilter.iptables_legacy",
)
"""Modules that few commands import.

Scapy takes seconds, and only hosts with legacy tables have their C libraries.
"""
LEGACY = "plumb.kernel.netfilter.iptables_legacy.writer"
"""Module that commands import on hosts with legacy tables."""


def main() -> None:
    """Run the prefork server.

    Its arguments: the file descriptors of command.sock and of a pipe to write "ready" to, and the
    agent's pid. It reads the identity to serve from its input.
    """
    listener, ready, agent = (int(report) for report in sys.argv[1:4])
    adopt.end_with_parent(agent)
    os.setsid()
    set_title("plumb-warm")
    identity = os.fsdecode(sys.stdin.buffer.read())
    files = OwnFiles()
    load()
    warm_up()
    files.watch()
    PreforkServer(socket.socket(fileno=listener), identity, files).serve(ready)


# -- what it has in memory ---------------------------------------------------------------


def load() -> None:
    """Import every module that a command could import."""
    _load_package(plumb)
    if backends.variant() == "legacy":
        with suppress(PlumbError):  # a command that writes rules says what is missing
            import_module(LEGACY).library()
    adopt.preload(LIBRARY)


def _load_package(package: ModuleType) -> None:
    """Import a package's modules, without a look into packages that are not loaded."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not module.name.startswith(NOT_LOADED):
            loaded = import_module(module.name)
            if module.ispkg:
                _load_package(loaded)


# -- the warm process ---------------------------------------------------------------


class PreforkServer:
    """Process that forks workers.

    Args:
        listener: command.sock.
        identity: the identity of callers that it serves (`client.compose`).
        files: those that it has loaded.
    """

    def __init__(self, listener: socket.socket, identity: str, files: OwnFiles) -> None:
        self.listener, self.identity, self.files = listener, identity, files
        self.reports, self.report_writer = os.pipe()
        self.launchers = KnownLaunchers()
        self.pages = WrittenPages()
        self.served = 0

    def serve(self, ready: int) -> None:
        """Keep one idle worker at all times, until there is a reason to end.

        Args:
            ready: the pipe to write "ready" to.
        """
        gc.collect()
        gc.freeze()  # a collection would copy what forks share
        self.pages.rehearse(warm_up)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
        os.write(ready, b"ready")
        os.close(ready)
        idle_worker = self._fork()
        while reports := self._receive(idle_worker):
            if SERVED in reports:
                self.served += reports.count(SERVED)
                set_title(f"plumb-warm {self.served}")
            if STALE in reports:
                break
            if TAKEN in reports:
                os.close(idle_worker)
                idle_worker = self._fork()
        # The kernel ends the spare with this process, unless that has begun a command meanwhile.

    def _receive(self, idle_worker: int) -> bytes:
        """Receive workers' reports; empty if the idle worker was killed, or after `IDLE`."""
        poll = select.poll()
        for descriptor in (self.reports, idle_worker):
            poll.register(descriptor, select.POLLIN)
        found = [descriptor for descriptor, _ in poll.poll(IDLE * 1000)]
        return os.read(self.reports, 4096) if self.reports in found else b""

    def _fork(self) -> int:
        """Fork a worker, and return its pidfd.

        If it has ended already, a descriptor that poll() reports as it does an ended process.
        """
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                Worker(self).wait_for_command(parent)
            finally:
                os._exit(1)
        try:
            return os.pidfd_open(pid)
        except (
            ProcessLookupError
        ):  # it was taken and has ended, and nobody needed to wait for it; what it said is there
            return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


# -- its forks ---------------------------------------------------------------


class Worker(caller.Caller):
    """Fork of the prefork server: waits, then runs one command line.

    Args:
        server: the server that it is a fork of.
    """

    def __init__(self, server: PreforkServer) -> None:
        self._server = server
        self._client: socket.socket
        self._pid = 0
        self._count = SERVED

    # -- as the command sees it

    @property
    def pid(self) -> int:
        """Pid of the caller's process."""
        return self._pid

    def require_own_process(self) -> None:
        """Make the command run in the caller's own process: nothing was done yet."""
        raise caller.NotOwnProcess

    def become(self, spec: dict[str, Any]) -> None:
        """Make the caller become a command of a container.

        Raises:
            OSError: it could not enter the container.
        """
        message = BECOME + marshal.dumps(spec)
        if len(message) > MAX_DATAGRAM:
            raise caller.NotOwnProcess
        try:
            self._end_work()  # before that one lets go of the leash
            self._client.send(message)
        except OSError:  # it is too long for this socket
            raise caller.NotOwnProcess from None
        number, _, text = os.fsdecode(received(self._client)).partition(" ")
        if not number:
            os._exit(0)  # it has become the command
        raise OSError(int(number), text)

    # -- from the first to the last

    def wait_for_command(self, parent: int) -> NoReturn:
        """Wait for a caller, and run its command."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        adopt.end_with_parent(parent)
        os.close(self._server.reports)
        set_title("plumb-spare")
        waiting = select.poll()
        waiting.register(self._server.listener, select.POLLIN)
        self._server.pages.copy(lambda: bool(waiting.poll(0)))
        self._accept(waiting)
        self._report(TAKEN)
        try:
            request = self._receive()
            adopt.adopt(self._pid, request.blocked)
            self._take_streams(request)
            status = self._carry_out(request)
            self._end_work()
        except (OSError, ValueError, AskAgain):
            os._exit(1)  # hangs up: nothing was done
        except (caller.NotOwnProcess, adopt.CannotAdopt):
            status = -1
        self._client.send(STATUS + str(status).encode() if status >= 0 else COLD)
        os._exit(0)

    def _end_work(self) -> None:
        """Report the command, once, and learn of it."""
        if self._count:
            self._server.pages.learn()
        self._report(self._count)
        self._count = b""

    def _report(self, report: bytes) -> None:
        with suppress(OSError):  # it has ended
            os.write(self._server.report_writer, report)

    def _accept(self, waiting: select.poll) -> None:
        """Wait for a caller with permission. Others are disconnected, and cost no fork.

        Args:
            waiting: tells that somebody waits.
        """
        while True:
            waiting.poll()
            with suppress(OSError):  # it has hung up already
                self._client, _ = self._server.listener.accept()
                self._pid = agent_socket.trusted(self._client)
                if self._pid:
                    self._server.listener.close()
                    return
                self._client.close()

    def _receive(self) -> Request:
        """Receive the request.

        Raises:
            OSError, ValueError, CannotAdopt: it is not for this server.
            AskAgain: it could be for the next one, or for the caller's Python program to send.
        """
        self._client.settimeout(TIMEOUT)
        request = Request(received(self._client))
        if request.identity == LAUNCHER:
            self._server.launchers.complete(self._pid, request)
        elif request.identity != self._server.identity:
            self._server.launchers.refuse(self._pid, request)
            raise adopt.CannotAdopt
        if not self._server.files.unchanged():
            self._report(STALE)
            raise AskAgain
        if not adopt.same_mounts(self._pid, (root.IMPORT_PATH, sys.executable, *sys.path)):
            raise adopt.CannotAdopt
        self._server.launchers.learn(self._pid, request)
        return request

    def _take_streams(self, request: Request) -> None:
        """Take over the caller's streams, and end when the caller ends.

        Raises:
            OSError: the caller has ended already.
        """
        self._client.send(WILLING)
        _, descriptors, _, _ = socket.recv_fds(self._client, 1, 4, socket.MSG_CMSG_CLOEXEC)
        self._client.settimeout(None)
        *streams, liveness = descriptors
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        adopt.end_with_parent(0)
        adopt.end_with(liveness)
        message = BEGUN
        if request.identity == LAUNCHER:
            status = 125 if cli.first_verb(request.argv[1:]) == "run" else 1
            message = begun(sys.executable, root.IMPORT_PATH, status)
        socket.send_fds(self._client, [message], [os.pidfd_open(os.getpid())])

    def _carry_out(self, request: Request) -> int:
        """Run the command, and return its exit status."""
        try:
            caller.this = self
            apply_request(request)
            set_title("plumb")
            status = cli.main(request.argv[1:])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except KeyboardInterrupt:
            status = cli.complain("interrupted", "", 130)
        except Exception:
            import traceback

            traceback.print_exc()
            status = 1
        return flush(status)
