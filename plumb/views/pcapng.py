"""Story as a capture file: pcapng (draft-ietf-opsawg-pcapng), which Wireshark and tcpdump read.

Each link with captured frames is an interface of the file, named PLACE:LINK. Each frame has its
direction, inbound or outbound. The frame of a crossing has a comment with the rules, NAT and routes
that follow before the next crossing, if any do.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from plumb.model.observations import CapturedFrame
from plumb.trace.path import Crossing, Rewritten, Routed, Story, Tunnelled
from plumb.trace.rule_steps import RuleLine

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
BYTE_ORDER, UNKNOWN_LENGTH = 0x1A2B3C4D, 0xFFFFFFFFFFFFFFFF
ETHERNET, RAW = 1, 101
"""Link types: with an Ethernet header, or from the IP header on."""
COMMENT, NAME, DESCRIPTION, RESOLUTION, FLAGS, APPLICATION = 1, 2, 3, 9, 2, 4
NANOSECONDS = b"\x09"
INBOUND, OUTBOUND = 1, 2
Spot = tuple[str, str, bool]


def capture(
    frames: Sequence[CapturedFrame], story: Story, titles: Mapping[tuple[str, str], str]
) -> bytes:
    """A story's frames as the bytes of a pcapng file.

    Args:
       frames: the frames, in order of time.
       story: decisions on the packet's path, which become comments.
       titles: names of links for people.
    """
    spots = list(dict.fromkeys((each.place.name, each.dev, each.ethernet) for each in frames))
    comments = _comments(frames, story)
    blocks = [
        _block(
            SECTION,
            struct.pack("=IHHQ", BYTE_ORDER, 1, 0, UNKNOWN_LENGTH)
            + _options((APPLICATION, b"plumb trace")),
        )
    ]
    blocks += [_interface(spot, titles) for spot in spots]
    blocks += [
        _packet(each, spots.index((each.place.name, each.dev, each.ethernet)), comments.get(i, ()))
        for i, each in enumerate(frames)
    ]
    return b"".join(blocks)


def _comments(frames: Sequence[CapturedFrame], story: Story) -> dict[int, list[str]]:
    """Decisions that follow a crossing, by the number of its frame."""
    found: dict[int, list[str]] = {}
    numbers = {
        (each.place.name, each.dev, each.inbound, each.time): i for i, each in enumerate(frames)
    }
    for steps in story.ways.values():
        at = None
        for step in steps:
            if isinstance(step, Crossing):
                at = numbers.get(
                    (step.place.name, step.dev, step.inbound, story.begin + step.after)
                )
            elif at is not None:
                found.setdefault(at, []).append(_words(step))
    return found


def _words(step: RuleLine | Rewritten | Routed | Tunnelled) -> str:
    match step:
        case RuleLine():
            why = f" ({step.why})" if step.why else ""
            return f"{step.place.name}: {step.named}: {step.text}{why}"
        case Rewritten():
            return f"{step.place.name}: {step.what} {step.before} to {step.now}"
        case Routed():
            return f"{step.place.name}: route {step.text}"
        case Tunnelled():
            outer = f"{step.src} to {step.dst or 'no known host'}"
            return f"{step.place.name}: VXLAN, VNI {step.vni}, {outer}"


# -- blocks ---------------------------------------------------------------


def _interface(spot: Spot, titles: Mapping[tuple[str, str], str]) -> bytes:
    place, dev, ethernet = spot
    title = titles.get((place, dev), "")
    options = [
        (NAME, f"{place}:{dev}".encode()),
        *([(DESCRIPTION, title.encode())] if title else []),
        (RESOLUTION, NANOSECONDS),
    ]
    return _block(
        INTERFACE, struct.pack("=HHI", ETHERNET if ethernet else RAW, 0, 0) + _options(*options)
    )


def _packet(each: CapturedFrame, interface: int, comments: Sequence[str]) -> bytes:
    head = struct.pack(
        "=IIIII",
        interface,
        each.time >> 32,
        each.time & 0xFFFFFFFF,
        len(each.frame),
        len(each.frame),
    )
    # Not all readers show a second comment; all of them show a second line.
    comment = [(COMMENT, "\n".join(comments).encode())] if comments else []
    options = [(FLAGS, struct.pack("=I", INBOUND if each.inbound else OUTBOUND)), *comment]
    return _block(PACKET, head + _padded(each.frame) + _options(*options))


def _options(*options: tuple[int, bytes]) -> bytes:
    return b"".join(
        struct.pack("=HH", kind, len(value)) + _padded(value) for kind, value in options
    ) + bytes(4)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("=I", len(body) + 12)
    return struct.pack("=I", kind) + length + body + length
