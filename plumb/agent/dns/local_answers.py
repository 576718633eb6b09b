"""What the embedded DNS server answers by itself, for names that the zone knows.

All else is for others to answer. Pure.

    A, AAAA     the addresses, in another order each time; none of that family is an answer too, and not handed on
    MX          nothing, for a name that is known: mail for it goes to its address (RFC 5321 section 5.1)
    PTR         NAME.NETWORK of an address that is somebody's here
    SRV         who offers a named port, and their addresses besides
    other       is not ours, whatever the name; the class does not matter

Every record lives for 600 seconds, as Docker's. The server does not claim to be an authority (AA),
and says that it recurses (RA). An answer has no OPT record, whether the question had one or not, as
in Docker, though RFC 6891 section 6.1.1 would have it: it tells the size that the asker can take,
and is not answered in kind. Who asked by UDP gets as many records as it can take, and TC if there
were more: it then asks by TCP (RFC 2181 section 9). Docker gives SRV records the type of PTR, by
mistake; these have their own.
"""

from __future__ import annotations

import io
import random
import struct
from itertools import pairwise

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from plumb.agent.dns import message
from plumb.agent.dns.zone import IPAddress, Zone, ZoneView, reversed_address

TTL = 600
ORDERS = 16
"""In how many orders an answer with several addresses is prepared.

Each address comes first in one, as far as that goes.
"""
LARGEST_DATAGRAM = 65507

Name = dns.name.Name


def local(
    zone: Zone, view: ZoneView, packet: bytes, question: message.Question, stream: bool
) -> tuple[bytes, ...] | None:
    """The answer out of the zone, without the id, in several orders.

    None where it is for others to answer.

    Args:
        view: what the sandbox sees of it.
        packet: the question as it came; stream: by TCP.
    """
    if question.kind not in (message.A, message.AAAA, message.MX, message.PTR, message.SRV):
        return None
    owner = dns.name.from_wire(packet, message.HEADER)[0]
    name = _text(owner)
    room = message.LARGEST if stream else min(question.room, LARGEST_DATAGRAM)
    if question.kind == message.PTR:
        ip = reversed_address(name)
        called = zone.called(view, ip) if ip else ""
        return (
            _records(packet, question, owner, [_data(message.PTR, _encoded(called))], [], room)
            if called
            else None
        )
    if question.kind == message.SRV:
        offers = zone.offers(view, name)
        return _records(packet, question, owner, *_services(offers), room) if offers else None
    found = zone.addresses(view, name)
    if found is None:
        return None
    version = {message.A: 4, message.AAAA: 6}.get(question.kind)
    return _addresses(packet, question, owner, [ip for ip in found if ip.version == version], room)


def nothing(packet: bytes, question: message.Question) -> tuple[bytes, ...]:
    """The answer that there is no record, and no error."""
    return (message.head(packet, question, message.RA),)


def single_label(packet: bytes, question: message.Question) -> bool:
    """Whether addresses are asked for, of a name without a dot."""
    return question.kind in (message.A, message.AAAA) and "." not in _text(
        dns.name.from_wire(packet, message.HEADER)[0]
    )


def owner_of(packet: bytes, record: message.Record) -> str:
    """A record's name, without the final dot; empty where it is broken."""
    try:
        return _text(dns.name.from_wire(packet, record.name)[0])
    except dns.exception.DNSException:
        return ""


def _text(name: Name) -> str:
    return name.to_text(omit_final_dot=True) if name != dns.name.root else ""


# -- records ---------------------------------------------------------------


def _addresses(
    packet: bytes, question: message.Question, owner: Name, ips: list[IPAddress], room: int
) -> tuple[bytes, ...]:
    """One record is written, and the others are it with other addresses: their owner is a pointer.

    An order is a matter of cutting.
    """
    if not ips:
        return nothing(packet, question)
    record = _written(question, owner, [(owner, _address(ips[0]))])[0]
    same = record[: -len(ips[0].packed)]
    most = min(len(ips), (room - question.end) // len(record))
    head = message.head(packet, question, message.RA | (message.TC if most < len(ips) else 0), most)
    ring = [same + ip.packed for ip in random.sample(ips, len(ips))] * 2
    return tuple(
        head + b"".join(ring[first : first + most])
        for first in range(0, len(ips), -(-len(ips) // ORDERS))
    )


def _records(
    packet: bytes,
    question: message.Question,
    owner: Name,
    found: list[dns.rdata.Rdata],
    extras: list[tuple[Name, dns.rdata.Rdata]],
    room: int,
) -> tuple[bytes, ...]:
    """Answers of any size, and what helps besides: as many as there is room for."""
    written, left = (
        _written(question, owner, [*((owner, each) for each in found), *extras]),
        room - question.end,
    )
    kept: list[bytes] = []
    for each in written:
        if len(each) > left:
            break
        kept.append(each)
        left -= len(each)
    count = min(len(kept), len(found))
    flags = message.RA | (message.TC if len(kept) < len(written) else 0)
    return (message.head(packet, question, flags, count, len(kept) - count) + b"".join(kept),)


def _written(
    question: message.Question, owner: Name, found: list[tuple[Name, dns.rdata.Rdata]]
) -> list[bytes]:
    """Records as bytes, in a message that has a question before them, which their names point to."""
    file = io.BytesIO(bytes(question.end))
    file.seek(question.end)
    compress = {owner: message.HEADER}
    ends = [question.end]
    for name, data in found:
        dns.rrset.from_rdata(name, TTL, data).to_wire(file, compress)
        ends.append(file.tell())
    whole = file.getvalue()
    return [whole[begin:end] for begin, end in pairwise(ends)]


def _address(ip: IPAddress) -> dns.rdata.Rdata:
    return _data(message.A if ip.version == 4 else message.AAAA, ip.packed)


def _data(kind: int, data: bytes) -> dns.rdata.Rdata:
    return dns.rdata.from_wire(
        dns.rdataclass.IN, dns.rdatatype.RdataType.make(kind), data, 0, len(data)
    )


def _encoded(name: str) -> bytes:
    return dns.name.from_text(name).to_wire() or b""


def _services(
    offers: list[tuple[str, int, tuple[IPAddress, ...]]],
) -> tuple[list[dns.rdata.Rdata], list[tuple[Name, dns.rdata.Rdata]]]:
    """SRV records, all of one priority and weight, and the addresses of whom they name."""
    found: list[dns.rdata.Rdata] = []
    extras: list[tuple[Name, dns.rdata.Rdata]] = []
    for target, port, ips in offers:
        found.append(_data(message.SRV, struct.pack("!HHH", 0, 0, port) + _encoded(target)))
        extras += [(dns.name.from_text(target), _address(ip)) for ip in ips]
    return found, extras
