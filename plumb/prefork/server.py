"""The warm process: has all of plumb imported, and carries out command lines in forks of itself.

A start of Python with all that a command imports takes ten times as long as the command. So where
there is an agent, the first command makes it start one process more, which imports everything, and
from then on a command is a fork. It is the same `plumb.cli.main`, in a process that has become like
its caller in all that a program can see: arguments, environment, folder, namespaces, limits,
signals, and the very descriptors of its standard streams. Whatever cannot be so is told to the
caller before anything was done, and the caller goes on by itself, as it does where there is no
agent.

    caller (kernel.request)                             agent                       warm process
    ────── request ─────────────────────────────────▶   not yet: hangs up, starts ─▶ imports
    ────── request ─────────────────────────────────────────────────────────────▶   spare fork: accepts, becomes alike
    ◀───── willing ──────────────────────────────────────────────────────────────
    ────── streams, leash ──────────────────────────────────────────────────────▶
    ◀───── begun, pidfd ──────────────────────────────────────────────────────────  another spare is forked meanwhile
    ────── signals ─────────────────────────────────────────────────────────────▶
    ◀───── exit status, or: become this command, or: go on yourself ──────────────

One fork stands by already (a fork takes a millisecond, and its first steps as long again). The
leash is a pipe that closes with the caller: who kills that with SIGKILL has killed the command. A
command lives on when the agent ends, as it may be what ends the agent.

The process ends with the agent, when it has had nothing to do for an hour, and when plumb's files
have changed; the next command makes the agent start another. `ps` calls it plumb-warm, with the
number of command lines that it has carried out.
"""

from __future__ import annotations

import gc
import io
import marshal
import os
import pkgutil
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import plumb
from plumb import cli
from plumb.kernel import agent_socket
from plumb.kernel.netfilter import backends
from plumb.kernel.netfilter.libnftables import LIBRARY
from plumb.kernel.process import adopt, caller
from plumb.prefork.client import (
    BECOME,
    BEGUN,
    COLD,
    LARGEST,
    PATIENCE,
    STATUS,
    WILLING,
    Request,
    received,
)

IDLE = 3600.0
"""Seconds without a command after which it ends: it takes 40 MB."""
TAKEN, SERVED, STALE = b"t", b"s", b"o"
"""What forks say to the warm process: I am no spare any more; a command was carried out.

Plumb's files are others by now.
"""
LEFT_OUT = (
    "plumb.__main__",
    "plumb.probes",
    "plumb.pytest_plugin",
    "plumb.kernel.netfilter.python_iptables",
)
"""What no command imports, or few.

Scapy takes seconds, the legacy tables' C libraries are for hosts that have them.
"""
Files = dict[str, tuple[int, int]]


def main() -> None:
    """Be the warm process.

    Its arguments: the descriptors of command.sock and of a pipe to say "ready" on, and the agent's
    pid. It reads the identity to serve.
    """
    listener, ready, agent = (int(word) for word in sys.argv[1:4])
    adopt.end_with_parent(agent)
    os.setsid()
    agent_socket.title("plumb-warm")
    identity = os.fsdecode(sys.stdin.buffer.read())
    files = state_of(own_files())
    load()
    files |= state_of(libraries())
    Warm(socket.socket(fileno=listener), identity, files).serve(ready)


# -- what it has in memory ---------------------------------------------------------------


def load() -> None:
    """Import all that a command could import."""
    for module in pkgutil.walk_packages(plumb.__path__, "plumb."):
        if not module.name.startswith(LEFT_OUT):
            import_module(module.name)
    if backends.variant() == "legacy":
        import_module("iptc")
    adopt.preload(LIBRARY)


def own_files() -> list[str]:
    """The files of the package."""
    return [
        f"{folder}/{name}"
        for folder, _, names in os.walk(plumb.__path__[0])
        for name in names
        if name.endswith(".py")
    ]


def libraries() -> list[str]:
    """The folders where what plumb needs is installed.

    They change when something is installed, or another version of it.
    """
    return list(
        {
            os.path.dirname(os.path.dirname(file))
            for name in ("click", "pyroute2")
            if (file := getattr(sys.modules.get(name), "__file__", None))
        }
    )


def state_of(paths: list[str]) -> Files:
    """How files are now: when they were changed, and their size."""
    found = {}
    for path in paths:
        try:
            now = os.stat(path)
        except FileNotFoundError:
            continue
        found[path] = (now.st_mtime_ns, now.st_size)
    return found


# -- the warm process ---------------------------------------------------------------


