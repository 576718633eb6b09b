"""Outcomes: what real traffic says of a promise, and what that is worth.

    kept        it is as promised: an answer from whom it was promised, who saw whom it must see; or no answer, where none may come
    broken      it is not
    not shown   no answer came, as promised, but there was no way for one to come: who asks hears nobody at all, or who is
                asked answers nobody

That nobody answers is cheap to have: a cable that is not plugged in keeps every promise that
something does not get through. So
silence counts only beside an answer: who asks must have been answered by somebody, and who is asked
must have answered somebody. Where
nothing of that kind is promised, they ask themselves: that shows at least that their stack and
their ears work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from plumb.address import IPAddress
from plumb.probes.promises.promise import Promise, Protocol, Service
from plumb.probes.traffic.socket_errors import NO_WAY


class Verdict(StrEnum):
    """What an outcome says of its promise."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_SHOWN = "not shown"


@dataclass
class Observation:
    """A promise, and what really happened.

    Attributes:
        reached: whether an answer came, and from whom it was promised.
        own: the asker's own address.
        seen: the address that the one who was asked saw; empty where it could not tell.
        by: who answered instead of whom it was promised; "somebody else" where that is not known.
        said: what came instead of an answer, in words.
        seconds: how long the answer took.
        doubt: why silence would prove nothing.
    """

    promise: Promise
    reached: bool = False
    own: str = ""
    seen: str = ""
    by: str = ""
    said: str = ""
    seconds: float = 0.0
    doubt: str = ""

    @property
    def verdict(self) -> Verdict:
        """What it says of the promise."""
        if self.doubt and not self.reached:
            return Verdict.NOT_SHOWN
        if self.reached != self.promise.reach:
            return Verdict.BROKEN
        return (
            Verdict.KEPT
            if not self.reached
            or self.seen == ""
            or not self.expected
            or self.seen in self.expected
            else Verdict.BROKEN
        )

    @property
    def kept(self) -> bool:
        """Whether the promise was kept, and that is shown."""
        return self.verdict is Verdict.KEPT

    @property
    def expected(self) -> tuple[str, ...]:
        """Whom the one that was asked may see; empty where nothing is promised of that."""
        promise = self.promise
        if not promise.reach or promise.seen is None:
            return ()
        return tuple(map(str, promise.seen)) or ((self.own,) if self.own else ())

    @property
    def observed(self) -> str:
        """What happened, in words."""
        if self.reached:
            return (
                f"reached, seen as {self.seen}"
                if self.seen and self.seen not in self.expected and self.expected
                else "reached"
            )
        if self.by:
            return f"{self.by} answered instead"
        return self.said or "no answer"


Asker = tuple[str, int]
"""Who asks, and in which address family."""
Asked = tuple[str, IPAddress, Protocol, int]
"""Who is asked, where, by what, and on which port of its own (0: any)."""


def asked(promise: Promise) -> Asked:
    """Who must answer a promise's question, and where that listens."""
    service = promise.service
    if service is None:
        return promise.target, promise.address, promise.protocol, 0
    return promise.target, service.ip, promise.protocol, service.own_port


def asker(promise: Promise) -> Asker:
    """Who asks it."""
    return promise.source, promise.address.version


def controls(
    promises: Sequence[Promise],
    places: Iterable[str],
    own: Callable[[str, IPAddress], IPAddress | None],
) -> list[Promise]:
    """Questions to oneself, for those of whom nothing but silence is promised.

    Args:
        places: the names of those in whose place a socket can be opened.
        own: a name's own address on its way to another address; None where it has no way there.
    """
    there = set(places)
    silent = [promise for promise in promises if not promise.reach]
    heard, answering = _positive(promises)
    made: dict[tuple[Asker, Asked], Promise] = {}
    for promise in silent:
        who, whom = asker(promise), asked(promise)
        if whom not in answering and whom[0] in there:
            made.setdefault(((whom[0], whom[1].version), whom), _to_itself(*whom))
        if (
            who not in heard
            and who[0] in there
            and (mine := own(who[0], promise.address)) is not None
        ):
            made.setdefault(
                (who, (who[0], mine, Protocol.UDP, 0)), _to_itself(who[0], mine, Protocol.UDP, 0)
            )
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


def _positive(promises: Iterable[Promise]) -> tuple[set[Asker], set[Asked]]:
    positive = [promise for promise in promises if promise.reach]
    return {asker(promise) for promise in positive}, {asked(promise) for promise in positive}


def weigh(
    outcomes: Sequence[Observation], control: Sequence[Observation], places: Iterable[str]
) -> None:
    """Say of each silence what it proves.

    Args:
        control: what came of the questions to oneself.
    """
    there = set(places)
    every = [*outcomes, *control]
    heard = {asker(each.promise) for each in every if each.reached}
    answering = {asked(each.promise) for each in every if each.reached}
    for each in outcomes:
        who, whom = asker(each.promise), asked(each.promise)
        if each.promise.reach or each.reached or each.doubt:
            continue
        if who not in heard and who[0] in there and each.said != NO_WAY:
            each.doubt = f"{who[0]} hears nobody by IPv{who[1]}"
        elif whom not in answering and whom[0] in there:
            each.doubt = f"{whom[0]} answers nobody there"
