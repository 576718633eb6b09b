"""Supervisor of the prefork server, in the agent.

It starts the server (`plumb.prefork.server`) when the first command line connects to command.sock.
Until the server is ready, and whenever there is none, the agent closes such connections at once,
which makes the command run by itself. Many an agent never gets a command line; it then costs one
socket.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress

from plumb.agent.loop import IN, Loop, Timer
from plumb.kernel import agent_socket
from plumb.prefork.client import LAUNCHER, READ_ONCE, Request, received

REQUEST_TIMEOUT = 1.0
"""Seconds that a command may take to send its request."""
RETRY_INTERVAL = 60.0
"""Seconds until the next start, when a server has ended before it was ready."""
MAX_FD = 1 << 30
"""Number above any file descriptor of a process."""
LAUNCH = (
    "import sys; sys.path[:not sys.flags.safe_path] = [sys.argv.pop()]; "
    "from plumb.prefork.server import main; main()"
)
INHERITED_ENVIRONMENT = (*READ_ONCE, "LD_", "LC_", "LANG", "HOME", "PATH", "PLUMB_IPTABLES")
"""Prefixes of variables that the server inherits from the first command's environment.

Each command runs with its own caller's environment.
"""


class PreforkSupervisor:
    """Watches command.sock while there is no prefork server.

    Args:
        loop: the agent's.
        folder: the agent's.
    """

    def __init__(self, loop: Loop, folder: str) -> None:
        self._loop, self._folder = loop, folder
        self._listener = agent_socket.listen(folder, agent_socket.COMMAND, socket.SOCK_SEQPACKET)
        self._pid = self._pidfd = -1
        self._may_start = True
        self._watch()

    def _watch(self) -> None:
        self._loop.watch(self._listener.fileno(), IN, self._accept)

    def _accept(self, events: int) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # no descriptor left: the command goes on by itself after a while
            self._loop.rest(self._listener.fileno(), REQUEST_TIMEOUT)
            return
        if agent_socket.trusted(client) and self._pid < 0 and self._may_start:
            client.setblocking(False)
            timeout = self._loop.later(REQUEST_TIMEOUT, lambda: self._hang_up(client))
            self._loop.watch(client.fileno(), IN, lambda events: self._receive(client, timeout))
        else:
            client.close()

    def _hang_up(self, client: socket.socket) -> None:
        self._loop.forget(client.fileno())
        client.close()

    def _receive(self, client: socket.socket, timeout: Timer) -> None:
        timeout.cancel()
        with suppress(OSError, ValueError):
            request = Request(received(client))
            if self._pid < 0 and request.identity != LAUNCHER:
                self._start(request)
        self._hang_up(client)

    def _start(self, first: Request) -> None:
        """Start a server for commands whose identity equals this one's."""
        self._may_start = False
        self._loop.later(RETRY_INTERVAL, self._allow)
        identity_bytes = os.fsencode(first.identity)
        if len(identity_bytes) > select.PIPE_BUF:
            return
        ready, ready_writer = os.pipe()
        identity_reader, identity_writer = os.pipe()
        try:
            os.write(identity_writer, identity_bytes)
            self._pid = self._spawn(first, identity_reader, ready_writer)
        except OSError:
            os.close(ready)
            raise
        finally:
            for descriptor in (ready_writer, identity_reader, identity_writer):
                os.close(descriptor)
        self._pidfd = os.pidfd_open(self._pid)
        self._loop.watch(ready, IN, lambda events: self._is_ready(ready))
        self._loop.watch(self._pidfd, IN, self._ended)

    def _spawn(self, first: Request, identity_reader: int, ready_writer: int) -> int:
        """Fork and execute the server; it inherits command.sock and two pipes, nothing else.

        A process that inherited a published port would keep it bound.
        """
        inherited = (self._listener.fileno(), ready_writer)
        command = [
            first.executable,
            "-c",
            LAUNCH,
            *map(str, inherited),
            str(os.getpid()),
            first.home,
        ]
        environment = {
            name: value
            for name, value in first.environment.items()
            if name.startswith(INHERITED_ENVIRONMENT)
        }
        pid = os.fork()
        if pid:
            return pid
        try:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(identity_reader, 0)
            low, high = sorted(inherited)
            for begin, end in ((3, low), (low + 1, high), (high + 1, MAX_FD)):
                os.closerange(begin, end)
            for descriptor in inherited:
                os.set_inheritable(descriptor, True)
            os.execve(command[0], command, environment)
        finally:
            os._exit(1)

    def _is_ready(self, ready: int) -> None:
        """Leave command.sock to the server; log it if the server has ended before it was ready."""
        if os.read(ready, 16):
            self._loop.unwatch(self._listener.fileno())
            self._may_start = True
        else:
            agent_socket.log(
                self._folder,
                "the prefork server ended before it was ready: "
                "a module of plumb cannot be imported\n",
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
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        os.waitpid(self._pid, 0)
        self._pid = self._pidfd = -1

    def close(self) -> None:
        """End the prefork server; commands that it has started go on."""
        if self._pid > 0:
            os.kill(self._pid, signal.SIGTERM)
            self._reap()
