"""Agent: the one background process of a root, which holds sockets open between commands.

A published port is a socket, and a socket needs a process. Docker's daemon is that process, with
one more for each port that is proxied; plumb's commands come and go, and the agent stays: one event
loop (`agent.loop`) for all ports. It lives in the network namespace of the command that started it,
and has no state but its sockets: the engine records what the agent holds, and starts it anew if it
was killed.

Commands, run by root, send requests on a Unix socket in the agent's folder: a line of JSON, and a
line back.

    {"take": [[WORD, PROTOCOL, IP, PORT, TO_IP, TO_PORT], …]}
                        hold        bind the port, and drop what arrives
                        retarget    store another target (`list` returns it; nothing else uses it)
                        proxy       accept what arrives, and forward it to the target
                        unproxy     reset all connections; drop what arrives again
                        release     close
    {"take": […]} may have rows for DNS as well (`agent.dns.servers`)
                        ["serve", {"ns", "ip", "udp", "tcp", "networks", "links", "upstreams",
                                   "outside", "ndots"}]
                                    open a DNS server in a namespace, or change its configuration
                                    (things.dns.Resolver)
                        ["unserve", NAMESPACE]      close it
                        ["name", {"endpoint", "network", "title", "names", "ips", "ports"}]
                                    set the names of an endpoint (things.dns.Names)
                        ["unname", ENDPOINT]
    and rows about containers' commands (`agent.supervision`)
                        ["check", {"id", "process", "follows", "interval", "timeout", "retries",
                                   "start_period", "start_interval", "start"}, SPEC]
                                    run a health check (things.supervision.HealthProbe); SPEC is
                                    the command's, as `kernel.process.become` takes it
                        ["uncheck", CONTAINER]
                        ["delay", {"id", "seconds", "start", "root", "config"}, COMMAND, VARIABLES]
                                    run COMMAND with the container's id so much later
                        ["undelay", CONTAINER]
    {"list": true}      everything
    {"list": {"ports": [[PROTOCOL, IP, PORT], …], "resolvers": [NAMESPACE, …],
              "names": [ENDPOINT, …], "checks": [CONTAINER, …], "starts": [CONTAINER, …]}}
                        these only; nothing of a kind that is not mentioned
    {"announce": [[NAMESPACE, LINK, MAC, [IP, …], TIMES, MILLISECONDS], …]}
                        announce by ARP and NDP who has these addresses, so often and so far apart
                        (`kernel.net.gratuitous_arp`); with "at once": true the reply comes after
                        the first announcement, with "answer": false there is none
    {"health": [CONTAINER, …]}
                        the state of containers that are checked, as Docker's .State.Health
    {"usage": true}     file descriptors: what there are, and who has them (`agent.descriptors`)
    {"stop": true}      end

    {"done": 3, "errno": 98, "said": "Address already in use"}
                        the first three rows were carried out, the fourth failed
    {"done": 0, "pid": 1234, "silent": true,
     "ports": [[PROTOCOL, IP, PORT, TO_IP, TO_PORT, PROXIED_TO_IP, PROXIED_TO_PORT], …],
     "resolvers": [{as in serve}, …], "names": [{as in name}, …],
     "checks": [{as in check}, …], "starts": [{as in delay}, …]}
    {"done": 0, "health": {CONTAINER: {"Status", "FailingStreak", "Log"}, …}}

"silent" says that it sends no reply where none is wanted; an agent of an earlier version, which
replies to each request, does not say so.

To hold a port that is held is an error (EEXIST), and so are other ports for a namespace that has a
server; to release a port that is not held succeeds, and so on.

A command waits for the process to start, and it stays for as long as there is a container: so it
imports little.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from plumb.agent.descriptors import CONTROL, Budget, raised_limit
from plumb.agent.held_ports import Ports, parse_port_row
from plumb.agent.loop import IN, OUT, Loop
from plumb.agent.prefork_supervisor import PreforkSupervisor
from plumb.kernel import agent_socket
from plumb.kernel.agent_verbs import DNS_VERBS, HEALTH_VERBS, START_VERBS

if TYPE_CHECKING:
    from plumb.agent.dns.servers import Embedded
    from plumb.agent.supervision.supervisor import Supervisor
    from plumb.kernel.net.announce_queue import Announcer

MAX_REQUEST = 1 << 26
"""Bytes of a request, at most; only root can send one, so this guards against mistakes."""
MAX_SESSIONS = CONTROL // 2
"""Connections of commands at a time; a further one makes the agent close the oldest."""
ACCEPT_DELAY = 0.1
"""Seconds without accepting when no file descriptor is left."""
RESERVED_FDS = 2
"""Reserved file descriptors: one for a new connection, one to find out its user."""
CHECK_INTERVAL = 5.0
"""Seconds between two checks that the agent's folder still exists."""