class Warm:
    """The process that forks.

    Args:
        listener: command.sock.
        identity: what callers must be (`request.compose`).
        files: how the files were that are in memory.
    """

    def __init__(self, listener: socket.socket, identity: str, files: Files) -> None:
        self.listener, self.identity, self.files = listener, identity, files
        self.said, self.say = os.pipe()
        self.served = 0

    def serve(self, ready: int) -> None:
        """Have a spare at all times, until there is a reason to end.

        Args:
            ready: the pipe on which to say so.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
        gc.collect()
        gc.freeze()  # a collection would copy what forks share
        os.write(ready, b"ready")
        os.close(ready)
        spare = self._fork()
        while words := self._hear(spare):
            if SERVED in words:
                self.served += words.count(SERVED)
                agent_socket.title(f"plumb-warm {self.served}")
            if STALE in words:
                break
            if TAKEN in words:
                os.close(spare)
                spare = self._fork()
        # The kernel ends the spare with this process, unless that has begun a command meanwhile.

    def _hear(self, spare: int) -> bytes:
        """What forks say; nothing when the spare was killed, or when nobody has come for long."""
        heard = select.poll()
        for descriptor in (self.said, spare):
            heard.register(descriptor, select.POLLIN)
        found = [descriptor for descriptor, _ in heard.poll(IDLE * 1000)]
        return os.read(self.said, 4096) if self.said in found else b""

    def _fork(self) -> int:
        """Fork a spare; a pidfd of it, or what poll() takes for that of a process which has ended."""
        here = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                Fork(self).stand_by(here)
            finally:
                os._exit(1)
        try:
            return os.pidfd_open(pid)
        except (
            ProcessLookupError
        ):  # it was taken and has ended, and nobody needed to wait for it; what it said is there
            return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


# -- its forks ---------------------------------------------------------------


class Fork(caller.Caller):
    """A fork of the warm process: stands by, then carries out one command line.

    Args:
        warm: whose fork it is.
    """

    def __init__(self, warm: Warm) -> None:
        self._warm = warm
        self._client: socket.socket
        self._pid = 0
        self._count = SERVED

    # -- as the command sees it

    @property
    def pid(self) -> int:
        """The process that the caller knows."""
        return self._pid

    def own(self) -> None:
        """Leave it to the caller's own process: nothing was done yet."""
        raise caller.Elsewhere

    def become(self, spec: dict[str, Any]) -> None:
        """Have the caller become a command of a container.

        Raises:
            OSError: it could not enter the container.
        """
        wish = BECOME + marshal.dumps(spec)
        if len(wish) > LARGEST:
            raise caller.Elsewhere
        try:
            self._end_work()  # before that one lets go of the leash
            self._client.send(wish)
        except OSError:  # it is too long for this socket
            raise caller.Elsewhere from None
        number, _, words = os.fsdecode(received(self._client)).partition(" ")
        if not number:
            os._exit(0)  # it has become the command
        raise OSError(int(number), words)

    # -- from the first to the last

    def stand_by(self, parent: int) -> NoReturn:
        """Wait for a caller, and do what it asks for."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        adopt.end_with_parent(parent)
        os.close(self._warm.said)
        agent_socket.title("plumb-spare")
        self._accept()
        self._tell(TAKEN)
        try:
            request = self._hear()
            adopt.adopt(self._pid, request.blocked)
            self._take_over()
            status = self._carry_out(request)
            self._end_work()
        except (OSError, ValueError, adopt.Unlike):
            os._exit(1)  # hangs up: nothing was done
        except caller.Elsewhere:
            status = -1
        self._client.send(STATUS + str(status).encode() if status >= 0 else COLD)
        os._exit(0)

    def _end_work(self) -> None:
        """Count the command, once."""
        self._tell(self._count)
        self._count = b""

    def _tell(self, word: bytes) -> None:
        with suppress(OSError):  # it has ended
            os.write(self._warm.say, word)

    def _accept(self) -> None:
        """Wait for somebody who may give orders. Who may not is hung up on, and costs no fork."""
        waiting = select.poll()
        waiting.register(self._warm.listener, select.POLLIN)
        while True:
            waiting.poll()
            with suppress(OSError):  # it has hung up already
                self._client, _ = self._warm.listener.accept()
                self._pid = agent_socket.trusted(self._client)
                if self._pid:
                    self._warm.listener.close()
                    return
                self._client.close()

    def _hear(self) -> Request:
        """The request.

        Raises:
            OSError, ValueError, Unlike: it is not for this process.
        """
        self._client.settimeout(PATIENCE)
        request = Request(received(self._client))
        if request.identity != self._warm.identity:
            raise adopt.Unlike
        if state_of(list(self._warm.files)) != self._warm.files:
            self._tell(STALE)
            raise adopt.Unlike
        return request

    def _take_over(self) -> None:
        """Have the caller's streams, and live as long as it does.

        Raises:
            OSError: it does not live any more.
        """
        self._client.send(WILLING)
        _, descriptors, _, _ = socket.recv_fds(self._client, 1, 4, socket.MSG_CMSG_CLOEXEC)
        self._client.settimeout(None)
        *streams, leash = descriptors
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        adopt.end_with_parent(0)
        adopt.end_with(leash)
        socket.send_fds(self._client, [BEGUN], [os.pidfd_open(os.getpid())])

    def _carry_out(self, request: Request) -> int:
        """Do it; the exit status."""
        try:
            caller.this = self
            dress(request)
            agent_socket.title("plumb")
            status = cli.main(request.argv[1:])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except KeyboardInterrupt:
            status = cli.complain("interrupted", "", 130)
        except Exception:
            import traceback

            traceback.print_exc()
            status = 1
        return flushed(status)


def dress(request: Request) -> None:
    """Put on what a program has of its caller in Python: arguments, environment, streams."""
    sys.argv[:] = request.argv
    if request.environment != os.environ:
        os.environ.clear()
        os.environ.update(request.environment)
        time.tzset()
    sys.stdin, sys.stdout, sys.stderr = (
        _stream(number, *request.streams[number]) for number in range(3)
    )


def _stream(
    number: int, encoding: str, errors: str, by_line: str, at_once: str
) -> io.TextIOWrapper:
    """A standard stream, as the interpreter makes it at its start."""
    raw = io.FileIO(number, "w" if number else "r", closefd=False)
    buffer = (
        io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw) if at_once == "0" else raw
    )
    return io.TextIOWrapper(
        buffer, encoding, errors, "\n", line_buffering=by_line == "1", write_through=at_once == "1"
    )


def flushed(status: int) -> int:
    """The exit status, which is 120 where not all that was printed could be written (sys.exit)."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = 120
    return status
