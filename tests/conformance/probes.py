"""Real traffic between namespaces, on plain sockets.

Who reaches whom, and which source address was seen.

A socket belongs for good to the namespace in which it was made. So one process can hold the sockets
of all: echo servers in every namespace, the LAN's resolver, and a socket for every probe; one event
loop then runs the whole exchange at once.

What a probe finds is one of
    ok                    an echo reply (icmp)
    NAME saw SOURCE       the server that answered, and the source address that it saw (tcp, udp)
    addresses             what a name stands for (dns), or nodata, nxdomain, servfail
    refused, unreachable, timeout
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
import struct
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from plumb.kernel.netns.namespaces import entered
from tests.conformance import dns

QUIET, ROUNDS = (
    0.25,
    3,
)  # all is said when nobody has heard anything for that many seconds, so many times
RESOLVER_PATIENCE = 4.0  # a resolver of the container's own may have to ask others first
IP_PKTINFO = 8  # linux/in.h; the socket module has it from Python 3.14 on
WHICH_ADDRESS = {
    socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
}
ECHO = {4: (8, 0), 6: (128, 129)}  # ICMP's echo request and reply
IDENTS = itertools.count(1000)

NOBODY = ("timeout", "unreachable", "refused")
"""Answers after which there is no need to insist."""

Results = dict[str, dict[str, str]]  # where from → probe → what it found


@dataclass(frozen=True)
class Probe:
    """One question: `ident` names it.

    For dns, `host` is the name asked for and `server` the resolver. A question for a balancer is
    put several `times`, one after the other, and the answers are counted.
    """

    ident: str
    proto: str
    host: str
    port: int = 0
    server: str = ""
    times: int = 0


@dataclass(frozen=True)
class Server:
    """An echo server on both protocols and both families, which answers with its name and the
    source it sees."""

    netns: str
    name: str
    ports: Sequence[int]


# -- servers ------------------------------------------------------------------------------


class Laboratory:
    """The event loop, with the servers that answer while it runs."""

    def __init__(self, servers: Iterable[Server], resolver: tuple[str, str]) -> None:
        """Open the servers' sockets.

        `resolver` is the namespace and the address of the one that knows external.test.
        """
        self.loop = asyncio.new_event_loop()
        self._open: list[socket.socket] = []
        for server in servers:
            with entered(server.netns):
                for port in server.ports:
                    self._echo(server.name, port)
        with entered(resolver[0]):
            listener = self._socket(socket.AF_INET, socket.SOCK_DGRAM)
            listener.bind((resolver[1], 53))
            self.loop.add_reader(listener, _resolve, listener)

    def close(self) -> None:
        """Close every socket, or its namespace would live on."""
        self.loop.close()
        for each in self._open:
            each.close()

    def _socket(self, family: int, kind: int) -> socket.socket:
        made = socket.socket(family, kind)
        made.setblocking(False)
        self._open.append(made)
        return made

    def _echo(self, name: str, port: int) -> None:
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            for kind, answer in ((socket.SOCK_STREAM, _accept), (socket.SOCK_DGRAM, _reply)):
                listener = self._socket(family, kind)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                try:
                    listener.bind((address, port))
                except (
                    OSError
                ) as error:  # containers that share a namespace: the first one has the TCP port
                    if error.errno != errno.EADDRINUSE:
                        raise
                    continue
                if kind == socket.SOCK_STREAM:
                    listener.listen(64)
                else:
                    listener.setsockopt(*WHICH_ADDRESS[family], 1)
                self.loop.add_reader(listener, answer, listener, name)

    def ask(self, questions: Mapping[str, tuple[str, Sequence[Probe]]]) -> Results:
        """Put every question at once, and then those that are to be repeated.

        `questions` are by the name of where they are asked, with its namespace.
        """
        found = self._at_once(questions)
        for source, (netns, probes) in questions.items():
            for probe in sorted(probes, key=lambda probe: probe.ident):
                if probe.times:
                    found[source][probe.ident] = self._counted(netns, probe)
        return found

    def _at_once(self, questions: Mapping[str, tuple[str, Sequence[Probe]]]) -> Results:
        with ExitStack() as stack:
            tasks: dict[asyncio.Task[str], tuple[str, Probe]] = {}
            for source, (netns, probes) in questions.items():
                with entered(netns):
                    for probe in (each for each in probes if not each.times):
                        endpoint = stack.enter_context(closing(_endpoint(probe)))
                        tasks[self.loop.create_task(_attempt(endpoint, probe))] = source, probe
            self.loop.run_until_complete(_until_quiet(tasks))
            found: Results = {source: {} for source in questions}
            for task, (source, probe) in tasks.items():
                found[source][probe.ident] = "timeout" if task.cancelled() else task.result()
            return found

    def _counted(self, netns: str, probe: Probe) -> str:
        """Put a question several times: "a saw 10.0.0.2 x2, b saw 10.0.0.2 x2"."""
        counts: Counter[str] = Counter()
        for _ in range(probe.times):
            with entered(netns):
                endpoint = _endpoint(probe)
            with closing(endpoint):
                said = self.loop.run_until_complete(_in_time(endpoint, probe))
            counts[said] += 1
            if said in NOBODY and len(counts) == 1:
                break
        if len(counts) == 1 and " saw " not in said:
            return said
        return ", ".join(f"{who} x{number}" for who, number in sorted(counts.items()))


@contextmanager
def laboratory(servers: Iterable[Server], resolver: tuple[str, str]) -> Iterator[Laboratory]:
    """Servers, for the length of a with block."""
    made = Laboratory(servers, resolver)
    try:
        yield made
    finally:
        made.close()


def _accept(listener: socket.socket, name: str) -> None:
    connection, peer = listener.accept()
    with connection:
        connection.sendall(f"{name} {peer[0]}".encode())


def _reply(listener: socket.socket, name: str) -> None:
    """Answer a datagram from the address that was asked."""
    _, ancillary, _, peer = listener.recvmsg(2048, 256)
    from_there = []
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP:  # interface, source to use, destination seen
            from_there.append((level, kind, struct.pack("=i4s4s", 0, data[8:12], bytes(4))))
        else:
            from_there.append((level, kind, data[:16] + struct.pack("=i", 0)))
    with suppress(OSError):  # there may be no way back
        listener.sendmsg([f"{name} {peer[0]}".encode()], from_there, 0, peer)


def _resolve(listener: socket.socket) -> None:
    query, peer = listener.recvfrom(2048)
    with suppress(OSError):  # there may be no way back
        listener.sendto(dns.answer(query), peer)


# -- probes -------------------------------------------------------------------------------


async def _until_quiet(tasks: dict[asyncio.Task[str], tuple[str, Probe]]) -> None:
    """Let the probes run until all are answered, or nothing more is heard."""
    pending, silent = set(tasks), 0.0
    while pending and silent < (
        RESOLVER_PATIENCE
        if any(tasks[t][1].server.startswith("127.") for t in pending)
        else QUIET * ROUNDS
    ):
        done, pending = await asyncio.wait(
            pending, timeout=QUIET, return_when=asyncio.FIRST_COMPLETED
        )
        silent = 0.0 if done else silent + QUIET
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def _in_time(endpoint: socket.socket, probe: Probe) -> str:
    try:
        async with asyncio.timeout(QUIET * ROUNDS):
            return await _attempt(endpoint, probe)
    except TimeoutError:
        return "timeout"


def _endpoint(probe: Probe) -> socket.socket:
    six = ip_address(probe.server or probe.host).version == 6
    family = socket.AF_INET6 if six else socket.AF_INET
    if probe.proto == "icmp":
        made = socket.socket(
            family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
        )
    else:
        made = socket.socket(
            family, socket.SOCK_STREAM if probe.proto == "tcp" else socket.SOCK_DGRAM
        )
    made.setblocking(False)
    return made


async def _attempt(endpoint: socket.socket, probe: Probe) -> str:
    try:
        return await ATTEMPTS[probe.proto](endpoint, probe)
    except OSError as error:
        return (
            "refused"
            if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET)
            else UNREACHABLE.get(error.errno or 0, str(error))
        )


UNREACHABLE = dict.fromkeys(
    (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL),
    "unreachable",
) | {errno.ETIMEDOUT: "timeout"}


async def _tcp(endpoint: socket.socket, probe: Probe) -> str:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(endpoint, (probe.host, probe.port))
    return _who(await loop.sock_recv(endpoint, 256))


def _who(data: bytes) -> str:
    """Who answered; a relay that has nobody behind it hangs up at once."""
    return "{} saw {}".format(*data.decode().split()) if data else "refused"


async def _udp(endpoint: socket.socket, probe: Probe) -> str:
    endpoint.connect((probe.host, probe.port))  # sends nothing yet
    return _who(await _insist(endpoint, b"?", lambda data: True))


async def _icmp(endpoint: socket.socket, probe: Probe) -> str:
    version = ip_address(probe.host).version
    request, reply = ECHO[version]
    ident = next(IDENTS) & 0xFFFF
    head = struct.pack("!BBHHH", request, 0, 0, ident, 1)
    if version == 4:  # the kernel sums up ICMPv6 itself
        head = struct.pack("!BBHHH", request, 0, _checksum(head), ident, 1)

    def mine(data: bytes) -> bool:
        """Whether this is the answer: a raw socket hears all of the namespace's ICMP."""
        body = data if version == 6 else data[(data[0] & 15) * 4 :]
        kind, _, _, got = struct.unpack("!BBHH", body[:6])
        return (kind, got) == (reply, ident)

    endpoint.connect((probe.host, 0))
    await _insist(endpoint, head, mine)
    return "ok"


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


async def _dns(endpoint: socket.socket, probe: Probe) -> str:
    loop = asyncio.get_running_loop()
    endpoint.connect((probe.server, 53))
    await loop.sock_sendall(endpoint, dns.query(probe.host))
    return dns.told(await loop.sock_recv(endpoint, 4096))


async def _insist(
    endpoint: socket.socket, question: bytes, wanted: Callable[[bytes], bool]
) -> bytes:
    """Send until there is the answer that is wanted.

    The first packet may be lost while a neighbour is found.
    """
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_sendall(endpoint, question)
        try:
            async with asyncio.timeout(QUIET):
                while True:
                    data = await loop.sock_recv(endpoint, 2048)
                    if wanted(data):
                        return data
        except TimeoutError:
            continue


ATTEMPTS: dict[str, Callable[[socket.socket, Probe], Coroutine[Any, Any, str]]] = {
    "tcp": _tcp,
    "udp": _udp,
    "icmp": _icmp,
    "dns": _dns,
}
