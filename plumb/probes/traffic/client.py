"""Client of the trials: it sends the requests, and polls the sockets of both sides."""

from __future__ import annotations

import errno
import secrets
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import groupby
from resource import RLIMIT_NOFILE, getrlimit

from plumb.address import IPAddress
from plumb.kernel.netns.namespaces import entered
from plumb.probes.promises.promise import Protocol
from plumb.probes.promises.verdicts import Observation, server_of
from plumb.probes.traffic.client_sockets import OTHER, ClientSockets, connection
from plumb.probes.traffic.responders import (
    MARK,
    NUMBER,
    TOKEN,
    IcmpListener,
    Listener,
    Listeners,
    answer,
    numbered_echo,
)
from plumb.probes.traffic.socket_errors import extended_error, words

AGAIN = 0.35
"""Seconds after which an unanswered datagram is sent again.

The kernel may drop the first one while ARP is under way.
"""
WINDOW, SPARE = 4096, 256
"""TCP connections that are open at a time; file descriptors for all else."""
UNSENT = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ECONNRESET})
"""Errors of an earlier packet, which the next sendto() reports and so fails."""
NO_ANSWER = "no answer"


def _is_established(stream: socket.socket) -> bool:
    """Test for an established connection."""
    try:
        stream.getpeername()
    except OSError:
        return False
    return True


@dataclass
class TrafficSpec:
    """A request under way.

    Attributes:
        begun, deadline: the times at which it is sent first, and given up (time.monotonic).
        resend_at: the time at which it is sent again.
        attempt: the number of times it was sent.
        destination: the address as text, for sockets.
        ping_source: the source address that the target received a ping from; empty: none yet.
        replied: the echo reply came.
        settled: the outcome is final.
    """

    outcome: Observation
    number: int
    listener: Listener | None
    begun: float
    deadline: float
    resend_at: float = 0.0
    attempt: int = 0
    destination: str = ""
    socket: socket.socket | None = None
    ping_source: str = ""
    replied: bool = False
    settled: bool = False