class Control:
    """Server of the control socket.

    Args:
        listener: the socket.
        budget: the process's descriptors.
    """

    def __init__(self, loop: Loop, listener: socket.socket, budget: Budget) -> None:
        self.loop, self.ports, self._budget = loop, Ports(loop, budget), budget
        self.sessions: dict[Session, None] = {}
        self._listener = listener
        self._reserve: list[int] = []
        self._announcer: Announcer | None = None
        self._embedded: Embedded | None = None
        self._supervisor: Supervisor | None = None
        loop.watch(listener.fileno(), IN, self._accept)
        with self._reserved_fds():  # so that it is there from the first
            pass

    def _accept(self, events: int) -> None:
        with self._reserved_fds():
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                pass
            except OSError:  # no descriptor left
                self.loop.rest(self._listener.fileno(), ACCEPT_DELAY)
            else:
                self._open_session(client)

    @contextmanager
    def _reserved_fds(self) -> Iterator[None]:
        """Free the reserved file descriptors for the time of the context.

        A command that wants to release a port must get through even if ports take all other
        descriptors.
        """
        while self._reserve:
            os.close(self._reserve.pop())
        yield
        with suppress(OSError):
            while len(self._reserve) < RESERVED_FDS:
                self._reserve.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def _open_session(self, client: socket.socket) -> None:
        if not agent_socket.trusted(client):
            client.close()
            return
        if len(self.sessions) >= MAX_SESSIONS:
            next(iter(self.sessions)).close()
        client.setblocking(False)
        try:
            self.sessions[Session(self, client)] = None
        except OSError:  # the kernel watches no more for us (max_user_watches)
            client.close()

    def answer(self, line: bytes) -> dict[str, Any] | None:
        """Carry out a request, and build the reply; None where nobody waits for one."""
        request: Any = None
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("a request is an object")
            if "take" in request:
                return self._take([self._parse_row(row) for row in request["take"]])
            if "list" in request:
                head = {"done": 0, "pid": os.getpid(), "silent": True}
                return {**head, **self._list(request["list"])}
            if "announce" in request:
                done = self._announce(request["announce"], bool(request.get("at once")))
                return {"done": done} if _waits(request) else None
            if "health" in request:
                found = self._supervisor
                return {
                    "done": 0,
                    "health": found.checks.states(request["health"]) if found else {},
                }
            if "usage" in request:
                return {"done": 0, "pid": os.getpid(), **self._budget.usage()}
            if "stop" in request:
                self.loop.end()
                return {"done": 1}
            raise ValueError("there are take, list, announce, health, usage and stop")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            refusal = {"done": 0, "errno": errno.EINVAL, "said": f"not understood: {error}"}
            return refusal if _waits(request) else None

    def _announce(self, rows: list[Any], at_once: bool) -> int:
        from plumb.kernel.net.announce_queue import Announcer, said, target

        targets = [target(*row) for row in rows]
        self._announcer = self._announcer or Announcer()
        self._announcer.announce(targets, [said(each) for each in targets] if at_once else [])
        return len(targets)

    def _list(self, wanted: Any) -> dict[str, list[Any]]:
        if wanted is not True and not isinstance(wanted, dict):
            raise ValueError("list is true, or says of what")
        ports, resolvers, names, checks, starts = (
            None if wanted is True else wanted.get(what, [])
            for what in ("ports", "resolvers", "names", "checks", "starts")
        )
        embedded, supervisor = self._embedded, self._supervisor
        return {
            "ports": self.ports.rows(
                None if ports is None else [(protocol, ip, port) for protocol, ip, port in ports]
            ),
            "resolvers": embedded.resolvers(resolvers) if embedded else [],
            "names": embedded.names(names) if embedded else [],
            "checks": supervisor.checks.rows(checks) if supervisor else [],
            "starts": supervisor.starts.rows(starts) if supervisor else [],
        }

    def _parse_row(self, row: Any) -> Callable[[], None]:
        """Validate a row of a request, and return the action that carries it out."""
        if isinstance(row, list) and len(row) == 2 and row[0] in DNS_VERBS:
            return self._dns().parsed(*row)
        if isinstance(row, list) and row and row[0] in (*HEALTH_VERBS, *START_VERBS):
            return self._supervision().parsed(*row)
        verb, port, target = parse_port_row(row)
        return lambda: self.ports.take(verb, port, target)

    def _dns(self) -> Embedded:
        """Return the embedded DNS; its code is loaded with the first row that needs it."""
        if self._embedded is None:
            from plumb.agent.dns.servers import Embedded
            from plumb.kernel.netns import sockets

            self._embedded = Embedded(self.loop, sockets, self.loop.failed, self._budget)
        return self._embedded

    def _supervision(self) -> Supervisor:
        """Return the supervisor; its code is loaded with the first row that needs it."""
        if self._supervisor is None:
            from plumb.agent.supervision.supervisor import Supervisor

            self._supervisor = Supervisor(self.loop, self._budget)
        return self._supervisor

    def _take(self, rows: list[Callable[[], None]]) -> dict[str, Any]:
        for done, take in enumerate(rows):
            try:
                take()
            except OSError as error:
                return {
                    "done": done,
                    "errno": error.errno or errno.EIO,
                    "said": error.strerror or str(error),
                }
        return {"done": len(rows)}


