"""Drops from the trace point skb:kfree_skb: a freed packet buffer, the reason and the function.

The event has the buffer's address alone, neither its bytes nor its namespace. But the event
net:netif_receive_skb reported the link at which the same buffer came in, the time, and its length;
and a tap has captured a frame of that length at that link, at that time. So plumb knows the
buffer's packet, and that it does not belong to another namespace. A packet that was sent from here
and never came in at a link has no such frame: plumb reports its drop as not sure.

The kernel uses buffers again. So an arrival long before the drop is no evidence, except for packets
that waited for a neighbour's answer.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, Self

from plumb.kernel.capture.flow_filter import IPV4, IPV6, ip_packet
from plumb.kernel.capture.tracefs import Instance
from plumb.kernel.netns.namespaces import entered
from plumb.model.observations import CapturedFrame, Flow, KernelDrop, Netns

DROP, CAME, QUEUED = "skb/kfree_skb", "net/netif_receive_skb", "net/netif_rx"
LINE = re.compile(r"^.*?\s(\d+)\.(\d+): (\w+): (.*)$")
FREED = re.compile(r"skbaddr=(\S+).* location=(\S+) reason: (\w+)")
PASSED = re.compile(r"dev=(\S+) skbaddr=(\S+) len=(\d+)")
MARK, MARKS = "plumb-mark ", 4
ETHERTYPES = {4: IPV4, 6: IPV6}
EVERYDAY = frozenset(
    {
        "QUEUE_PURGE",
        "SOCKET_CLOSE",
        "UNIX_DISCONNECT",
        "TCP_OLD_DATA",
        "TCP_RESET",
        "TCP_CLOSE",
        "TCP_OFOMERGE",
        "PACKET_SOCK_ERROR",
    }
)
"""Reasons that are no losses: a socket's queue when it is closed, data that came twice."""
WAITED = "NEIGH_"
SOON, NEAR = 5_000_000, 1_000_000
"""Nanoseconds at most: from arrival to drop; from the kernel's event to the tap's timestamp."""
MOST_NAMES = 100


class Passage(NamedTuple):
    """Arrival of a buffer at a link."""

    time: int
    dev: str
    length: int


class Freed(NamedTuple):
    """A freed buffer, and its last arrival."""

    time: int
    passage: Passage | None
    function: str
    reason: str


class BufferEvents:
    """Drops from the kernel's trace points.

    Args:
        flow: the flow whose packets are reported.
        places: the namespaces that they pass; the kernel leaves out links of other names.
        memory: the folder for the note.

    Raises:
        OSError: this process may not have tracefs, or it has no such events.
    """

    def __init__(self, flow: Flow, places: Sequence[Netns], memory: str) -> None:
        self._instance = Instance(memory)
        self._offset = 0  # of the time of day to the tracing's own clock
        self._marks: list[tuple[int, int]] = []
        self._passed: dict[str, Passage] = {}
        self._freed: list[Freed] = []
        try:
            names = sorted({name for place in places for name in _links(place)})
            wanted = (
                "||".join(f'name=="{name}"' for name in names) if len(names) <= MOST_NAMES else ""
            )
            for event in (CAME, QUEUED):
                self._instance.switch_on(event, wanted)
            self._instance.switch_on(DROP, f"protocol=={ETHERTYPES[flow.version]}")
            for number in range(MARKS):
                before = time.time_ns()
                self._instance.mark(f"{MARK}{number}")
                self._marks.append((before, time.time_ns()))
        except BaseException:
            self._instance.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._instance.close()

    def read(self, frames: Collection[CapturedFrame]) -> list[KernelDrop]:
        """Read the events, and return all drops so far in order of time.

        Args:
            frames: frames that the taps have captured meanwhile.
        """
        for line in self._instance.lines():
            self._take(line)
        drops = (_dropped(freed, frames) for freed in self._freed)
        return [dropped for dropped in drops if dropped is not None]

    def _take(self, line: str) -> None:
        match = LINE.match(line)
        if match is None:
            return
        at = int(match[1]) * 1_000_000_000 + int(match[2].ljust(9, "0"))
        if match[4].startswith(MARK):
            self._compare_clocks(int(match[4].removeprefix(MARK)), at)
        elif freed := FREED.search(match[4]):
            if freed[3] not in EVERYDAY:
                self._freed.append(
                    Freed(
                        at + self._offset, self._passed.get(freed[1]), _function(freed[2]), freed[3]
                    )
                )
        elif passed := PASSED.search(match[4]):
            self._passed[passed[2]] = Passage(at + self._offset, passed[1], int(passed[3]))

    def _compare_clocks(self, number: int, at: int) -> None:
        """Set the offset from the trace's clock to the time of day, by a mark's event.

        plumb wrote each mark between two readings of the time of day; the mark with the shortest
        time between them is the most exact.
        """
        before, after = self._marks[number]
        if after - before == min(late - early for early, late in self._marks):
            self._offset = (before + after) // 2 - at


def _dropped(freed: Freed, frames: Collection[CapturedFrame]) -> KernelDrop | None:
    """A drop from a freed buffer.

    None where the buffer came in at a link, but at no tap: then it is not a packet of the flow.
    """
    passage = freed.passage
    if passage is None:
        return KernelDrop(freed.time, freed.reason, freed.function)
    near = [each for each in frames if _matches(each, passage)]
    if not near:
        return None
    frame = min(near, key=lambda each: abs(each.time - passage.time))
    sure = freed.time - passage.time < SOON or freed.reason.startswith(WAITED)
    return KernelDrop(
        freed.time,
        freed.reason,
        freed.function,
        frame.dev,
        ip_packet(frame) if sure else b"",
        sure,
        frame.place,
    )


def _matches(captured: CapturedFrame, passage: Passage) -> bool:
    """Compare a frame at a tap with an arrival; True where both are the same packet.

    The kernel's event counts the bytes behind the link's header.
    """
    return (
        captured.inbound
        and captured.dev == passage.dev
        and abs(captured.time - passage.time) < NEAR
        and len(ip_packet(captured)) == passage.length
    )


def _function(location: str) -> str:
    """The function of "ip_error+0x1a/0x2b".

    Before Linux 6.2 (or so) it is a hashed address, from which no function can be found.
    """
    name = location.partition("+")[0]
    return "" if re.fullmatch(r"(0x)?[0-9a-f]{8,16}", name) else name


def _links(place: Netns) -> Iterator[str]:
    with entered(place.ns):
        yield from (name for _, name in socket.if_nameindex())
