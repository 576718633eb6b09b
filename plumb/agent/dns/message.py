"""DNS messages as bytes: parsing of what any message must have, and replies without records.

Pure (RFC 1035 section 4).

     0    id             the client chose it, and recognises the reply by it
     2    flags          QR a reply; opcode; AA TC RD RA; AD CD; rcode
     4    numbers of questions, answers, authorities, additional records
    12    the question   labels, each after its length, up to the empty one; type; class
          records        name, type, class, TTL, length, data

Clients may send any bytes. So this parser trusts no length, follows no compression pointer (a name
in a record may point back into the message, and pointers may form a loop), and needs time in
proportion to the message's length. It refuses what Docker's server refuses (its library's accept
function), with the same rcodes: a reply gets no reply, an opcode other than QUERY and NOTIFY gets
NOTIMP, more than one question FORMERR.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

HEADER = 12
QR, TC, RD, RA, CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0010
QUERY, NOTIFY = 0, 4
NOERROR, FORMERR, SERVFAIL, NOTIMP, REFUSED = 0, 1, 2, 4, 5
A, PTR, MX, AAAA, SRV, OPT = 1, 12, 15, 28, 33, 41
IN = 1
MIN_UDP = 512
"""Bytes of UDP payload that every client accepts (RFC 1035 section 4.2.1, RFC 6891 section 6.2.3).
"""
MAX_MESSAGE = 65535
MAX_RECORDS = (1, 1, 1, 2)
"""Questions, answers, authorities and additional records of a query, at most.

A zone transfer may have a SOA record, any query an OPT and a TSIG.
"""
TAIL = 10
"""Bytes of a record between its name and its data: type, class, TTL, length."""
MAX_NAME = 255


class Refused(Exception):
    """Raised for a query whose reply is just an error; `rcode` is that error."""

    def __init__(self, rcode: int) -> None:
        super().__init__(rcode)
        self.rcode = rcode


class Question(NamedTuple):
    """Parsed parts of a query.

    Attributes:
        kind: A, PTR, …; end: offset behind the question; message_end: behind the last record.
        flags: those that a reply repeats.
        udp_limit: bytes that the client accepts over UDP.
    """

    kind: int
    end: int
    message_end: int
    flags: int
    udp_limit: int


class Record(NamedTuple):
    """Record, as offsets into its message.

    Attributes:
        name: offset of its name; rrclass: its class, which is a size for OPT; data: offset of its
            data; size: their length.
    """

    name: int
    kind: int
    rrclass: int
    data: int
    size: int


def number(packet: bytes, at: int) -> int:
    """Read sixteen bits.

    Raises:
        Refused: the message is too short.
    """
    if at + 2 > len(packet):
        raise Refused(FORMERR)
    return packet[at] << 8 | packet[at + 1]


def parse_question(packet: bytes) -> Question | None:
    """Parse a query.

    None for a packet that gets no reply: it has no header, or is a reply itself, and a reply to a
    reply would start a loop.

    Raises:
        Refused: the client gets that error.
    """
    if len(packet) < HEADER or packet[2] & 0x80:
        return None
    opcode = packet[2] >> 3 & 15
    if opcode not in (QUERY, NOTIFY):
        raise Refused(NOTIMP)
    counts = [number(packet, at) for at in (4, 6, 8, 10)]
    if counts[0] != 1 or any(count > most for count, most in zip(counts, MAX_RECORDS, strict=True)):
        raise Refused(FORMERR)
    end = _after_labels(packet, HEADER) + 4
    kind, udp_limit, message_end = number(packet, end - 4), MIN_UDP, end
    number(packet, end - 2)
    for index, record in enumerate(records(packet, end, sum(counts[1:]))):
        message_end = record.data + record.size
        if record.kind == OPT and index >= counts[1] + counts[2]:
            udp_limit = max(udp_limit, record.rrclass)
    return Question(kind, end, message_end, _echoed_flags(packet), udp_limit)


def _echoed_flags(packet: bytes) -> int:
    """Select the flags that a reply copies from its query."""
    flags = packet[2] << 8 | packet[3]
    opcode = flags & 0x7800
    return opcode if opcode else flags & (RD | CD)


def _after_labels(packet: bytes, at: int) -> int:
    """Find the end of a question's name.

    It is the first name of the message, so there is nothing it could point to.
    """
    begin = at
    while at < len(packet):
        size = packet[at]
        at += size + 1
        if size == 0 and at - begin <= MAX_NAME:
            return at
        if size > 63 or at - begin > MAX_NAME:
            break
    raise Refused(FORMERR)


def _after_name(packet: bytes, at: int) -> int:
    """Find the end of a record's name: the empty label, or a compression pointer."""
    begin = at
    while at < len(packet):
        size = packet[at]
        if size >= 0xC0:
            return at + 2
        at += size + 1
        if size == 0:
            return at
        if size > 63 or at - begin > MAX_NAME:
            break
    raise Refused(FORMERR)


