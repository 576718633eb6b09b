"""What is asked of the tracer, and what it answers, as values."""

from __future__ import annotations

from dataclasses import dataclass

from plumb.model.net.targets import Published
from plumb.model.observations import CapturedFrame, Netns
from plumb.trace.causes.case import Cause
from plumb.trace.path import Story
from plumb.trace.probe_packet import ProbePacket
from plumb.trace.topology import Topology


@dataclass(frozen=True)
class Wishes:
    """How a question is asked.

    Attributes:
        version: 4 or 6; 0: what there is, IPv4 first.
        seconds: how long an answer is waited for.
        sport, size, ttl: as in `probe.Question`.
        also: further places to watch, by name; everywhere: all containers.
    """

    version: int = 0
    seconds: float = 1.0
    sport: int = 0
    size: int = 0
    ttl: int = 0
    also: tuple[str, ...] = ()
    everywhere: bool = False

    @property
    def versions(self) -> tuple[int, ...]:
        """The address families that may be taken, the preferred first."""
        return (self.version,) if self.version else (4, 6)


@dataclass(frozen=True)
class TraceRequest:
    """A question, and what is meant by it.

    Attributes:
        asked: the words for it: from and to.
        aim: the place that it should reach; None where that is nobody's that is known.
        published: the published port that it knocks at.
        seconds: how long an answer is waited for.
    """

    asked: tuple[str, str]
    question: ProbePacket
    aim: Netns | None
    published: Published | None
    seconds: float


@dataclass(frozen=True)
class Report:
    """What became of a question.

    Attributes:
        errand: what was asked.
        story: how it went; ground: where; seen: the frames that it is told of.
        missing: what could not be watched, in words.
        cause: why it ended short of an answer, where that is known; remarks: what else was noticed.
        after: what became of the question that a proxy asked in its stead.
    """

    errand: TraceRequest
    story: Story
    ground: Topology
    seen: tuple[CapturedFrame, ...] = ()
    missing: tuple[str, ...] = ()
    cause: Cause | None = None
    remarks: tuple[str, ...] = ()
    after: Report | None = None

    @property
    def good(self) -> bool:
        """Whether it arrived and was answered."""
        return self.story.end.good and (self.after is None or self.after.good)
