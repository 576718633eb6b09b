"""As much of DNS as the player speaks.

Queries, what an answer says, and a resolver that knows one name.
"""

from __future__ import annotations

import socket
import struct

from plumb.lab.lan import LAN

TYPES = {"": 1, "A": 1, "AAAA": 28, "PTR": 12}
CODES = {2: "servfail", 3: "nxdomain", 5: "refused"}
KNOWN = {1: LAN.internet.packed, 28: LAN.internet6.packed}
EXTERNAL = b"\x08external\x04test\x00"


def query(question: str) -> bytes:
    """A query for NAME, NAME/AAAA or NAME/PTR."""
    name, _, kind = question.partition("/")
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return (
        struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0)
        + labels
        + b"\0"
        + struct.pack("!HH", TYPES[kind], 1)
    )


def answer(asked: bytes) -> bytes:
    """What the world's resolver says: external.test is on the internet, nothing else exists."""
    end = _after_name(asked, 12)
    (kind,) = struct.unpack_from("!H", asked, end)
    exists = asked[12:end].lower() == EXTERNAL
    data = KNOWN.get(kind) if exists else None
    head = asked[:2] + struct.pack("!5H", 0x8180 | (0 if exists else 3), 1, data is not None, 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data if data else b""
    return head + asked[12 : end + 4] + record


def told(reply: bytes) -> str:
    """What an answer says: addresses or names, sorted, or why there are none."""
    if code := reply[3] & 15:
        return CODES.get(code, f"rcode {code}")
    found, at = [], _after_name(reply, 12) + 4
    for _ in range(struct.unpack_from("!H", reply, 6)[0]):
        at = _after_name(reply, at)
        kind, _, _, size = struct.unpack_from("!HHIH", reply, at)
        at += 10
        if kind == TYPES["PTR"]:
            found.append(_name(reply, at))
        elif kind in KNOWN:
            found.append(
                socket.inet_ntop(
                    socket.AF_INET if kind == TYPES["A"] else socket.AF_INET6, reply[at : at + size]
                )
            )
        at += size
    return " ".join(sorted(found)) or "nodata"


def _after_name(data: bytes, at: int) -> int:
    while data[at]:
        if data[at] >= 0xC0:  # the rest stands elsewhere
            return at + 2
        at += data[at] + 1
    return at + 1


def _name(data: bytes, at: int) -> str:
    labels = []
    while data[at]:
        if data[at] >= 0xC0:
            at = struct.unpack_from("!H", data, at)[0] & 0x3FFF
            continue
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += data[at] + 1
    return ".".join(labels)
