"""Forwarding: what the zone does not know is asked elsewhere, of the servers that the container would have asked otherwise.

    own resolv.conf or --dns    asked from the sandbox's namespace: the user means a server that the container can reach
    the host's                  asked from the host's: it may be on the host's loopback, as systemd-resolved's 127.0.0.53 is;
                                not at all for a container without a way out, or names would be its way out

Up to three are asked, one after the other, in the way in which the container has asked, UDP or TCP;
each has four seconds. One that fails (SERVFAIL), refuses, cannot be reached or talks nonsense is
passed over; any other answer is handed on as it is, "no such name" too. Where none is left, the
answer is SERVFAIL.

Of one sandbox 1024 questions may be under way, and as many wait, four seconds at most; who comes
then is refused (REFUSED).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv6Address, ip_address
from itertools import islice

from plumb.agent.dns import message
from plumb.agent.dns.limits import ByteQuota, ServerContext
from plumb.agent.dns.upstream import Datagrams, Stream, UpstreamQuery
from plumb.agent.dns.zone import ZoneView

MOST = 3
"""Servers that are asked."""
LEARNT = 16
"""Records of one answer that may be about the zone's own addresses.

To read more names is to be kept busy.
"""
LONGEST = 4096
"""Bytes of a question that is asked elsewhere: a name has 255, and what EDNS adds is short."""
PAUSE = 0.05
"""Seconds until another attempt where there was no descriptor left."""
Server = tuple[str, str]
"""An address, and the namespace file to ask from, "" for the agent's own."""
Reply = Callable[[bytes], None]
"""Takes an answer without its id."""


def usable(
    upstreams: Sequence[tuple[str, bool]], ns: str, own: str, outside: bool
) -> tuple[Server, ...]:
    """The servers to ask, in order.

    Args:
        upstreams: addresses, and whether they are the sandbox's to ask.
        own: where the embedded server itself is found: asked by itself it would ask itself.
        outside: whether the sandbox has a way out.
    """
    plain = [(_plain(ip), inside) for ip, inside in upstreams]
    first = [(ip, inside) for ip, inside in plain if not (inside and ip == own)][:MOST]
    return tuple((ip, ns if inside else "") for ip, inside in first if inside or outside)


