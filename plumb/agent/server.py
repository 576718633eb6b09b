"""The agent: the one background process of a root, which holds what must stay open when a command has ended.

A published port is a socket, and a socket needs a process. Docker's daemon is that process, with
one more for each port that is proxied; here commands come and go, and the agent stays: one loop
(`agent.loop`) for all ports. It lives in the network namespace of whoever started it, and has no
state but its sockets: what it is to hold is recorded by the engine, which starts it anew when it
was killed.

It is spoken to on a Unix socket in its folder, by root alone: a line of JSON, and a line back.

    {"take": [[WORD, PROTOCOL, IP, PORT, TO_IP, TO_PORT], …]}
                        hold        bind the port, and drop what arrives
                        retarget    remember another target (what a port is published for says `list`; nothing else uses it)
                        proxy       let in what arrives, and hand it on to the target
                        unproxy     cut off all connections; drop again
                        release     close
    {"take": […]} may as well be about names (`agent.dns.servers`)
                        ["serve", {"ns", "ip", "udp", "tcp", "networks", "links", "upstreams", "outside", "ndots"}]
                                    open a DNS server in a namespace, or change what it serves there: things.names.Resolver says what
                        ["unserve", NAMESPACE]      close it
                        ["name", {"endpoint", "network", "title", "names", "ips", "ports"}]
                                    the names of an endpoint from now on: things.names.Names
                        ["unname", ENDPOINT]
    {"list": true}      what there is; {"list": {"ports": [[PROTOCOL, IP, PORT], …], "resolvers": [NAMESPACE, …], "names": [ENDPOINT, …]}}
                        what there is of these, and of what is not mentioned nothing
    {"announce": [[NAMESPACE, LINK, MAC, [IP, …], TIMES, MILLISECONDS], …]} say on the wire who has
                        these addresses now, so often and so far apart
                        (`kernel.net.gratuitous_arp`); with "at once": true the first time is over
                        when the answer comes
    {"stop": true}      end

    {"done": 3, "errno": 98, "said": "Address already in use"}    the first three were taken, the fourth was refused
    {"done": 0, "pid": 1234, "ports": [[PROTOCOL, IP, PORT, TO_IP, TO_PORT, PROXIED_TO_IP, PROXIED_TO_PORT], …],
     "resolvers": [{as in serve}, …], "names": [{as in name}, …]}

To hold what is held is an error (EEXIST), and so are other ports for a namespace that is served; to
release what is not held is done already, and so on.

The process starts for a command that waits, and stays for as long as there is a container: so it
imports little.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from plumb.agent.loop import IN, OUT, Loop
from plumb.agent.prefork_supervisor import PreforkSupervisor
from plumb.agent.proxy.splice import Pool
from plumb.agent.proxy.tcp import StreamProxy
from plumb.agent.proxy.udp import DatagramProxy
from plumb.kernel import agent_socket
from plumb.kernel.ports import host_ports

if TYPE_CHECKING:
    from plumb.agent.dns.servers import Embedded
    from plumb.kernel.net.announce_queue import Announcer

LONGEST = 1 << 26
"""Bytes of a request at most: root's alone, so it is a matter of mistakes, not of malice."""
SESSIONS = 64
"""Who speaks to the agent at a time; one more, and the first is hung up on."""
PAUSE = 0.1
"""Seconds without listening when there is no descriptor left."""
RESERVE = 2
"""Descriptors that are kept: one for who wants to speak, one to find out who that is."""
CARE = 5.0
"""Seconds between two looks at whether the folder is still there."""
WORDS = ("hold", "retarget", "proxy", "unproxy", "release")
NAMING = ("serve", "unserve", "name", "unname")
Place = tuple[str, int]
Port = tuple[str, str, int]


class Held:
    """A port that is held; what it is published for, and its proxy with the target of that."""

    __slots__ = ("proxied", "proxy", "socket", "target")

    def __init__(self, sock: socket.socket, target: Place) -> None:
        self.socket, self.target = sock, target
        self.proxy: StreamProxy | DatagramProxy | None = None
        self.proxied: Place = ("", 0)


