"""Verdicts of real traffic on promises, and the worth of silence.

    kept        an answer from the promised target, which observed a promised source address; or no
                answer, where none may come
    broken      the opposite
    not shown   no answer came, as promised, but none could come: the client gets no answers at all,
                or the server sends none

Silence alone proves nothing: a veth pair that is down keeps every promise of an unreachable target.
So silence counts only beside an answer: the client must have got an answer from another server,
and the server must have answered another client. Where no such answer is promised, plumb adds
controls, in which a member probes itself: they show that its network stack and its listeners work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from plumb.address import IPAddress
from plumb.probes.promises.promise import Promise, Protocol, Service
from plumb.probes.traffic.socket_errors import NO_WAY


class Verdict(StrEnum):
    """Verdict of an observation on its promise."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_SHOWN = "not shown"


@dataclass
class Observation:
    """A promise, and the outcome of its trial.

    Attributes:
        reached: an answer came from the promised target.
        own: the client's own address.
        source_address: the one that the server observed; empty where it is not known.
        by: the name that answered instead of the target; "somebody else" where it is not known.
        said: the error that came instead of an answer, as text.
        seconds: the time until the answer.
        doubt: the reason for which silence would prove nothing.
    """

    promise: Promise
    reached: bool = False
    own: str = ""
    source_address: str = ""
    by: str = ""
    said: str = ""
    seconds: float = 0.0
    doubt: str = ""

    @property
    def verdict(self) -> Verdict:
        """Verdict on the promise."""
        if self.doubt and not self.reached:
            return Verdict.NOT_SHOWN
        if self.reached != self.promise.reach:
            return Verdict.BROKEN
        return (
            Verdict.KEPT
            if not self.reached
            or self.source_address == ""
            or not self.expected
            or self.source_address in self.expected
            else Verdict.BROKEN
        )

    @property
    def kept(self) -> bool:
        """True if the promise was kept, and the traffic shows it."""
        return self.verdict is Verdict.KEPT

    @property
    def expected(self) -> tuple[str, ...]:
        """Source addresses that the server may observe; empty where none is promised."""
        promise = self.promise
        if not promise.reach or promise.source_addresses is None:
            return ()
        return tuple(map(str, promise.source_addresses)) or ((self.own,) if self.own else ())

    @property
    def observed(self) -> str:
        """Outcome as text."""
        if self.reached:
            other = self.expected and self.source_address not in ("", *self.expected)
            return f"reached, seen as {self.source_address}" if other else "reached"
        if self.by:
            return f"{self.by} answered instead"
        return self.said or "no answer"


Client = tuple[str, int]
"""A client's name, and its address family."""
Server = tuple[str, IPAddress, Protocol, int]
"""A server's name, address, protocol, and its own port (0: any)."""


def server_of(promise: Promise) -> Server:
    """The server that must answer a promise's probe."""
    service = promise.service
    if service is None:
        return promise.target, promise.address, promise.protocol, 0
    return promise.target, service.ip, promise.protocol, service.own_port


def client_of(promise: Promise) -> Client:
    """The client that sends a promise's probe."""
    return promise.source, promise.address.version


def controls(
    promises: Sequence[Promise],
    places: Iterable[str],
    own: Callable[[str, IPAddress], IPAddress | None],
) -> list[Promise]:
    """Probes of members to themselves, for those of whom only silence is promised.

    Args:
        places: the names in whose namespaces plumb can open a socket.
        own: a name's own address on its route to another address; None without such a route.
    """
    there = set(places)
    silent = [promise for promise in promises if not promise.reach]
    answered, answering = _positive(promises)
    made: dict[tuple[Client, Server], Promise] = {}
    for promise in silent:
        client, server = client_of(promise), server_of(promise)
        if server not in answering and server[0] in there:
            made.setdefault(((server[0], server[1].version), server), _to_itself(*server))
        if (
            client not in answered
            and client[0] in there
            and (mine := own(client[0], promise.address)) is not None
        ):
            itself = client[0], mine, Protocol.UDP, 0
            made.setdefault((client, itself), _to_itself(*itself))
    return list(made.values())


def _to_itself(name: str, address: IPAddress, protocol: Protocol, port: int) -> Promise:
    return Promise(
        name,
        name,
        address,
        protocol,
        True,
        "it hears itself",
        Service(port, address, port) if port else None,
    )


def _positive(promises: Iterable[Promise]) -> tuple[set[Client], set[Server]]:
    positive = [promise for promise in promises if promise.reach]
    clients = {client_of(promise) for promise in positive}
    return clients, {server_of(promise) for promise in positive}


def weigh(
    outcomes: Sequence[Observation], control: Sequence[Observation], places: Iterable[str]
) -> None:
    """Set the doubt of each silence that proves nothing.

    Args:
        control: the outcomes of the probes to oneself (`controls`).
    """
    there = set(places)
    every = [*outcomes, *control]
    answered = {client_of(each.promise) for each in every if each.reached}
    answering = {server_of(each.promise) for each in every if each.reached}
    for each in outcomes:
        client, server = client_of(each.promise), server_of(each.promise)
        if each.promise.reach or each.reached or each.doubt:
            continue
        if client not in answered and client[0] in there and each.said != NO_WAY:
            each.doubt = f"{client[0]} hears nobody by IPv{client[1]}"
        elif server not in answering and server[0] in there:
            each.doubt = f"{server[0]} answers nobody there"