class TrafficSession:
    """Requests and answers between some namespaces.

    Args:
        places: the namespace file of each name.
        seconds: the timeout of each request.
        own: a name's own address on its route to another address.
        stack: closes the sockets.
        watch: the selector that polls them.
        progress: called with the number of requests settled since the last call.
    """

    def __init__(
        self,
        places: Mapping[str, str],
        seconds: float,
        own: Callable[[str, IPAddress], IPAddress | None],
        stack: ExitStack,
        watch: selectors.BaseSelector,
        progress: Callable[[int], None],
    ) -> None:
        self._places, self._seconds, self._own = places, seconds, own
        self._watch, self._progress = watch, progress
        self._listeners = Listeners(places, stack, watch)
        self._sockets = ClientSockets(places, stack, watch)
        self._open: dict[int, TrafficSpec] = {}
        self._by_outcome: dict[int, TrafficSpec] = {}
        # Connection tracking would take a number used before for a packet of the old flow.
        self._next = secrets.randbits(56)
        self._waiting: deque[TrafficSpec] = deque()
        self._resends: deque[TrafficSpec] = deque()
        self._connections = 0
        self._window = max(64, min(WINDOW, getrlimit(RLIMIT_NOFILE)[0] - SPARE - 3 * len(places)))

    # -- rounds ---------------------------------------------------------------

    def ask(self, outcomes: Sequence[Observation]) -> None:
        """Send requests; those of one source in sequence, so that its namespace is entered once."""
        for source, part in groupby(outcomes, lambda each: each.promise.source):
            listed = list(part)
            for each in listed:
                self._prepare(each)
            while listed:
                room = self._window - self._connections
                if room <= 0:
                    self._poll()
                    continue
                now, listed = listed[:room], listed[room:]
                with entered(self._places[source]):
                    connections = [
                        connection(each.promise.address.version)
                        if each.promise.protocol is Protocol.TCP
                        else None
                        for each in now
                    ]
                for each, made in zip(now, connections, strict=True):
                    self._begin(each, made)
                self._poll(0.0)

    def settle(self, outcomes: Sequence[Observation]) -> None:
        """Wait for those of these requests whose answer is promised."""
        due = [
            request
            for each in outcomes
            if each.promise.reach and (request := self._by_outcome.get(id(each))) is not None
        ]
        while any(not request.settled for request in due):
            self._poll()

    def finish(self) -> None:
        """Wait for all open requests."""
        while self._open:
            self._poll()

    # -- requests ---------------------------------------------------------------

    def _prepare(self, outcome: Observation) -> None:
        """Open the sockets that a request needs at both ends, before it is sent."""
        promise = outcome.promise
        version = promise.address.version
        if promise.protocol is Protocol.ICMP:
            self._sockets.icmp(promise.source, version)
            if promise.target in self._places:
                self._sockets.icmp(promise.target, version)
            return
        if promise.target in self._places:
            self._listeners.at(*server_of(promise))
        if promise.protocol is Protocol.UDP:
            self._sockets.datagrams(promise.source, version)

    def _begin(self, outcome: Observation, stream: socket.socket | None) -> None:
        promise, now = outcome.promise, time.monotonic()
        listener = None
        if promise.protocol is not Protocol.ICMP and promise.target in self._places:
            listener = self._listeners.at(*server_of(promise))
        self._next += 1
        request = TrafficSpec(
            outcome,
            self._next,
            listener,
            now,
            now + self._seconds,
            destination=self._sockets.text(promise.address),
            socket=stream,
        )
        self._open[request.number] = self._by_outcome[id(outcome)] = request
        self._waiting.append(request)
        if (
            promise.source_addresses == ()
            and (own := self._own(promise.source, promise.address)) is not None
        ):
            outcome.own = str(own)
        if stream is not None:
            self._connections += 1
        if listener is not None and not listener.port:
            self._close(request, f"cannot listen there: {words(listener.failed)}")
        elif stream is None:
            self._send(request)
        else:
            failed = stream.connect_ex((request.destination, self._port(request)))
            if failed not in (0, errno.EINPROGRESS):
                self._close(request, words(failed))
            else:
                self._watch.register(stream, selectors.EVENT_READ, request)

    def _port(self, request: TrafficSpec) -> int:
        service = request.outcome.promise.service
        return service.port if service else request.listener.port if request.listener else 0

    def _send(self, request: TrafficSpec) -> None:
        """Send a datagram, or send it again."""
        promise = request.outcome.promise
        version = promise.address.version
        request.attempt += 1
        if promise.protocol is Protocol.ICMP:
            sender, port = self._sockets.icmp(promise.source, version).socket, 0
            data = numbered_echo(version, request.number, request.attempt)
        else:
            sender, port = self._sockets.datagrams(promise.source, version), self._port(request)
            data = MARK + NUMBER.pack(request.number)
        for _ in range(3):
            try:
                sender.sendto(data, (request.destination, port))
                break
            except OSError as error:
                failed = error.errno or 0
                if failed not in UNSENT:
                    if failed not in (errno.EAGAIN, errno.ENOBUFS):
                        self._close(request, words(failed))
                    break
        request.resend_at = time.monotonic() + AGAIN
        # Two attempts show a promised silence.
        if not request.settled and (promise.reach or request.attempt == 1):
            self._resends.append(request)

    # -- replies ---------------------------------------------------------------

    def _poll(self, patience: float = AGAIN / 2) -> None:
        """Read all sockets, resend unanswered datagrams, give up requests past their deadline."""
        for key, _ in self._watch.select(patience):
            ready = key.data
            if isinstance(ready, Listener):
                answer(ready)
            elif isinstance(ready, IcmpListener):
                self._read_pings(ready)
                self._read_errors(ready.socket, 8)
            elif isinstance(ready, TrafficSpec):
                self._read_connection(ready)
            else:
                self._read_datagrams(ready)
                self._read_errors(ready, 0)
        now = time.monotonic()
        while self._resends and self._resends[0].resend_at <= now:
            request = self._resends.popleft()
            if not request.settled:
                self._send(request)
        while self._waiting and (self._waiting[0].settled or self._waiting[0].deadline <= now):
            self._give_up(self._waiting.popleft())

    def _give_up(self, request: TrafficSpec) -> None:
        if request.settled:
            return
        if request.listener is not None and request.listener.foreign:
            if request.socket is not None and _is_established(request.socket):
                # The proxy would have closed it if the container refused the port.
                self._reached(request, "")
                return
            request.outcome.doubt = (
                "a server of its own is there, which need not answer"
                if request.socket is None
                else ""
            )
        if request.replied:
            request.outcome.by = request.outcome.by or OTHER
        self._close(request, request.outcome.said)

    def _close(self, request: TrafficSpec, said: str = "") -> None:
        if request.settled:
            return
        request.settled, request.outcome.said = True, said
        request.outcome.seconds = time.monotonic() - request.begun
        del self._open[request.number]
        if request.socket is not None:
            with suppress(KeyError):
                self._watch.unregister(request.socket)
            request.socket.close()
            self._connections -= 1
        self._progress(1)

    def _reached(self, request: TrafficSpec, source: str) -> None:
        request.outcome.reached, request.outcome.source_address = True, source
        self._close(request)

    def _is_promised(self, request: TrafficSpec, token: bytes) -> bool:
        """Test for an answer of the promised listener; else record the name that answered."""
        if request.listener is None or request.listener.token == token:
            return True
        other = self._listeners.by_token(token)
        request.outcome.by = self._sockets.name_of(other.place) if other is not None else OTHER
        return False

    def _read_connection(self, request: TrafficSpec) -> None:
        """Read a connection: the answer, or an error."""
        assert request.socket is not None
        try:
            data = request.socket.recv(256)
        except BlockingIOError:
            # While the kernel resends the SYN, the error queue alone has the ICMP error.
            with suppress(OSError):
                self._close(
                    request,
                    str(
                        extended_error(request.socket.recvmsg(1, 512, socket.MSG_ERRQUEUE)[1])
                        or NO_ANSWER
                    ),
                )
            return
        except OSError as error:
            self._close(request, words(error.errno or 0))
            return
        if not data:
            self._close(request, "hung up")
        elif request.listener is not None and request.listener.foreign:
            self._reached(request, "")
        elif self._is_promised(request, data[:TOKEN]):
            self._reached(request, data[TOKEN:].decode(errors="replace"))
        else:
            self._close(request)

    def _read_datagrams(self, sender: socket.socket) -> None:
        """Read the answers on a UDP socket."""
        head = TOKEN + len(MARK)
        while True:
            try:
                data, peer = sender.recvfrom(256)
            except OSError:
                return
            if len(data) < head + NUMBER.size or data[TOKEN:head] != MARK:
                continue
            request = self._open.get(NUMBER.unpack_from(data, head)[0])
            if request is not None and peer[0].partition("%")[0] == request.destination:
                if self._is_promised(request, data[:TOKEN]):
                    self._reached(request, data[head + NUMBER.size :].decode(errors="replace"))
                else:
                    self._close(request)

    def _read_pings(self, listener: IcmpListener) -> None:
        """Read the pings on a raw socket.

        The target receives a request before the source gets the reply: so read its socket first.
        """
        for ping in listener.receive():
            request = self._open.get(ping.number)
            if request is None:
                continue
            promise = request.outcome.promise
            target = self._places.get(promise.target)
            if not ping.reply:
                if listener.place == target:
                    request.ping_source = ping.peer
                else:
                    request.outcome.by = self._sockets.name_of(listener.place)
            elif ping.peer == request.destination:
                request.replied = True
                if (
                    target is not None
                    and not request.ping_source
                    and (target, listener.version) != (listener.place, listener.version)
                ):
                    self._read_pings(self._sockets.icmp_at(target, listener.version))
            if request.replied and not request.settled and (request.ping_source or target is None):
                request.outcome.by = ""
                self._reached(request, request.ping_source)

    def _read_errors(self, sender: socket.socket, head: int) -> None:
        """Read ICMP errors from the error queue, each with the datagram that it is about.

        Args:
            head: the number of bytes of a datagram before MARK.
        """
        while True:
            try:
                data, ancillary, *_ = sender.recvmsg(512, 512, socket.MSG_ERRQUEUE)
            except OSError:
                break
            if (
                data[head : head + len(MARK)] == MARK
                and len(data) >= head + len(MARK) + NUMBER.size
            ):
                request = self._open.get(NUMBER.unpack_from(data, head + len(MARK))[0])
                if request is not None:
                    request.outcome.said = str(extended_error(ancillary) or NO_ANSWER)
        sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