def _waits(request: Any) -> bool:
    """True but for a request which says that nobody waits for its reply."""
    return not isinstance(request, dict) or bool(request.get("answer", True))


class Session:
    """Connection of a command."""

    def __init__(self, control: Control, client: socket.socket) -> None:
        self._control, self._client = control, client
        self._in, self._out = bytearray(), b""
        control.loop.watch(client.fileno(), IN, self._serve)

    def _serve(self, events: int) -> None:
        try:
            while True:
                if not self._out:
                    self._receive()
                self._out = self._out[self._client.send(self._out) :]
        except BlockingIOError:
            # As long as an answer is under way, nothing more is heard.
            self._control.loop.rewatch(self._client.fileno(), OUT if self._out else IN)
        except OSError:
            self.close()

    def _receive(self) -> None:
        """Read a request, and prepare its reply.

        Raises:
            OSError: the command has closed the connection, or the request is too long.
        """
        received = bytes(self._in)
        while b"\n" not in received:
            received = self._client.recv(1 << 16)
            self._in += received
            if not received or len(self._in) > MAX_REQUEST:
                raise OSError(errno.EMSGSIZE, "half a request, or one that is too long")
        line, _, self._in = self._in.partition(b"\n")
        answer = self._control.answer(bytes(line))
        self._out = json.dumps(answer).encode() + b"\n" if answer is not None else b""

    def close(self) -> None:
        """Close the connection."""
        self._control.sessions.pop(self, None)
        self._control.loop.forget(self._client.fileno())
        self._client.close()


def main() -> None:
    """Run the agent of the folder that is the second argument.

    It writes "ready", or an error, to the file descriptor that is the first argument.
    """
    ready, folder = int(sys.argv[1]), sys.argv[2]
    os.set_inheritable(ready, False)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started it may have blocked some
    try:
        lock = agent_socket.claim(folder)
    except OSError as error:
        os.write(ready, f"{error.errno} {error.strerror}".encode())
        return
    try:
        loop = Loop(lambda failure: _log(folder, failure))
        Control(loop, agent_socket.listen(folder), Budget(raised_limit()))
        supervisor = PreforkSupervisor(loop, folder)
        agent_socket.sign(lock)
        loop.later(CHECK_INTERVAL, lambda: _check_folder(loop, folder, lock))
        os.write(ready, b"ready")
        os.close(ready)
        with closing(supervisor):
            loop.run()
    finally:
        agent_socket.abandon(folder, lock)


def _check_folder(loop: Loop, folder: str, lock: int) -> None:
    """End the agent if its folder was deleted.

    No command could reach this agent any more, nor release its ports.
    """
    if agent_socket.valid(folder, lock):
        loop.later(CHECK_INTERVAL, lambda: _check_folder(loop, folder, lock))
    else:
        loop.end()


def _log(folder: str, failure: Exception) -> None:
    """Log an error of plumb itself; it ends only the connection that caused it."""
    import traceback

    agent_socket.log(folder, "".join(traceback.format_exception(failure)))
