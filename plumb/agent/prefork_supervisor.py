"""The agent's part in warm command lines.

Has a warm process started (`plumb.prefork.server`) when the first command line comes.

Until that is ready, and whenever there is none, whoever comes to command.sock is hung up on, which
says: do it yourself. Many an agent never sees a command line, and pays for a socket.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress

from plumb.agent.loop import IN, Loop, Timer
from plumb.kernel import agent_socket
from plumb.prefork.client import READ_ONCE, Request, received

SECONDS = 1.0
"""How long a caller may take to say what it wants."""
PAUSE = 60.0
"""Seconds until another try, when a warm process has not come as far as being ready."""
MANY = 1 << 30
"""More descriptors than a process can have."""
LAUNCH = "import sys; sys.path[:not sys.flags.safe_path] = [sys.argv.pop()]; from plumb.prefork.server import main; main()"
NEEDED = (*READ_ONCE, "LD_", "LC_", "LANG", "PATH", "PLUMB_IPTABLES")
"""What of the first caller's environment the warm process begins with.

Each command has its own caller's.
"""


class PreforkSupervisor:
    """Watches command.sock as long as nobody else does.

    Args:
        loop: the agent's.
        folder: the agent's.
    """

    def __init__(self, loop: Loop, folder: str) -> None:
        self._loop, self._folder = loop, folder
        self._listener = agent_socket.listen(folder, agent_socket.COMMAND, socket.SOCK_SEQPACKET)
        self._warm = self._descriptor = -1
        self._may_start = True
        self._watch()

    def _watch(self) -> None:
        self._loop.watch(self._listener.fileno(), IN, self._accept)

    def _accept(self, events: int) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # no descriptor left: the command goes on by itself after a while
            self._loop.rest(self._listener.fileno(), SECONDS)
            return
        if agent_socket.trusted(client) and self._warm < 0 and self._may_start:
            client.setblocking(False)
            late = self._loop.later(SECONDS, lambda: self._hang_up(client))
            self._loop.watch(client.fileno(), IN, lambda events: self._hear(client, late))
        else:
            client.close()

    def _hang_up(self, client: socket.socket) -> None:
        self._loop.forget(client.fileno())
        client.close()

    def _hear(self, client: socket.socket, late: Timer) -> None:
        late.cancel()
        with suppress(OSError, ValueError):
            request = Request(received(client))
            if self._warm < 0:
                self._start(request)
        self._hang_up(client)

    def _start(self, first: Request) -> None:
        """Start a warm process for whoever is like this caller."""
        self._may_start = False
        self._loop.later(PAUSE, self._allow)
        words = os.fsencode(first.identity)
        if len(words) > select.PIPE_BUF:
            return
        ready, say = os.pipe()
        hear, identity = os.pipe()
        try:
            os.write(identity, words)
            self._warm = self._spawn(first, hear, say)
        except OSError:
            os.close(ready)
            raise
        finally:
            for descriptor in (say, hear, identity):
                os.close(descriptor)
        self._descriptor = os.pidfd_open(self._warm)
        self._loop.watch(ready, IN, lambda events: self._is_ready(ready))
        self._loop.watch(self._descriptor, IN, self._ended)

    def _spawn(self, first: Request, hear: int, say: int) -> int:
        """All that it inherits is command.sock and two pipes.

        Whoever inherited a published port would keep it bound.
        """
        inherited = (self._listener.fileno(), say)
        command = [
            first.executable,
            "-c",
            LAUNCH,
            *map(str, inherited),
            str(os.getpid()),
            first.home,
        ]
        environment = {
            name: value for name, value in first.environment.items() if name.startswith(NEEDED)
        }
        pid = os.fork()
        if pid:
            return pid
        try:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(hear, 0)
            low, high = sorted(inherited)
            for begin, end in ((3, low), (low + 1, high), (high + 1, MANY)):
                os.closerange(begin, end)
            for descriptor in inherited:
                os.set_inheritable(descriptor, True)
            os.execve(command[0], command, environment)
        finally:
            os._exit(1)

    def _is_ready(self, ready: int) -> None:
        """It takes over, or has ended before it could."""
        if os.read(ready, 16):
            self._loop.unwatch(self._listener.fileno())
            self._may_start = True
        else:
            with (
                suppress(OSError),
                open(f"{self._folder}/{agent_socket.LOG}", "a", encoding="utf-8") as log,
            ):
                log.write(
                    "the warm process has ended before it was ready: some module of plumb's cannot be imported\n"
                )
        self._loop.forget(ready)
        os.close(ready)

    def _allow(self) -> None:
        self._may_start = True

    def _ended(self, events: int) -> None:
        self._reap()
        self._loop.unwatch(self._listener.fileno())
        self._watch()

    def _reap(self) -> None:
        self._loop.forget(self._descriptor)
        os.close(self._descriptor)
        os.waitpid(self._warm, 0)
        self._warm = self._descriptor = -1

    def close(self) -> None:
        """End the warm process; commands that it has begun go on."""
        if self._warm > 0:
            os.kill(self._warm, signal.SIGTERM)
            self._reap()
