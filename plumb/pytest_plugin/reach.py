"""Reach: the outcome of a request between two places, as a value that a test asserts.

A failed assertion about it prints the story of the packet.
"""

from __future__ import annotations

from typing import Any, Protocol

from plumb.errors import Invalid
from plumb.pytest_plugin.story import story_of
from plumb.pytest_plugin.values import Found


class Unfounded(AssertionError):
    """A silence that proves nothing.

    The source reaches no other place at all, or the target is down.
    """


class JudgedLab(Protocol):
    """The lab of an outcome, as far as the outcome needs it; see `labs.Lab`."""

    judged: list[Reach]

    def ask(self, verb: str, *args: Any, **named: Any) -> Any:
        """Have something done by the host's own process."""


class Reach:
    """The outcome of a question: true where the other place was reached.

    Attributes:
        found: what came of it.
    """

    def __init__(self, lab: JudgedLab, found: Found) -> None:
        self.lab, self.found = lab, found

    def __bool__(self) -> bool:
        """True if the other place was reached.

        Raises:
            Unfounded: it was not, for a reason that has nothing to do with the way between the two.
        """
        __tracebackhide__ = True
        self.lab.judged.append(self)
        if self.found.broken:
            raise Unfounded(
                f"{self.found.asked.source} does not reach {self.found.asked}, "
                f"and that proves nothing: {self.found.broken}\n"
                f"{self.facts()}"
            )
        return self.found.reached

    def __repr__(self) -> str:
        found = self.found
        verb = "reaches" if found.reached else "does not reach"
        return f"<{found.asked.source} {verb} {found.asked}: {found.observed}>"

    def facts(self) -> str:
        """Promise and observation, a line each."""
        return f"  promised: {self.found.promised or 'nothing'}\n  observed: {self.found.observed}"

    def story(self) -> str:
        """Full report: the promise, the observation, and the reason."""
        return f"{repr(self)[1:-1]}\n{self.facts()}\n{story_of(self.lab.ask, self.found)}"


def protocol_of(tcp: int, udp: int) -> tuple[str, int]:
    """The protocol and port of a question.

    Raises:
        Invalid: both were given.
    """
    if tcp and udp:
        raise Invalid("tcp= and udp= in one question", "ask twice")
    return ("tcp", tcp) if tcp else ("udp", udp) if udp else ("icmp", 0)


def asked_in(message: str, judged: list[Reach]) -> list[Reach]:
    """The outcomes that a failure is about: those that its message shows.

    The last one where it shows nothing at all.
    """
    shown = [reach for reach in judged if repr(reach) in message]
    return list(dict.fromkeys(shown)) or (judged[-1:] if not message.strip() else [])
