"""The embedded DNS server of a sandbox.

It listens at 127.0.0.11 in the sandbox's netns, on two arbitrary ports; the sandbox's own NAT rules
redirect port 53 of that address to them (`drivers.embedded_dns`). It receives two kinds of queries:

    for names of the sandbox's networks     answered from the zone (`zone`, `local_answers`)
    for all other names                     sent to up to three servers (`forwarder`, `upstream`)

Programs do not cache replies, so each query comes again. The server prepares a reply from the zone
once (`cache`); the next such query costs a dictionary lookup and the copy of its id. Of a forwarded
query the cache only holds that it is forwarded: the reply's TTL is the upstream server's.

If resolv.conf has `ndots`, the client tries a name with fewer dots with its search domains first;
so the server does not forward an address query for a name without a dot: it sends an empty reply,
and the client goes on with the search domains.

A client may send any bytes. A packet that cannot be parsed gets an error or no reply; if plumb
itself fails on one, the agent logs that and replies SERVFAIL. No packet ends a server.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import NamedTuple

from plumb.agent.dns import message
from plumb.agent.dns.cache import AnswerCache
from plumb.agent.dns.forwarder import Forwarder, usable
from plumb.agent.dns.limits import ByteQuota, ServerContext
from plumb.agent.dns.tcp_server import Clients
from plumb.agent.dns.zone import ZoneView
from plumb.agent.loop import IN

BATCH = 64
"""Packets with a cached reply that are answered before other sockets have their turn."""
UNPREPARED_BATCH = 8
"""The same for packets without one: each costs as much as a few dozen others."""


class Served(NamedTuple):
    """Configuration of a sandbox's server: the fields of `things.dns.Resolver`.

    Attributes:
        ns: path of its netns; ip, udp, tcp: the server's address and ports.
        networks: ids, in search order; links: network, alias, name.
        upstreams: addresses, each with True if it is asked from the sandbox; outside: True if the
            sandbox has a way out.
        ndots: True if the user has set it.
    """

    ns: str
    ip: str
    udp: int
    tcp: int
    networks: tuple[str, ...] = ()
    links: tuple[tuple[str, str, str], ...] = ()
    upstreams: tuple[tuple[str, bool], ...] = ()
    outside: bool = True
    ndots: bool = False

    @property
    def address(self) -> tuple[str, int, int]:
        """Address and ports at which the server listens in its netns."""
        return self.ip, self.udp, self.tcp


class Resolver:
    """Server of one sandbox.

    Args:
        context: state that all servers share.
        cache: prepared replies of all sandboxes.
        served: its configuration.

    Raises:
        OSError: a port is taken, or the netns does not exist.
    """

    def __init__(self, context: ServerContext, cache: AnswerCache, served: Served) -> None:
        self._context = context
        self._datagrams, self._listener = context.sockets.listen(served.ns, *served.address)
        self._cache, self._version = cache.shard(), context.zone.version
        quota, self._party = ByteQuota(context), context.shares.party(served.ns)
        self._forwarder = Forwarder(context, quota, self._party, ZoneView((), {}), self._set_view)
        self._clients = Clients(
            context, quota, self._party, self._listener, self._by_stream, self._is_prepared
        )
        self.configure(served)
        try:
            self._clients.begin()
            context.loop.watch(self._datagrams.fileno(), IN, self._by_datagram)
        except OSError:
            self.close()
            raise

    def configure(self, served: Served) -> None:
        """Change the configuration; address and ports stay."""
        self.served = served
        links: dict[str, dict[str, str]] = {}
        for network, alias, name in served.links:
            links.setdefault(network, {})[alias] = name
        self._servers = usable(served.upstreams, served.ns, served.ip, served.outside)
        self._set_view(ZoneView(served.networks, links))

    def _set_view(self, view: ZoneView) -> None:
        """Set the view of the zone, and drop the replies of the former one."""
        self._view = self._forwarder.view = view
        self._cache.forget()

    def _by_datagram(self, events: int) -> None:
        """Answer UDP queries.

        The number of queries per second depends on this function, so it does nothing twice.
        """
        receive, send = self._datagrams.recvfrom, self._datagrams.sendto
        self._drop_outdated()
        known, unprepared = self._cache.datagrams, 0
        for _ in range(BATCH):
            try:
                packet, client = receive(message.MAX_MESSAGE)
                tails = known.get(packet[2:])
                if tails:
                    send(packet[:2] + tails[int(random() * len(tails))], client)
                    continue
            except BlockingIOError:
                return
            except OSError:
                continue  # the client's own firewall, or no port to answer to: datagrams get lost
            self._answer(packet, False, self._reply(packet[:2], client))
            unprepared += 1
            if unprepared == UNPREPARED_BATCH:
                return

    def _reply(self, identity: bytes, client: tuple[str, int]) -> Callable[[bytes], None]:
        def reply(tail: bytes) -> None:
            try:
                self._datagrams.sendto(identity + tail, client)
            except OSError:
                pass  # as above; or the sandbox is served no more

        return reply

    def _is_prepared(self, packet: bytes) -> bool:
        """True if the reply to a TCP query is in the cache."""
        return bool(self._cache.streams.get(packet[2:]))

    def _by_stream(self, packet: bytes, reply: Callable[[bytes], None]) -> bool:
        """Answer a TCP query; False if there will be no reply."""
        self._drop_outdated()
        tails = self._cache.streams.get(packet[2:])
        if tails:
            reply(tails[int(random() * len(tails))])
            return True
        return self._answer(packet, True, reply)

    def _drop_outdated(self) -> None:
        """Drop the cached replies if the zone has changed since."""
        if self._version != self._context.zone.version:
            self._version = self._context.zone.version
            self._cache.forget()

    def _answer(self, packet: bytes, stream: bool, reply: Callable[[bytes], None]) -> bool:
        """Answer a query that has no cached reply; False if there will be none."""
        question = None
        try:
            question = message.parse_question(packet)
            if question is None:
                return False
            self._resolve(packet, question, stream, reply)
        except message.Refused as refused:
            reply(message.error(packet, refused.rcode))
        except Exception as failure:  # whatever it is, it is this packet's: the others are served
            self._context.log_failure(failure)
            reply(message.error(packet, message.SERVFAIL, question))
        return True

    def _resolve(
        self,
        packet: bytes,
        question: message.Question,
        stream: bool,
        reply: Callable[[bytes], None],
    ) -> None:
        from plumb.agent.dns import local_answers

        known = self._cache.streams if stream else self._cache.datagrams
        if packet[2:] not in known:
            tails = local_answers.local(self._context.zone, self._view, packet, question, stream)
            if tails is None and self.served.ndots and local_answers.single_label(packet, question):
                tails = local_answers.nothing(packet, question)
            self._cache.add(stream, packet[2:], tails or ())
            if tails:
                reply(tails[int(random() * len(tails))])
                return
        self._forwarder.ask(packet, question, self._servers, stream, reply)

    def close(self) -> None:
        """Close the sockets; clients that wait get no reply."""
        self._forwarder.close()
        self._clients.close()
        self._cache.close()
        self._context.shares.forget(*self._party.name)
        self._context.loop.forget(self._datagrams.fileno())
        self._datagrams.close()
        self._listener.close()
