"""Forwarding: queries for names outside the zone go to the container's upstream servers.

    own resolv.conf or --dns    asked from the sandbox's netns: the user means a server that the
                                container can reach
    the host's                  asked from the host's netns: the server may listen on the host's
                                loopback, as systemd-resolved does at 127.0.0.53; not asked at all
                                for a container without a way out, or DNS would be its way out

The agent asks up to three servers, one after the other, over the transport that the client used,
UDP or TCP; each has four seconds. A server that fails (SERVFAIL), refuses, cannot be reached or
sends a malformed reply is skipped; any other reply goes to the client unchanged, NXDOMAIN too. When
no server is left, the client gets SERVFAIL.

One sandbox may have 1024 queries in flight and as many in its queue, four seconds at most; further
queries are refused (REFUSED). So are those with a server, the oldest first, when their sandbox has
the most descriptors of all and another one needs a descriptor (`agent.shares`).
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
from plumb.agent.shares import Bound, Lease, Party, Peer

MAX_SERVERS = 3
"""Upstream servers that are asked, at most."""
MAX_LEARNT = 16
"""Records of one reply that are compared with the zone's addresses, at most.

A longer reply could keep the agent busy with parsing names.
"""
MAX_QUESTION = 4096
"""Bytes of a query that is forwarded, at most: a name has 255, and EDNS adds little."""
RETRY_DELAY = 0.05
"""Seconds until the next attempt when no file descriptor was left."""
PEER = "queries"
"""Name of the forwarded queries of a sandbox among those that have its descriptors."""
Server = tuple[str, str]
"""Address of an upstream server, and the path of the netns to ask it from, "" for the agent's own.
"""
Reply = Callable[[bytes], None]
"""Callback for a reply without its id."""


def usable(
    upstreams: Sequence[tuple[str, bool]], ns: str, server_ip: str, outside: bool
) -> tuple[Server, ...]:
    """List the servers to ask, in order.

    Args:
        upstreams: addresses, each with True if it is asked from the sandbox's netns.
        server_ip: the embedded server's own address; a query to it would come back to it.
        outside: True if the sandbox has a way out.
    """
    plain = [(_plain(ip), inside) for ip, inside in upstreams]
    first = [(ip, inside) for ip, inside in plain if not (inside and ip == server_ip)][:MAX_SERVERS]
    return tuple((ip, ns if inside else "") for ip, inside in first if inside or outside)


def _plain(text: str) -> str:
    """Turn an IPv4-mapped IPv6 address into the IPv4 address (RFC 4291, 2.5.5.2)."""
    ip = ip_address(text)
    return str(ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else text


class Forward:
    """Query that is with an upstream server, or queued."""

    __slots__ = ("_forwarder", "packet", "query", "question", "reply", "servers", "stream")

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
        self.query: UpstreamQuery | None = None

    def expire(self) -> None:
        """Handle that the server, or the place in the queue, took too long."""
        self._forwarder.on_timeout(self)


class InFlight(Lease):
    """Descriptor of a query that is with an upstream server."""

    __slots__ = ("_forward", "_forwarder")

    def __init__(self, peer: Peer, now: float, forwarder: Forwarder, forward: Forward) -> None:
        super().__init__(peer, now)
        self._forwarder, self._forward = forwarder, forward

    def shed(self) -> None:
        """Refuse the query, as its descriptor is another sandbox's by now."""
        self._forwarder.on_shed(self._forward)