class Ports:
    """The ports of an agent.

    Args:
        loop: serves the proxies.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop, self._pool = loop, Pool()
        self._held: dict[Port, Held] = {}

    def take(self, word: str, port: Port, target: Place) -> None:
        """Do one of the words of a request.

        Raises:
            OSError: EEXIST, it is so already; ENOENT, the port is not held; whatever bind says.
        """
        {
            "hold": self._hold,
            "retarget": self._retarget,
            "proxy": self._proxy,
            "unproxy": self._unproxy,
            "release": self._release,
        }[word](port, target)

    def _hold(self, port: Port, target: Place) -> None:
        if port in self._held:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        self._held[port] = Held(host_ports.bind(*port), target)

    def _retarget(self, port: Port, target: Place) -> None:
        self._there(port).target = target

    def _proxy(self, port: Port, target: Place) -> None:
        held = self._there(port)
        if held.proxy is not None:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        held.proxy = (
            DatagramProxy(self._loop, held.socket, target)
            if port[0] == "udp"
            else StreamProxy(self._loop, held.socket, target, self._pool)
        )
        held.proxied = target
        host_ports.open_up(held.socket)

    def _unproxy(self, port: Port, target: Place) -> None:
        held = self._held.get(port)
        if held is not None and held.proxy is not None:
            host_ports.shut(held.socket)
            held.proxy.close()
            held.proxy = None

    def _release(self, port: Port, target: Place) -> None:
        self._unproxy(port, target)
        held = self._held.pop(port, None)
        if held is not None:
            held.socket.close()

    def _there(self, port: Port) -> Held:
        if port not in self._held:
            raise OSError(errno.ENOENT, "the port is not held")
        return self._held[port]

    def rows(self, wanted: Iterable[Port] | None) -> list[list[Any]]:
        """What is held of these ports, or of all: one row for each."""
        found = self._held if wanted is None else [port for port in wanted if port in self._held]
        return [
            [*port, *held.target, *(held.proxied if held.proxy else ("", 0))]
            for port in found
            for held in (self._held[port],)
        ]


class Control:
    """Serves the control socket.

    Args:
        listener: the socket.
        ports: what is spoken of.
    """

    def __init__(self, loop: Loop, listener: socket.socket, ports: Ports) -> None:
        self.loop, self.ports = loop, ports
        self.sessions: dict[Session, None] = {}
        self._listener = listener
        self._reserve: list[int] = []
        self._announcer: Announcer | None = None
        self._embedded: Embedded | None = None
        loop.watch(listener.fileno(), IN, self._accept)
        with self._room():  # so that it is there from the first
            pass

    def _accept(self, events: int) -> None:
        with self._room():
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                pass
            except OSError:  # no descriptor left
                self.loop.rest(self._listener.fileno(), PAUSE)
            else:
                self._welcome(client)

    @contextmanager
    def _room(self) -> Iterator[None]:
        """With descriptors that are kept for this.

        Where all others are ports, who wants to have one released must be heard.
        """
        while self._reserve:
            os.close(self._reserve.pop())
        yield
        with suppress(OSError):
            while len(self._reserve) < RESERVE:
                self._reserve.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def _welcome(self, client: socket.socket) -> None:
        if not agent_socket.trusted(client):
            client.close()
            return
        if len(self.sessions) >= SESSIONS:
            next(iter(self.sessions)).close()
        client.setblocking(False)
        try:
            self.sessions[Session(self, client)] = None
        except OSError:  # the kernel watches no more for us (max_user_watches)
            client.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """Do what a line asks for."""
        try:
            asked = json.loads(line)
            if not isinstance(asked, dict):
                raise ValueError("a request is an object")
            if "take" in asked:
                return self._take([self._understood(row) for row in asked["take"]])
            if "list" in asked:
                return {"done": 0, "pid": os.getpid(), **self._list(asked["list"])}
            if "announce" in asked:
                return {"done": self._announce(asked["announce"], bool(asked.get("at once")))}
            if "stop" in asked:
                self.loop.end()
                return {"done": 1}
            raise ValueError("there are take, list, announce and stop")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            return {"done": 0, "errno": errno.EINVAL, "said": f"not understood: {error}"}

    def _announce(self, rows: list[Any], at_once: bool) -> int:
        from plumb.kernel.net.announce_queue import Announcer, said, target

        targets = [target(*row) for row in rows]
        self._announcer = self._announcer or Announcer()
        self._announcer.announce(targets, [said(each) for each in targets] if at_once else [])
        return len(targets)

    def _list(self, wanted: Any) -> dict[str, list[Any]]:
        if wanted is not True and not isinstance(wanted, dict):
            raise ValueError("list is true, or says of what")
        ports, resolvers, names = (
            None if wanted is True else wanted.get(what, [])
            for what in ("ports", "resolvers", "names")
        )
        embedded = self._embedded
        return {
            "ports": self.ports.rows(
                None if ports is None else [(protocol, ip, port) for protocol, ip, port in ports]
            ),
            "resolvers": embedded.resolvers(resolvers) if embedded else [],
            "names": embedded.names(names) if embedded else [],
        }

    def _understood(self, row: Any) -> Callable[[], None]:
        """What to do for a row of a request."""
        if isinstance(row, list) and len(row) == 2 and row[0] in NAMING:
            return self._names().parsed(*row)
        word, port, target = _parsed(row)
        return lambda: self.ports.take(word, port, target)

    def _names(self) -> Embedded:
        """What knows names, which is loaded when somebody speaks of any."""
        if self._embedded is None:
            from plumb.agent.dns.servers import Embedded
            from plumb.kernel.netns import sockets

            self._embedded = Embedded(self.loop, sockets, self.loop.failed)
        return self._embedded

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


def _parsed(row: Any) -> tuple[str, Port, Place]:
    """A row of a request.

    Raises:
        ValueError: it makes no sense. A name instead of an address makes none: nobody is asked for
        it.
    """
    word, protocol, ip, port, to_ip, to_port = row
    if word not in WORDS or protocol not in host_ports.KINDS:
        raise ValueError(f"{word} {protocol}")
    for address, number in ((ip, port), (to_ip, to_port)):
        if not isinstance(address, str) or type(number) is not int or not 0 < number < 1 << 16:
            raise ValueError(f"{address} {number}")
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        except OSError:
            raise ValueError(f"{address} is no address") from None
    return word, (protocol, ip, port), (to_ip, to_port)


class Session:
    """Somebody who speaks to the agent."""

    def __init__(self, control: Control, client: socket.socket) -> None:
        self._control, self._client = control, client
        self._in, self._out = bytearray(), b""
        control.loop.watch(client.fileno(), IN, self._serve)

    def _serve(self, events: int) -> None:
        try:
            while True:
                if not self._out:
                    self._hear()
                self._out = self._out[self._client.send(self._out) :]
        except BlockingIOError:
            # As long as an answer is under way, nothing more is heard.
            self._control.loop.rewatch(self._client.fileno(), OUT if self._out else IN)
        except OSError:
            self.close()

    def _hear(self) -> None:
        """Answer one line.

        Raises:
            OSError: who speaks has hung up, or does not come to an end.
        """
        while b"\n" not in self._in:
            heard = self._client.recv(1 << 16)
            self._in += heard
            if not heard or len(self._in) > LONGEST:
                raise OSError(errno.EMSGSIZE, "half a request, or one that is too long")
        line, _, self._in = self._in.partition(b"\n")
        self._out = json.dumps(self._control.answer(bytes(line))).encode() + b"\n"

    def close(self) -> None:
        """Hang up."""
        self._control.sessions.pop(self, None)
        self._control.loop.forget(self._client.fileno())
        self._client.close()


def main() -> None:
    """Be the agent of the folder that is the second argument.

    Say "ready", or what is wrong, on the descriptor that is the first.
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
        loop = Loop(room(), lambda failure: _note(folder, failure))
        Control(loop, agent_socket.listen(folder), Ports(loop))
        warmer = PreforkSupervisor(loop, folder)
        agent_socket.sign(lock)
        loop.later(CARE, lambda: _abide(loop, folder, lock))
        os.write(ready, b"ready")
        os.close(ready)
        with closing(warmer):
            loop.run()
    finally:
        agent_socket.abandon(folder, lock)


def _abide(loop: Loop, folder: str, lock: int) -> None:
    """End when the folder was deleted.

    Nobody could reach this agent any more, nor release its ports.
    """
    if agent_socket.valid(folder, lock):
        loop.later(CARE, lambda: _abide(loop, folder, lock))
    else:
        loop.end()


def room() -> int:
    """Allow as many descriptors as may be.

    Of these the loop may watch most, a rest is for pipes and for who speaks to the agent.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return max(most * 3 // 4 - 2 * SESSIONS, most // 2)


def _note(folder: str, failure: Exception) -> None:
    """An error of plumb's own ends what it concerns, not the agent; it is written down."""
    import traceback

    with suppress(OSError), open(f"{folder}/{agent_socket.LOG}", "a", encoding="utf-8") as log:
        traceback.print_exception(failure, file=log)
