"""DNS messages as bytes: what has to be read of any, and what is said without having read more.

Pure (RFC 1035 section 4).

     0    id             whoever asks chose it, and knows the answer by it
     2    flags          QR an answer; opcode; AA TC RD RA; AD CD; rcode
     4    how many questions, answers, authorities, additional records
    12    the question   labels, each after its length, up to the empty one; type; class
          records        name, type, class, TTL, length, data

Everybody may send anything; so all of it is read here by somebody who trusts no length, follows no
compression pointer (a name in a record may point back into the message, and pointers may make a
ring), and needs time in proportion to the message alone. What is refused, and how, is what Docker's
server refuses (its library's accept function): answers are not answered, opcodes other than QUERY
and NOTIFY are not implemented, more than one question is an error.
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
SMALLEST = 512
"""Bytes that whoever asks by UDP can take, whatever it says (RFC 1035 section 4.2.1.

RFC 6891 section 6.2.3).
"""
LARGEST = 65535
MOST = (1, 1, 1, 2)
"""Questions, answers, authorities and additional records of a question at most.

A transfer may have a SOA, any an OPT and a TSIG.
"""
TAIL = 10
"""Bytes of a record between its name and its data: type, class, TTL, length."""
LONGEST_NAME = 255


class Refused(Exception):
    """A question that is answered with an error and nothing else; rcode says which."""

    def __init__(self, rcode: int) -> None:
        super().__init__(rcode)
        self.rcode = rcode


class Question(NamedTuple):
    """What of a question one has to know.

    Attributes:
        kind: A, PTR, …; end: where the question's section ends; whole: where the last record does.
        flags: those that an answer repeats.
        room: bytes that whoever asked can take by UDP.
    """

    kind: int
    end: int
    whole: int
    flags: int
    room: int


class Record(NamedTuple):
    """A record, by where it lies in its message.

    Attributes:
        name: where its name begins; group: its class, which for an OPT is a size; data: where its
        data begin; size: their length.
    """

    name: int
    kind: int
    group: int
    data: int
    size: int


def number(packet: bytes, at: int) -> int:
    """Sixteen bits.

    Raises:
        Refused: the message ends before.
    """
    if at + 2 > len(packet):
        raise Refused(FORMERR)
    return packet[at] << 8 | packet[at + 1]


def understood(packet: bytes) -> Question | None:
    """Read a question.

    None for what is to be met with silence: no header, or an answer, which must not start a
    conversation.

    Raises:
        Refused: it is answered with that error.
    """
    if len(packet) < HEADER or packet[2] & 0x80:
        return None
    opcode = packet[2] >> 3 & 15
    if opcode not in (QUERY, NOTIFY):
        raise Refused(NOTIMP)
    counts = [number(packet, at) for at in (4, 6, 8, 10)]
    if counts[0] != 1 or any(count > most for count, most in zip(counts, MOST, strict=True)):
        raise Refused(FORMERR)
    end = _after_labels(packet, HEADER) + 4
    kind, room, whole = number(packet, end - 4), SMALLEST, end
    number(packet, end - 2)
    for place, record in enumerate(records(packet, end, sum(counts[1:]))):
        whole = record.data + record.size
        if record.kind == OPT and place >= counts[1] + counts[2]:
            room = max(room, record.group)
    return Question(kind, end, whole, _repeated(packet), room)


def _repeated(packet: bytes) -> int:
    """The flags of a question that its answer has as well."""
    flags = packet[2] << 8 | packet[3]
    opcode = flags & 0x7800
    return opcode if opcode else flags & (RD | CD)


def _after_labels(packet: bytes, at: int) -> int:
    """The end of a question's name.

    It is the first in the message, so that there is nothing it could point at.
    """
    begin = at
    while at < len(packet):
        size = packet[at]
        at += size + 1
        if size == 0 and at - begin <= LONGEST_NAME:
            return at
        if size > 63 or at - begin > LONGEST_NAME:
            break
    raise Refused(FORMERR)


def _after_name(packet: bytes, at: int) -> int:
    """The end of a record's name: the empty label, or a pointer to where it goes on."""
    begin = at
    while at < len(packet):
        size = packet[at]
        if size >= 0xC0:
            return at + 2
        at += size + 1
        if size == 0:
            return at
        if size > 63 or at - begin > LONGEST_NAME:
            break
    raise Refused(FORMERR)


def records(packet: bytes, at: int, count: int) -> Iterator[Record]:
    """So many records from there on.

    Raises:
        Refused: one is broken, or there are fewer.
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
    """The beginning of an answer, without the id.

    Flags, counts, the question as it was asked, in its own case.
    """
    flags |= QR | question.flags
    return (
        b"%c%c\0\1%c%c\0\0%c%c"
        % (flags >> 8, flags & 255, answers >> 8, answers & 255, extras >> 8, extras & 255)
        + packet[HEADER : question.end]
    )


def error(packet: bytes, rcode: int, question: Question | None = None) -> bytes:
    """An answer that says why there is none, without the id.

    With the question where that was understood.

    RA is not set, as in Docker: in its errors the server promises nothing.
    """
    if question is not None:
        return head(packet, question, rcode)
    flags = (
        QR | (packet[2] << 8 | packet[3]) & (RD | CD | (0x7800 if rcode == NOTIMP else 0)) | rcode
    )
    return b"%c%c\0\0\0\0\0\0\0\0" % (flags >> 8, flags & 255)


# -- what others have said ---------------------------------------------------------------


def answers(packet: bytes, identity: bytes, asked: bytes, end: int) -> bool:
    """Whether a message is the answer to a question.

    The id, and the question in any case (RFC 5452 section 4, RFC 4343).

    An error may come without the question, as some servers send it: they did not understand it, or
    did not look.

    Args:
        identity: the id that was asked with; asked: what was sent; end: where its question ends.
    """
    if len(packet) < HEADER or packet[:2] != identity or (packet[2] ^ asked[2]) & 0xF8 != 0x80:
        return False
    if packet[4:6] == b"\0\0":
        return packet[3] & 15 in (FORMERR, SERVFAIL, NOTIMP, REFUSED)
    return (
        packet[4:6] == b"\0\1"
        and packet[HEADER : end - 4].lower() == asked[HEADER : end - 4].lower()
        and packet[end - 4 : end] == asked[end - 4 : end]
    )


def addresses(packet: bytes, end: int) -> list[Record]:
    """The records of an answer that name an address, after a look at whether all of it is whole.

    Args:
        end: where its question ends, if it has one.

    Raises:
        Refused: it is broken.
    """
    start = end if packet[4:6] == b"\0\1" else HEADER
    answered = number(packet, 6)
    all_of_it = list(records(packet, start, answered + number(packet, 8) + number(packet, 10)))
    return [
        record
        for record in all_of_it[:answered]
        if (record.kind, record.size) in ((A, 4), (AAAA, 16))
    ]
