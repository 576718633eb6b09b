"""The embedded DNS in a process of its own, as in the agent.

A sandbox that asks, and servers elsewhere that the test plays.

sandbox    127.0.0.11:5300 (UDP), :5301 (TCP); its own server at 127.0.0.2
host       servers at 127.0.0.1, 127.0.0.2, … port 53
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.message
import dns.query

from plumb.agent.descriptors import MAX_LIMIT, Budget
from plumb.agent.dns.limits import Limits
from plumb.agent.dns.servers import Embedded
from plumb.agent.loop import IN, Loop
from plumb.kernel.netns import namespaces, sockets
from plumb.kernel.netns.namespaces import entered
from tests.labs import lab, within

ADDRESS, UDP, TCP = "127.0.0.11", 5300, 5301
SECONDS = 30.0
QUICK = Limits(timeout=0.3, idle_timeout=0.5)
SERVERS = [f"127.0.0.{number}" for number in (1, 2, 3, 4)]
HOST, OTHER, THIRD, FOURTH = ([ip, False] for ip in SERVERS)
QUERY = dns.message.make_query("example.com", "A", id=0x1234).to_wire()


@dataclass
class Process:
    """The process, and its sandbox.

    Attributes:
        ns: the sandbox's namespace file; pid: the process; told: what it has noted, a file.
    """

    ns: str
    pid: int
    control: socket.socket
    told: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def take(self, word: str, what: Any) -> None:
        """Tell it a row of a request, and see that it was taken."""
        self.control.sendall(json.dumps([word, what]).encode() + b"\n")
        said = self.control.recv(1 << 16)
        assert said == b"done\n", said

    def serve(self, **settings: Any) -> None:
        """Serve the sandbox; what is not said is as before."""
        self.settings = {
            "ns": self.ns,
            "ip": ADDRESS,
            "udp": UDP,
            "tcp": TCP,
            "networks": ["n-shop"],
            "links": [],
            "upstreams": [],
            "outside": True,
            "ndots": False,
            **self.settings,
            **settings,
        }
        self.take("serve", self.settings)

    def name(
        self, endpoint: str, names: str, ips: str, ports: tuple[tuple[str, str, int], ...] = ()
    ) -> None:
        """An endpoint on the network shop; names and addresses in one string each."""
        self.take(
            "name",
            {
                "endpoint": endpoint,
                "network": "n-shop",
                "title": "shop",
                "names": names.split(),
                "ips": ips.split(),
                "ports": ports,
            },
        )

    def ask(
        self, name: str, kind: str = "A", *, tcp: bool = False, seconds: float = SECONDS, **how: Any
    ) -> dns.message.Message:
        """Ask it, from the sandbox."""
        query = dns.message.make_query(name, kind, **how)
        with entered(self.ns):
            if tcp:
                return dns.query.tcp(query, ADDRESS, seconds, TCP)
            return dns.query.udp(query, ADDRESS, seconds, UDP, raise_on_truncation=False)

    @contextmanager
    def asking(self, *, tcp: bool = False) -> Iterator[socket.socket]:
        """A socket in the sandbox that is connected to it."""
        with entered(self.ns):
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        with closing(client):
            client.settimeout(SECONDS)
            client.connect((ADDRESS, TCP if tcp else UDP))
            yield client

    def raw(self, packet: bytes, seconds: float = SECONDS) -> bytes:
        """Send anything, by UDP; what comes back."""
        with self.asking() as client:
            client.settimeout(seconds)
            client.send(packet)
            return client.recv(1 << 16)

    def descriptors(self) -> int:
        """How many sockets it has open. A file that is being loaded does not count."""
        found = 0
        for each in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # it is just being closed
                found += os.readlink(each).startswith("socket:")
        return found

    def memory(self) -> int:
        """KiB of it that are in memory."""
        return int(
            next(
                line.split()[1]
                for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
                if "VmRSS" in line
            )
        )

    def notes(self) -> str:
        """What it has noted."""
        return self.told.read_text() if self.told.exists() else ""


@contextmanager
def embedded(limits: Limits | None = None, room: int = MAX_LIMIT) -> Iterator[Process]:
    """A process, and a sandbox on a lab host that it does not serve yet.

    It must not note any error, nor end.

    Args:
        room: how many descriptors it may use.
    """
    with lab() as made:
        ns, told = f"{made.root}/netns/box", made.root / "notes"
        namespaces.make(ns)
        within(ns, "ip link set lo up")
        mine, its = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                mine.close()
                _be(its, told, limits, room)
            finally:
                os._exit(1)
        its.close()
        process = Process(ns, pid, mine, told)
        mine.settimeout(SECONDS)
        try:
            process.take("unname", "nobody")  # it is up, and has closed what it has not to do with
            yield process
            assert process.notes() == ""
        finally:
            mine.close()
            os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
            namespaces.drop(ns)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, (
            "the process has ended by itself"
        )


def _be(control: socket.socket, told: Path, limits: Limits | None, room: int) -> None:
    def log(failure: Exception) -> None:
        import traceback

        with told.open("a") as file:
            traceback.print_exception(failure, file=file)

    loop = Loop(log)
    names = Embedded(loop, sockets, loop.failed, Budget(room), limits)

    def serve(events: int) -> None:
        said = b"done\n"
        try:
            names.parsed(*json.loads(control.recv(1 << 20)))()
        except Exception as error:
            said = f"{error!r}\n".encode()
        control.sendall(said)

    loop.watch(control.fileno(), IN, serve)
    loop.run()


# -- servers elsewhere ---------------------------------------------------------------


@contextmanager
def elsewhere(ip: str = "127.0.0.1", ns: str = "") -> Iterator[socket.socket]:
    """A server that the test plays: it gets questions by UDP, and answers when it is told to.

    On the host, or in a sandbox.
    """
    with entered(ns):
        sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    with closing(sock):
        sock.settimeout(SECONDS)
        sock.bind((ip, 53))
        yield sock


@contextmanager
def elsewhere_tcp(ip: str = "127.0.0.1", ns: str = "") -> Iterator[socket.socket]:
    """The same by TCP: it listens."""
    with entered(ns), closing(socket.create_server((ip, 53))) as sock:
        sock.settimeout(SECONDS)
        yield sock


def question(packet: bytes) -> bytes:
    """The question's section of a packet with no more than that."""
    return packet[12 : packet.index(b"\0", 12) + 5]


def answered(packet: bytes, ip: bytes = b"\x0a\0\0\1", flags: bytes = b"\x81\x80") -> bytes:
    """An answer to a packet: that address."""
    return (
        packet[:2]
        + flags
        + b"\0\1\0\1\0\0\0\0"
        + question(packet)
        + b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4"
        + ip
    )


def failed(packet: bytes, rcode: int) -> bytes:
    """An answer to a packet: that error."""
    return packet[:2] + bytes((0x81, 0x80 | rcode)) + b"\0\1\0\0\0\0\0\0" + question(packet)


def answer(server: socket.socket, made: bytes | None = None, rcode: int = 0) -> bytes:
    """Have a server answer the next question: with that, or that error, or the address 10.0.0.1.

    The question.
    """
    packet, client = server.recvfrom(1 << 16)
    server.sendto(
        made if made is not None else failed(packet, rcode) if rcode else answered(packet), client
    )
    return packet


def ips(message: dns.message.Message) -> list[str]:
    """The addresses in an answer."""
    return [str(data) for rrset in message.answer for data in rrset]


def told(client: socket.socket) -> dns.message.Message:
    """What a client is answered."""
    return dns.message.from_wire(client.recv(1 << 16))