def _plain(text: str) -> str:
    """An IPv4 address in IPv6's spelling is the IPv4 address (RFC 4291, 2.5.5.2)."""
    ip = ip_address(text)
    return str(ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else text


class Forward:
    """A question that is with servers elsewhere, or waits to be."""

    __slots__ = ("_forwarder", "exchange", "packet", "question", "reply", "servers", "stream")

    def __init__(
        self,
        forwarder: Forwarder,
        packet: bytes,
        question: message.Question,
        servers: Iterator[Server],
        stream: bool,
        reply: Reply,
    ) -> None:
        self._forwarder = forwarder
        self.packet, self.question, self.servers, self.stream, self.reply = (
            packet,
            question,
            servers,
            stream,
            reply,
        )
        self.exchange: UpstreamQuery | None = None

    def expire(self) -> None:
        """The server, or the place in the queue, has taken too long."""
        self._forwarder.late(self)


class Forwarder:
    """Forwards the questions of one sandbox.

    Args:
        share: of the bytes that are kept.
        on_view: is told when it sees the zone otherwise, after what servers elsewhere have said.

    Attributes:
        view: what it sees of the zone, to tell who answers for whom.
    """

    def __init__(
        self,
        commons: ServerContext,
        share: ByteQuota,
        view: ZoneView,
        on_view: Callable[[ZoneView], None],
    ) -> None:
        self._commons, self._share, self.view, self._on_view = commons, share, view, on_view
        self._under_way: dict[Forward, None] = {}
        self._waiting: OrderedDict[Forward, None] = OrderedDict()
        self._starting = self._rests = False

    def ask(
        self,
        packet: bytes,
        question: message.Question,
        servers: Sequence[Server],
        stream: bool,
        reply: Reply,
    ) -> None:
        """Ask the servers, and reply what they answer; at once, or later.

        Args:
            packet: the question as it came, and what may lie behind it; question: the same,
            understood.
            stream: whether by TCP.
        """
        packet = packet[: question.whole]
        if not servers:
            reply(message.error(packet, message.SERVFAIL, question))
            return
        commons, limits = self._commons, self._commons.limits
        mine = len(self._under_way) + len(self._waiting)
        crowded = commons.forwards >= limits.forwards and mine >= limits.granted
        if (
            crowded
            or len(self._waiting) >= limits.waiting
            or len(packet) > LONGEST
            or not self._share.hold(len(packet))
        ):
            reply(message.error(packet, message.REFUSED, question))
            return
        commons.forwards += 1
        forward = Forward(self, packet, question, iter(servers), stream, reply)
        self._waiting[forward] = None
        commons.patience.add(forward)
        self._start()

    def _start(self) -> None:
        """Begin with those that wait, as far as there is room."""
        if self._starting:
            return
        self._starting = True
        try:
            while self._waiting and len(self._under_way) < self._commons.limits.slots:
                if self._commons.loop.full:
                    self._rest()
                    return
                forward = self._waiting.popitem(last=False)[0]
                self._under_way[forward] = None
                self._next(forward)
        finally:
            self._starting = False

    def _rest(self) -> None:
        if not self._rests:
            self._rests = True
            self._commons.loop.later(PAUSE, self._resume)

    def _resume(self) -> None:
        self._rests = False
        self._start()

    def _next(self, forward: Forward) -> None:
        """Ask the next server that can be asked."""
        way = Stream if forward.stream else Datagrams
        for server in forward.servers:
            try:
                forward.exchange = way(
                    self._commons,
                    self._share,
                    server,
                    forward.packet,
                    forward.question,
                    lambda answer: self._heard(forward, answer),
                )
            except OSError:
                continue
            self._commons.patience.add(forward)
            return
        self._end(forward, message.SERVFAIL)

    def _heard(self, forward: Forward, answer: bytes | None) -> None:
        forward.exchange = None
        if answer is None or answer[3] & 15 in (message.SERVFAIL, message.REFUSED):
            self._next(forward)
            return
        try:
            named = message.addresses(answer, forward.question.end)
        except message.Refused:
            self._next(forward)
            return
        if named:
            self._learn(answer, named)
        self._finish(forward, answer[2:])

    def _learn(self, answer: bytes, named: list[message.Record]) -> None:
        """Servers elsewhere may know an address of the zone's by the very name that it has here.

        Then it is theirs to tell about.
        """
        from plumb.agent.dns.local_answers import owner_of

        zone = self._commons.zone
        view = self.view
        told = ((record, answer[record.data : record.data + record.size]) for record in named)
        for record, ip in islice(
            ((record, ip) for record, ip in told if zone.called(self.view, ip)), LEARNT
        ):
            view = zone.learnt(view, owner_of(answer, record), ip)
        if view is not self.view:
            self._on_view(view)

    def late(self, forward: Forward) -> None:
        """Go on to the next server, or give up waiting."""
        if forward.exchange is None:
            self._end(forward, message.REFUSED)
        else:
            forward.exchange.close()
            forward.exchange = None
            self._next(forward)

    def _end(self, forward: Forward, rcode: int) -> None:
        self._finish(forward, message.error(forward.packet, rcode, forward.question))

    def _finish(self, forward: Forward, answer: bytes) -> None:
        self._forget(forward)
        forward.reply(answer)
        self._start()

    def _forget(self, forward: Forward) -> None:
        self._commons.patience.discard(forward)
        self._under_way.pop(forward, None)
        self._waiting.pop(forward, None)
        self._commons.forwards -= 1
        self._share.let_go(len(forward.packet))

    def close(self) -> None:
        """Forget all questions; nobody waits for their answers."""
        for forward in [*self._under_way, *self._waiting]:
            if forward.exchange is not None:
                forward.exchange.close()
                forward.exchange = None
            self._forget(forward)

    @property
    def busy(self) -> int:
        """How many questions there are, under way or waiting."""
        return len(self._under_way) + len(self._waiting)