def records(packet: bytes, at: int, count: int) -> Iterator[Record]:
    """Iterate over so many records from an offset on.

    Raises:
        Refused: one is malformed, or there are fewer.
    """
    for _ in range(count):
        end = _after_name(packet, at)
        size = number(packet, end + 8)
        data = end + TAIL
        if data + size > len(packet):
            raise Refused(FORMERR)
        yield Record(at, number(packet, end), number(packet, end + 2), data, size)
        at = data + size


# -- what is said ---------------------------------------------------------------


def head(packet: bytes, question: Question, flags: int, answers: int = 0, extras: int = 0) -> bytes:
    """Build the beginning of a reply, without the id.

    Flags, counts, and the question in the client's own case.
    """
    flags |= QR | question.flags
    return (
        b"%c%c\0\1%c%c\0\0%c%c"
        % (flags >> 8, flags & 255, answers >> 8, answers & 255, extras >> 8, extras & 255)
        + packet[HEADER : question.end]
    )


def error(packet: bytes, rcode: int, question: Question | None = None) -> bytes:
    """Build an error reply, without the id; with the question if that was parsed.

    RA is not set, as in Docker.
    """
    if question is not None:
        return head(packet, question, rcode)
    flags = (
        QR | (packet[2] << 8 | packet[3]) & (RD | CD | (0x7800 if rcode == NOTIMP else 0)) | rcode
    )
    return b"%c%c\0\0\0\0\0\0\0\0" % (flags >> 8, flags & 255)


# -- what others have said ---------------------------------------------------------------


def answers(packet: bytes, identity: bytes, request: bytes, end: int) -> bool:
    """True if a message is the reply to a query: same id, same question in any case.

    RFC 5452 section 4, RFC 4343. Some servers send an error without the question, as they did not
    parse it.

    Args:
        identity: the id of the query; request: its bytes; end: offset behind its question.
    """
    if len(packet) < HEADER or packet[:2] != identity or (packet[2] ^ request[2]) & 0xF8 != 0x80:
        return False
    if packet[4:6] == b"\0\0":
        return packet[3] & 15 in (FORMERR, SERVFAIL, NOTIMP, REFUSED)
    return (
        packet[4:6] == b"\0\1"
        and packet[HEADER : end - 4].lower() == request[HEADER : end - 4].lower()
        and packet[end - 4 : end] == request[end - 4 : end]
    )


def addresses(packet: bytes, end: int) -> list[Record]:
    """List a reply's address records, after parsing all its records.

    Args:
        end: offset behind its question, if it has one.

    Raises:
        Refused: it is malformed.
    """
    start = end if packet[4:6] == b"\0\1" else HEADER
    answered = number(packet, 6)
    everything = list(records(packet, start, answered + number(packet, 8) + number(packet, 10)))
    return [
        record
        for record in everything[:answered]
        if (record.kind, record.size) in ((A, 4), (AAAA, 16))
    ]
