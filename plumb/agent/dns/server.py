"""The embedded DNS server of a sandbox.

It listens at 127.0.0.11 in the sandbox's namespace, on two ports of no meaning, to which the
sandbox's own firewall rewrites what is sent to port 53 there (`drivers.embedded_dns`). Two kinds of
questions arrive:

    about names of the sandbox's networks       answered out of the zone (`zone`, `answers`)
    about all else                              asked elsewhere, of up to three servers (`forwarding`, `exchange`)

and each a second time: programs keep no answers. So an answer is prepared once (`remembered`), and
who asks the same costs a look
into a table, and the id: what is forwarded is not remembered but for the fact that it is, as others
say how long their answers hold.

Where resolv.conf says `ndots`, a name with fewer dots is first tried with the search domains; so an
address of a name without any is not asked for elsewhere then: the answer is empty, and the client
goes on to the domains.

A program may send what it likes. A packet that cannot be read is answered as such or not at all,
and if plumb itself stumbles over one, that is written down, and the answer is SERVFAIL: no packet
ends a server.
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
"""Datagrams that are answered before it is the others' turn, if the answers are prepared."""
UNPREPARED = 8
"""Those that are not: each costs as much as a few dozen others."""


class Served(NamedTuple):
    """What is served to a sandbox: the fields of `things.dns.Resolver`.

    Attributes:
        ns: its namespace file; ip, udp, tcp: the address and the ports.
        networks: ids, in the order in which they are searched; links: network, alias, name.
        upstreams: addresses, and whether they are asked from the sandbox; outside: it has a way
        out.
        ndots: the user has set it.
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
    def place(self) -> tuple[str, int, int]:
        """Where it listens in its namespace."""
        return self.ip, self.udp, self.tcp


class Resolver:
    """Serves one sandbox.

    Args:
        commons: what all servers share.
        memory: the prepared answers of all.
        served: what to serve.

    Raises:
        OSError: a port is taken, or there is no such namespace.
    """

    def __init__(self, commons: ServerContext, memory: AnswerCache, served: Served) -> None:
        self._commons = commons
        self._datagrams, self._listener = commons.door.listen(served.ns, *served.place)
        self._known, self._version = memory.share(), commons.zone.version
        share = ByteQuota(commons)
        self._forwarder = Forwarder(commons, share, ZoneView((), {}), self._see)
        self._clients = Clients(commons, share, self._listener, self._by_stream, self._is_prepared)
        self.configure(served)
        try:
            self._clients.begin()
            commons.loop.watch(self._datagrams.fileno(), IN, self._by_datagram)
        except OSError:
            self.close()
            raise

    def configure(self, served: Served) -> None:
        """Serve something else, on the same ports."""
        self.served = served
        links: dict[str, dict[str, str]] = {}
        for network, alias, name in served.links:
            links.setdefault(network, {})[alias] = name
        self._servers = usable(served.upstreams, served.ns, served.ip, served.outside)
        self._see(ZoneView(served.networks, links))

    def _see(self, view: ZoneView) -> None:
        """See the zone otherwise than before."""
        self._view = self._forwarder.view = view
        self._known.forget()

    def _by_datagram(self, events: int) -> None:
        """Questions by UDP.

        Nothing is done here twice that could be done once: this decides how many are answered a
        second.
        """
        receive, send = self._datagrams.recvfrom, self._datagrams.sendto
        self._fresh()
        known, unprepared = self._known.datagrams, 0
        for _ in range(BATCH):
            try:
                packet, client = receive(message.LARGEST)
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
            if unprepared == UNPREPARED:
                return

    def _reply(self, identity: bytes, client: tuple[str, int]) -> Callable[[bytes], None]:
        def reply(tail: bytes) -> None:
            try:
                self._datagrams.sendto(identity + tail, client)
            except OSError:
                pass  # as above; or the sandbox is served no more

        return reply

    def _is_prepared(self, packet: bytes) -> bool:
        """Whether a question by TCP costs next to nothing."""
        return bool(self._known.streams.get(packet[2:]))

    def _by_stream(self, packet: bytes, reply: Callable[[bytes], None]) -> bool:
        """A question by TCP; whether there will be an answer."""
        self._fresh()
        tails = self._known.streams.get(packet[2:])
        if tails:
            reply(tails[int(random() * len(tails))])
            return True
        return self._answer(packet, True, reply)

    def _fresh(self) -> None:
        """Forget what was prepared before the zone has changed."""
        if self._version != self._commons.zone.version:
            self._version = self._commons.zone.version
            self._known.forget()

    def _answer(self, packet: bytes, stream: bool, reply: Callable[[bytes], None]) -> bool:
        """A question for which nothing is prepared; whether there will be an answer."""
        question = None
        try:
            question = message.understood(packet)
            if question is None:
                return False
            self._look(packet, question, stream, reply)
        except message.Refused as refused:
            reply(message.error(packet, refused.rcode))
        except Exception as failure:  # whatever it is, it is this packet's: the others are served
            self._commons.note(failure)
            reply(message.error(packet, message.SERVFAIL, question))
        return True

    def _look(
        self,
        packet: bytes,
        question: message.Question,
        stream: bool,
        reply: Callable[[bytes], None],
    ) -> None:
        from plumb.agent.dns import local_answers

        known = self._known.streams if stream else self._known.datagrams
        if packet[2:] not in known:
            tails = local_answers.local(self._commons.zone, self._view, packet, question, stream)
            if tails is None and self.served.ndots and local_answers.single_label(packet, question):
                tails = local_answers.nothing(packet, question)
            self._known.add(stream, packet[2:], tails or ())
            if tails:
                reply(tails[int(random() * len(tails))])
                return
        self._forwarder.ask(packet, question, self._servers, stream, reply)

    def close(self) -> None:
        """Serve no more; who waits for an answer gets none."""
        self._forwarder.close()
        self._clients.close()
        self._known.close()
        self._commons.loop.forget(self._datagrams.fileno())
        self._datagrams.close()
        self._listener.close()