class Forwarder:
    """Forwards the queries of one sandbox.

    Args:
        quota: the sandbox's buffered bytes; party: its descriptors.
        on_view: called with the new view of the zone after an upstream reply has changed it.

    Attributes:
        view: the sandbox's view of the zone; it decides who answers for an address.
    """

    def __init__(
        self,
        context: ServerContext,
        quota: ByteQuota,
        party: Party,
        view: ZoneView,
        on_view: Callable[[ZoneView], None],
    ) -> None:
        self._context, self._quota, self.view, self._on_view = context, quota, view, on_view
        self._party = party
        self._in_flight: dict[Forward, InFlight] = {}
        self._queued: OrderedDict[Forward, None] = OrderedDict()
        self._starting = self._paused = False

    def ask(
        self,
        packet: bytes,
        question: message.Question,
        servers: Sequence[Server],
        stream: bool,
        reply: Reply,
    ) -> None:
        """Ask the servers, and pass their reply on, at once or later.

        Args:
            packet: the query as received, maybe with bytes behind it; question: the same, parsed.
            stream: True if it came over TCP.
        """
        packet = packet[: question.message_end]
        if not servers:
            reply(message.error(packet, message.SERVFAIL, question))
            return
        context, limits = self._context, self._context.limits
        active = len(self._in_flight) + len(self._queued)
        crowded = context.forwards >= limits.forwards and active >= limits.min_forwards
        if (
            crowded
            or len(self._queued) >= limits.queued
            or len(packet) > MAX_QUESTION
            or not self._quota.reserve(len(packet))
        ):
            self._party.refused += 1
            self._party.hit(Bound.ALL if crowded else Bound.PEER)
            reply(message.error(packet, message.REFUSED, question))
            return
        context.forwards += 1
        forward = Forward(self, packet, question, iter(servers), stream, reply)
        self._queued[forward] = None
        context.timeouts.add(forward)
        self._start()

    def _start(self) -> None:
        """Send queued queries while fewer than the limit are in flight."""
        if self._starting:
            return
        self._starting = True
        try:
            while self._queued and len(self._in_flight) < self._context.limits.in_flight:
                now = self._context.loop.now
                peer = self._party.room(PEER, InFlight.cost, now)
                if peer is None:
                    self._pause_starting()
                    return
                forward = self._queued.popitem(last=False)[0]
                self._in_flight[forward] = InFlight(peer, now, self, forward)
                self._next(forward)
        finally:
            self._starting = False

    def _pause_starting(self) -> None:
        if not self._paused:
            self._paused = True
            self._context.loop.later(RETRY_DELAY, self._resume)

    def _resume(self) -> None:
        self._paused = False
        self._start()

    def _next(self, forward: Forward) -> None:
        """Ask the next server that can be reached."""
        transport = Stream if forward.stream else Datagrams
        for server in forward.servers:
            try:
                forward.query = transport(
                    self._context,
                    self._quota,
                    server,
                    forward.packet,
                    forward.question,
                    lambda answer: self._on_answer(forward, answer),
                )
            except OSError:
                continue
            self._context.timeouts.add(forward)
            return
        self._fail(forward, message.SERVFAIL)

    def _on_answer(self, forward: Forward, answer: bytes | None) -> None:
        forward.query = None
        if answer is None or answer[3] & 15 in (message.SERVFAIL, message.REFUSED):
            self._next(forward)
            return
        try:
            records = message.addresses(answer, forward.question.end)
        except message.Refused:
            self._next(forward)
            return
        if records:
            self._learn(answer, records)
        self._finish(forward, answer[2:])

    def _learn(self, answer: bytes, records: list[message.Record]) -> None:
        """Note addresses of the zone to which an upstream server gives the name they have in it.

        From then on the upstream server is asked for the name of such an address.
        """
        from plumb.agent.dns.local_answers import owner_of

        zone = self._context.zone
        view = self.view
        known = ((record, answer[record.data : record.data + record.size]) for record in records)
        for record, ip in islice(
            ((record, ip) for record, ip in known if zone.called(self.view, ip)), MAX_LEARNT
        ):
            view = zone.learnt(view, owner_of(answer, record), ip)
        if view is not self.view:
            self._on_view(view)

    def on_timeout(self, forward: Forward) -> None:
        """Ask the next server, or refuse a query that was queued too long."""
        if forward.query is None:
            self._fail(forward, message.REFUSED)
        else:
            forward.query.close()
            forward.query = None
            self._next(forward)

    def on_shed(self, forward: Forward) -> None:
        """Refuse a query whose descriptor another sandbox needs now."""
        if forward.query is not None:
            forward.query.close()
            forward.query = None
        # Its reply and the next query of the queue wait until the other sandbox has its descriptor.
        self._context.loop.soon(lambda: self._refuse(forward))

    def _refuse(self, forward: Forward) -> None:
        if forward in self._in_flight:
            self._fail(forward, message.REFUSED)

    def _fail(self, forward: Forward, rcode: int) -> None:
        self._finish(forward, message.error(forward.packet, rcode, forward.question))

    def _finish(self, forward: Forward, answer: bytes) -> None:
        self._forget(forward)
        forward.reply(answer)
        self._start()

    def _forget(self, forward: Forward) -> None:
        self._context.timeouts.discard(forward)
        if forward in self._in_flight:
            self._in_flight.pop(forward).release()
        self._queued.pop(forward, None)
        self._context.forwards -= 1
        self._quota.release(len(forward.packet))

    def close(self) -> None:
        """Drop all queries; their clients get no reply."""
        for forward in [*self._in_flight, *self._queued]:
            if forward.query is not None:
                forward.query.close()
                forward.query = None
            self._forget(forward)

    @property
    def busy(self) -> int:
        """Number of queries, in flight and queued."""
        return len(self._in_flight) + len(self._queued)
