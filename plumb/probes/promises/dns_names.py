"""DNS answers that containers must get, from the intent alone, and real queries for them.

    on a user-defined network         each name of a member there: its addresses on that network
    "NAME.NETWORK"                    the same addresses, independent of the order of networks
    on several networks               the embedded DNS server searches them in gateway order; the
                                      first network that has the name gives the whole answer
    a service of the cluster          NAME: its virtual address, or its named tasks without one;
                                      tasks.NAME: its named tasks
    of other networks, or the default one    no answer for the name

Queries go to 127.0.0.11, by UDP and by TCP, from the containers' own namespaces.
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from types import MappingProxyType

import dns.exception
import dns.message
import dns.rdatatype

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.kernel.netns.namespaces import entered
from plumb.model.cluster import RemoteEndpoint
from plumb.model.cnm import Endpoint, Network
from plumb.model.net.gateways import GATEWAY_NETWORK, gateway_order
from plumb.model.service.virtual import VirtualService
from plumb.probes.promises.balancing import Services
from plumb.probes.promises.promise import Member, Protocol
from plumb.probes.promises.remote_endpoints import Remotes

SERVER = ("127.0.0.11", 53)


class QueryType(StrEnum):
    """Query types: the record types that plumb asks for."""

    A = "A"
    AAAA = "AAAA"

    @property
    def version(self) -> int:
        """The address family."""
        return 4 if self is QueryType.A else 6


@frozen
class NamePromise:
    """Addresses that a container must get for a name.

    None at all: the name has none of that family, or must not resolve.

    Attributes:
        source: the name of the container that sends the query.
        protocol: Protocol.UDP or Protocol.TCP.
    """

    source: str
    name: str
    kind: QueryType
    protocol: Protocol
    means: frozenset[IPAddress]
    why: str

    def __str__(self) -> str:
        means = " ".join(sorted(map(str, self.means))) or "nothing"
        return (
            f"to {self.source}, {self.name} {self.kind} by {self.protocol}"
            f" means {means}: {self.why}"
        )


@dataclass
class NameOutcome:
    """A promise, and the answer that came.

    Attributes:
        answered: a positive or negative answer came.
        found: the addresses in it.
    """

    promise: NamePromise
    answered: bool = False
    found: set[IPAddress] = field(default_factory=set)

    @property
    def kept(self) -> bool:
        """True if the answer holds exactly the promised addresses."""
        return self.found == self.promise.means and (self.answered or not self.promise.means)


def name_promises(
    members: Sequence[Member],
    remotes: Remotes = MappingProxyType({}),
    services: Services = MappingProxyType({}),
) -> list[NamePromise]:
    """Promises to these running containers about each other's names.

    Args:
        remotes: the endpoints on other hosts, whose names they know as well.
        services: those on their networks.
    """
    zones = {
        net.id: _zone(net, members, remotes.get(net.id, ()), services.get(net.id, ()))
        for net in {net.id: net for _, ends in members for _, net in ends}.values()
    }
    return [
        NamePromise(
            box.name,
            name,
            kind,
            protocol,
            frozenset(ip for ip in means if ip.version == kind.version),
            why,
        )
        for box, ends in members
        for name, means, why in _meanings(ends, members, zones)
        for kind in QueryType
        for protocol in (Protocol.UDP, Protocol.TCP)
    ]


def _meanings(
    ends: list[tuple[Endpoint, Network]],
    members: Sequence[Member],
    zones: Mapping[str, Mapping[str, list[IPAddress]]],
) -> Iterator[tuple[str, list[IPAddress], str]]:
    """Names, their addresses for a container with these endpoints, and the reasons."""
    named = [net for _, net in gateway_order(ends) if not net.predefined]
    mine = [net for net in named if net.name != GATEWAY_NETWORK]  # its containers have no names
    if not mine:
        return  # the default network has no embedded DNS server
    known = {name: net for net in reversed(mine) for name in zones[net.id]}
    for name, net in known.items():
        yield name, zones[net.id][name], f"it is known on {net.name}"
    for net in mine:
        for name, means in zones[net.id].items():
            yield f"{name}.{net.name}", means, f"it is known on {net.name}"
    for other, theirs in members:
        if other.name not in known:
            yield (
                other.name,
                [],
                f"{other.name} is on no network that they share"
                if theirs
                else f"{other.name} is on no network",
            )


def _zone(
    net: Network,
    members: Sequence[Member],
    remotes: Sequence[RemoteEndpoint],
    services: Sequence[VirtualService],
) -> dict[str, list[IPAddress]]:
    """Names on a network with their addresses.

    A container has its name, its short id, its aliases, and its host name if one was given. The
    ingress network is for published ports alone, and has no names.
    """
    found: dict[str, list[IPAddress]] = {}
    if net.overlay.ingress:
        return found
    for box, ends in members:
        for end, on in ends:
            if on.id == net.id:
                wish = box.attachment(net)
                aliases = (wish.aliases if wish else None) or ()
                for name in {
                    box.name,
                    box.id[:12],
                    *aliases,
                    *([box.hostname] if box.owns_hostname else []),
                }:
                    found.setdefault(name, []).extend(ip.ip for ip in end.ips)
    for remote in remotes:
        for name in remote.names:
            found.setdefault(name, []).extend(ip.ip for ip in remote.ips)
    for one in services:
        for name, addresses in _service_names(one):
            found.setdefault(name, []).extend(addresses)
    return found


def _service_names(one: VirtualService) -> Iterator[tuple[str, list[IPAddress]]]:
    """Yield the names of a service, each with its addresses."""
    tasks = [
        ip.ip for end in one.backends if end.named for ip in (end.ip, end.ip6) if ip is not None
    ]
    virtual = [ip.ip for ip in one.ips] if one.backends else []
    for name in dict.fromkeys((one.name, *one.aliases)):
        yield name, virtual if one.ips else tasks
        yield f"tasks.{name}", tasks


# -- trying ---------------------------------------------------------------


@dataclass
class _Query:
    outcome: NameOutcome
    socket: socket.socket
    message: dns.message.Message
    unsent: bytes
    received: bytes = b""


def ask(
    promises: Sequence[NamePromise], places: Mapping[str, str], seconds: float = 1.0
) -> list[NameOutcome]:
    """Send a query for each promise, all at once.

    Args:
        places: the namespace file of each container.
        seconds: the time to wait for answers.
    """
    outcomes = [NameOutcome(promise) for promise in promises]
    with ExitStack() as stack, selectors.DefaultSelector() as watch:
        for outcome in outcomes:
            _send(outcome, places, stack, watch)
        deadline = time.monotonic() + seconds
        while watch.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in watch.select(left):
                _advance(key.data, watch)
    return outcomes


def _send(
    outcome: NameOutcome, places: Mapping[str, str], stack: ExitStack, watch: selectors.BaseSelector
) -> None:
    promise = outcome.promise
    stream = promise.protocol is Protocol.TCP
    with entered(places[promise.source]):
        client = stack.enter_context(
            socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        )
    message = dns.message.make_query(f"{promise.name}.", dns.rdatatype.from_text(promise.kind))
    wire = message.to_wire()
    client.setblocking(False)
    if client.connect_ex(SERVER) in (0, errno.EINPROGRESS):
        query = _Query(
            outcome, client, message, struct.pack("!H", len(wire)) + wire if stream else wire
        )
        watch.register(client, selectors.EVENT_WRITE, query)


def _advance(query: _Query, watch: selectors.BaseSelector) -> None:
    """Send a query once its socket is connected, or receive the answer.

    A query that was answered or refused is not watched any more.
    """
    try:
        if query.unsent:
            query.socket.send(query.unsent)
            query.unsent = b""
            watch.modify(query.socket, selectors.EVENT_READ, query)
        elif _receive(query):
            watch.unregister(query.socket)
    except OSError:
        watch.unregister(query.socket)


def _receive(query: _Query) -> bool:
    """Receive a part of an answer; True once the answer is complete.

    Raises:
        OSError: no server listens there.
    """
    stream = query.outcome.promise.protocol is Protocol.TCP
    data = query.socket.recv(1 << 16)
    query.received += data
    wire = query.received[2:] if stream else query.received
    if (
        stream
        and data
        and (len(query.received) < 2 or len(wire) < struct.unpack("!H", query.received[:2])[0])
    ):
        return False
    try:
        answer = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return True
    if query.message.is_response(answer):
        query.outcome.answered = True
        query.outcome.found = {
            ip
            for each in answer.answer
            if each.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
            for ip in (ip_address(record.to_text()) for record in each)
        }
    return True
