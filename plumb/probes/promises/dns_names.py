"""Naming: what a container's questions for names must bring, said from the intent alone, and tried with real questions.

    on a network that users made      every name of everybody there means their addresses on that network
    "NAME.NETWORK"                    means the same, whatever comes first elsewhere
    on several networks               the one that leads outside first is searched first; what it knows is the answer, and all of it
    on other networks, or the default one    a name there means nothing

Questions go to 127.0.0.11, by UDP and by TCP, out of the containers' own namespaces.
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

import dns.exception
import dns.message
import dns.rdatatype

from plumb.address import IPAddress
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Endpoint, Network
from plumb.model.net.gateways import gateway_order
from plumb.probes.promises.promise import Member, Protocol

SERVER = ("127.0.0.11", 53)


class QueryType(StrEnum):
    """What is asked for."""

    A = "A"
    AAAA = "AAAA"

    @property
    def version(self) -> int:
        """The address family."""
        return 4 if self is QueryType.A else 6


@dataclass(frozen=True)
class NamePromise:
    """A name means these addresses to a container.

    None: it means nothing, or has none of that family.

    Attributes:
        source: who asks: a container's name.
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
        return f"to {self.source}, {self.name} {self.kind} by {self.protocol} means {means}: {self.why}"


@dataclass
class NameOutcome:
    """A promise, and what was answered.

    Attributes:
        answered: whether an answer came that says yes or no.
        found: the addresses.
    """

    promise: NamePromise
    answered: bool = False
    found: set[IPAddress] = field(default_factory=set)

    @property
    def kept(self) -> bool:
        """Whether it was kept."""
        return self.found == self.promise.means and (self.answered or not self.promise.means)


def name_promises(members: Sequence[Member]) -> list[NamePromise]:
    """All that is promised to these running containers about each other's names."""
    tables = {
        net.id: _known(net, members)
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
        for name, means, why in _meanings(ends, members, tables)
        for kind in QueryType
        for protocol in (Protocol.UDP, Protocol.TCP)
    ]


def _meanings(
    ends: list[tuple[Endpoint, Network]],
    members: Sequence[Member],
    tables: Mapping[str, Mapping[str, list[IPAddress]]],
) -> Iterator[tuple[str, list[IPAddress], str]]:
    """Names, what they mean to a container with these endpoints, and why."""
    mine = [net for _, net in gateway_order(ends) if not net.predefined]
    if not mine:
        return  # no server answers there
    known = {name: net for net in reversed(mine) for name in tables[net.id]}
    for name, net in known.items():
        yield name, tables[net.id][name], f"it is known on {net.name}"
    for net in mine:
        for name, means in tables[net.id].items():
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


def _known(net: Network, members: Sequence[Member]) -> dict[str, list[IPAddress]]:
    """The names on a network, in the words of who chose them.

    The container's name, its host name if one was given, its aliases.
    """
    found: dict[str, list[IPAddress]] = {}
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
    return found


# -- trying ---------------------------------------------------------------


@dataclass
class _Question:
    outcome: NameOutcome
    socket: socket.socket
    message: dns.message.Message
    unsent: bytes
    heard: bytes = b""


def ask(
    promises: Sequence[NamePromise], places: Mapping[str, str], seconds: float = 1.0
) -> list[NameOutcome]:
    """Ask for all that is promised, all at once.

    Args:
        places: the namespace file of each container.
        seconds: how long to wait for answers.
    """
    outcomes = [NameOutcome(promise) for promise in promises]
    with ExitStack() as stack, selectors.DefaultSelector() as watch:
        for outcome in outcomes:
            _send(outcome, places, stack, watch)
        deadline = time.monotonic() + seconds
        while watch.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in watch.select(left):
                _turn(key.data, watch)
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
        question = _Question(
            outcome, client, message, struct.pack("!H", len(wire)) + wire if stream else wire
        )
        watch.register(client, selectors.EVENT_WRITE, question)


def _turn(question: _Question, watch: selectors.BaseSelector) -> None:
    """Ask, where the connection stands by now, or hear what came.

    Who has been answered or refused is waited for no more.
    """
    try:
        if question.unsent:
            question.socket.send(question.unsent)
            question.unsent = b""
            watch.modify(question.socket, selectors.EVENT_READ, question)
        elif _hear(question):
            watch.unregister(question.socket)
    except OSError:
        watch.unregister(question.socket)


def _hear(question: _Question) -> bool:
    """Take what came; whether nothing more is to be waited for.

    Raises:
        OSError: nobody listens there.
    """
    stream = question.outcome.promise.protocol is Protocol.TCP
    data = question.socket.recv(1 << 16)
    question.heard += data
    wire = question.heard[2:] if stream else question.heard
    if (
        stream
        and data
        and (len(question.heard) < 2 or len(wire) < struct.unpack("!H", question.heard[:2])[0])
    ):
        return False
    try:
        answer = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return True
    if question.message.is_response(answer):
        question.outcome.answered = True
        question.outcome.found = {
            ip
            for each in answer.answer
            if each.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
            for ip in (ip_address(record.to_text()) for record in each)
        }
    return True
