"""Asking: the other side of traffic, and the loop that watches both."""

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
from plumb.probes.promises.verdicts import Observation, asked
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
from plumb.probes.traffic.socket_errors import told, words

AGAIN = 0.35
"""Seconds after which a datagram that was not answered is sent once more.

The first may wait for ARP in vain.
"""
WINDOW, SPARE = 4096, 256
"""TCP connections that are open at a time; file descriptors that are left for others."""
UNSENT = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ECONNRESET})
"""Errors of a packet before, which keep the next one from being sent."""
NO_ANSWER = "no answer"


def _stands(stream: socket.socket) -> bool:
    """Whether a connection is established."""
    try:
        stream.getpeername()
    except OSError:
        return False
    return True


@dataclass
class TrafficSpec:
    """A question under way.

    Attributes:
        deadline: when it is given up.
        again: when it is sent once more.
        to: the address, as sockets want it.
        heard: who a ping came from, where it was heard by whom it was for; replied: that the answer
        came.
        over: it is settled.
    """

    outcome: Observation
    number: int
    listener: Listener | None
    begun: float
    deadline: float
    again: float = 0.0
    turn: int = 0
    to: str = ""
    socket: socket.socket | None = None
    heard: str = ""
    replied: bool = False
    over: bool = False


class TrafficSession:
    """All that is asked and answered between some places.

    Args:
        places: the namespace file of each name.
        seconds: how long each question waits.
        own: a name's own address on its way to another.
        watch: what to wait on.
        progress: is told how many more questions are settled.
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
        self._next = secrets.randbits(
            56
        )  # a number used before would be an answer to connection tracking, not a question
        self._waiting: deque[TrafficSpec] = deque()
        self._resent: deque[TrafficSpec] = deque()
        self._connections = 0
        self._window = max(64, min(WINDOW, getrlimit(RLIMIT_NOFILE)[0] - SPARE - 3 * len(places)))

    # -- what to do ---------------------------------------------------------------

    def ask(self, outcomes: Sequence[Observation]) -> None:
        """Send questions; those of one asker one after the other, so that it is entered once."""
        for source, part in groupby(outcomes, lambda each: each.promise.source):
            listed = list(part)
            for each in listed:
                self._prepare(each)
            while listed:
                room = self._window - self._connections
                if room <= 0:
                    self._turn()
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
                self._turn(0.0)

    def settle(self, outcomes: Sequence[Observation]) -> None:
        """Wait for those of these questions whose answer is promised."""
        due = [
            question
            for each in outcomes
            if each.promise.reach and (question := self._by_outcome.get(id(each))) is not None
        ]
        while any(not question.over for question in due):
            self._turn()

    def finish(self) -> None:
        """Wait for all that is open."""
        while self._open:
            self._turn()

    # -- asking ---------------------------------------------------------------

    def _prepare(self, outcome: Observation) -> None:
        """Open the ears and listeners that a question needs, before anybody knocks."""
        promise = outcome.promise
        version = promise.address.version
        if promise.protocol is Protocol.ICMP:
            self._sockets.icmp(promise.source, version)
            if promise.target in self._places:
                self._sockets.icmp(promise.target, version)
            return
        if promise.target in self._places:
            self._listeners.at(*asked(promise))
        if promise.protocol is Protocol.UDP:
            self._sockets.datagrams(promise.source, version)

    def _begin(self, outcome: Observation, stream: socket.socket | None) -> None:
        promise, now = outcome.promise, time.monotonic()
        listener = None
        if promise.protocol is not Protocol.ICMP and promise.target in self._places:
            listener = self._listeners.at(*asked(promise))
        self._next += 1
        question = TrafficSpec(
            outcome,
            self._next,
            listener,
            now,
            now + self._seconds,
            to=self._sockets.text(promise.address),
            socket=stream,
        )
        self._open[question.number] = self._by_outcome[id(outcome)] = question
        self._waiting.append(question)
        if promise.seen == () and (own := self._own(promise.source, promise.address)) is not None:
            outcome.own = str(own)
        if stream is not None:
            self._connections += 1
        if listener is not None and not listener.port:
            self._over(question, f"cannot listen there: {words(listener.failed)}")
        elif stream is None:
            self._send(question)
        else:
            failed = stream.connect_ex((question.to, self._port(question)))
            if failed not in (0, errno.EINPROGRESS):
                self._over(question, words(failed))
            else:
                self._watch.register(stream, selectors.EVENT_READ, question)

    def _port(self, question: TrafficSpec) -> int:
        service = question.outcome.promise.service
        return service.port if service else question.listener.port if question.listener else 0

    def _send(self, question: TrafficSpec) -> None:
        """Send a datagram, or send it again."""
        promise = question.outcome.promise
        version, to = promise.address.version, question.to
        question.turn += 1
        if promise.protocol is Protocol.ICMP:
            sender, port = self._sockets.icmp(promise.source, version).socket, 0
            data = numbered_echo(version, question.number, question.turn)
        else:
            sender, port = self._sockets.datagrams(promise.source, version), self._port(question)
            data = MARK + NUMBER.pack(question.number)
        for _ in range(3):
            try:
                sender.sendto(data, (to, port))
                break
            except OSError as error:
                failed = error.errno or 0
                if failed not in UNSENT:
                    if failed not in (errno.EAGAIN, errno.ENOBUFS):
                        self._over(question, words(failed))
                    break
        question.again = time.monotonic() + AGAIN
        if not question.over and (
            promise.reach or question.turn == 1
        ):  # silence that is promised is asked twice, and not more
            self._resent.append(question)

    # -- watching ---------------------------------------------------------------

    def _turn(self, patience: float = AGAIN / 2) -> None:
        """Hear what has come, send again what was not answered, give up what waited too long."""
        for key, _ in self._watch.select(patience):
            what = key.data
            if isinstance(what, Listener):
                answer(what)
            elif isinstance(what, IcmpListener):
                self._hear(what)
                self._errors(what.socket, 8)
            elif isinstance(what, TrafficSpec):
                self._connected(what)
            else:
                self._answers(what)
                self._errors(what, 0)
        now = time.monotonic()
        while self._resent and self._resent[0].again <= now:
            question = self._resent.popleft()
            if not question.over:
                self._send(question)
        while self._waiting and (self._waiting[0].over or self._waiting[0].deadline <= now):
            self._give_up(self._waiting.popleft())

    def _give_up(self, question: TrafficSpec) -> None:
        if question.over:
            return
        if question.listener is not None and question.listener.foreign:
            if question.socket is not None and _stands(question.socket):
                self._arrived(question, "")  # a proxy with nobody behind it would have hung up
                return
            question.outcome.doubt = (
                "a server of its own is there, which need not answer"
                if question.socket is None
                else ""
            )
        if question.replied:
            question.outcome.by = question.outcome.by or OTHER
        self._over(question, question.outcome.said)

    def _over(self, question: TrafficSpec, said: str = "") -> None:
        if question.over:
            return
        question.over, question.outcome.said = True, said
        question.outcome.seconds = time.monotonic() - question.begun
        del self._open[question.number]
        if question.socket is not None:
            with suppress(KeyError):
                self._watch.unregister(question.socket)
            question.socket.close()
            self._connections -= 1
        self._progress(1)

    def _arrived(self, question: TrafficSpec, seen: str) -> None:
        question.outcome.reached, question.outcome.seen = True, seen
        self._over(question)

    def _by(self, question: TrafficSpec, token: bytes) -> bool:
        """Whether an answer is from whom it was promised; else who that is, is noted."""
        if question.listener is None or question.listener.token == token:
            return True
        other = self._listeners.of(token)
        question.outcome.by = self._sockets.name_of(other.place) if other is not None else OTHER
        return False

    def _connected(self, question: TrafficSpec) -> None:
        """A connection has said something: an answer, or that there is none."""
        assert question.socket is not None
        try:
            data = question.socket.recv(256)
        except BlockingIOError:
            # What ICMP says while the kernel still sends the SYN is in the queue of errors alone.
            with suppress(OSError):
                self._over(
                    question,
                    str(told(question.socket.recvmsg(1, 512, socket.MSG_ERRQUEUE)[1]) or NO_ANSWER),
                )
            return
        except OSError as error:
            self._over(question, words(error.errno or 0))
            return
        if not data:
            self._over(question, "hung up")
        elif question.listener is not None and question.listener.foreign:
            self._arrived(question, "")
        elif self._by(question, data[:TOKEN]):
            self._arrived(question, data[TOKEN:].decode(errors="replace"))
        else:
            self._over(question)

    def _answers(self, sender: socket.socket) -> None:
        """Datagrams have come."""
        head = TOKEN + len(MARK)
        while True:
            try:
                data, peer = sender.recvfrom(256)
            except OSError:
                return
            if len(data) < head + NUMBER.size or data[TOKEN:head] != MARK:
                continue
            question = self._open.get(NUMBER.unpack_from(data, head)[0])
            if question is not None and peer[0].partition("%")[0] == question.to:
                if self._by(question, data[:TOKEN]):
                    self._arrived(question, data[head + NUMBER.size :].decode(errors="replace"))
                else:
                    self._over(question)

    def _hear(self, ear: IcmpListener) -> None:
        """Pings have come, or their answers.

        Who answers has heard the question before: so look there first.
        """
        for heard in ear.hear():
            question = self._open.get(heard.number)
            if question is None:
                continue
            promise = question.outcome.promise
            target = self._places.get(promise.target)
            if not heard.reply:
                if ear.place == target:
                    question.heard = heard.peer
                else:
                    question.outcome.by = self._sockets.name_of(ear.place)
            elif heard.peer == question.to:
                question.replied = True
                if (
                    target is not None
                    and not question.heard
                    and (target, ear.version) != (ear.place, ear.version)
                ):
                    self._hear(self._sockets.icmp_at(target, ear.version))
            if question.replied and not question.over and (question.heard or target is None):
                question.outcome.by = ""
                self._arrived(question, question.heard)

    def _errors(self, sender: socket.socket, head: int) -> None:
        """ICMP errors that were kept with the datagram that they are about, of which `head` bytes come before our mark."""
        while True:
            try:
                data, ancillary, *_ = sender.recvmsg(512, 512, socket.MSG_ERRQUEUE)
            except OSError:
                break
            if (
                data[head : head + len(MARK)] == MARK
                and len(data) >= head + len(MARK) + NUMBER.size
            ):
                question = self._open.get(NUMBER.unpack_from(data, head + len(MARK))[0])
                if question is not None:
                    question.outcome.said = str(told(ancillary) or NO_ANSWER)
        sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
