"""Replies of the embedded DNS server itself, for names in the zone.

Queries for other names are forwarded. Pure.

    A, AAAA     the addresses, in another order each time; a name without an address of that
                family gets an empty reply and is not forwarded
    MX          an empty reply for a name in the zone: its mail goes to its address (RFC 5321
                section 5.1)
    PTR         NAME.NETWORK of an address in the zone
    SRV         endpoints that offer a named port, with their addresses as additional records
    other       forwarded, whatever the name; the class is ignored

Every record has a TTL of 600 seconds, as Docker's. The server does not claim authority (AA), and
says that recursion is available (RA). A reply has no OPT record even if the query had one, as in
Docker, against RFC 6891 section 6.1.1: the server takes the client's size from it and does not
respond in kind. A UDP client gets as many records as fit, and TC if there were more: it then asks
over TCP (RFC 2181 section 9). Docker gives SRV records the type of PTR, by mistake; plumb's have
their own.
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

from plumb.address import IPAddress
from plumb.agent.dns import message
from plumb.agent.dns.zone import Zone, ZoneView, reversed_address

TTL = 600
ORDERS = 16
"""Orders in which a reply with several addresses is prepared.

Each address comes first in one of them, up to this number.
"""
LARGEST_DATAGRAM = 65507

Name = dns.name.Name


def local(
    zone: Zone, view: ZoneView, packet: bytes, question: message.Question, stream: bool
) -> tuple[bytes, ...] | None:
    """Answer a query from the zone: replies without the id, in several orders.

    None if the query is to be forwarded.

    Args:
        view: the sandbox's view of the zone.
        packet: the query as received; stream: True if it came over TCP.
    """
    if question.kind not in (message.A, message.AAAA, message.MX, message.PTR, message.SRV):
        return None
    owner = dns.name.from_wire(packet, message.HEADER)[0]
    name = _name_text(owner)
    limit = message.MAX_MESSAGE if stream else min(question.udp_limit, LARGEST_DATAGRAM)
    if question.kind == message.PTR:
        ip = reversed_address(name)
        called = zone.called(view, ip) if ip else ""
        return (
            _records(
                packet, question, owner, [_rdata(message.PTR, _encode_name(called))], [], limit
            )
            if called
            else None
        )
    if question.kind == message.SRV:
        offers = zone.offers(view, name)
        return _records(packet, question, owner, *_srv_records(offers), limit) if offers else None
    found = zone.addresses(view, name)
    if found is None:
        return None
    version = {message.A: 4, message.AAAA: 6}.get(question.kind)
    return _addresses(packet, question, owner, [ip for ip in found if ip.version == version], limit)


def nothing(packet: bytes, question: message.Question) -> tuple[bytes, ...]:
    """Build a reply without records and without an error (NODATA)."""
    return (message.head(packet, question, message.RA),)


def single_label(packet: bytes, question: message.Question) -> bool:
    """True if the query is for addresses of a name without a dot."""
    return question.kind in (message.A, message.AAAA) and "." not in _name_text(
        dns.name.from_wire(packet, message.HEADER)[0]
    )


def owner_of(packet: bytes, record: message.Record) -> str:
    """Read a record's name, without the final dot; empty if it is malformed."""
    try:
        return _name_text(dns.name.from_wire(packet, record.name)[0])
    except dns.exception.DNSException:
        return ""


def _name_text(name: Name) -> str:
    return name.to_text(omit_final_dot=True) if name != dns.name.root else ""


# -- records ---------------------------------------------------------------


def _addresses(
    packet: bytes, question: message.Question, owner: Name, ips: list[IPAddress], limit: int
) -> tuple[bytes, ...]:
    """Encode one record and patch the address for the others; rotation slices the encoded list.

    All records have the same owner, a compression pointer, so only the address differs.
    """
    if not ips:
        return nothing(packet, question)
    record = _encode_records(question, owner, [(owner, _address(ips[0]))])[0]
    prefix = record[: -len(ips[0].packed)]
    count = min(len(ips), (limit - question.end) // len(record))
    head = message.head(
        packet, question, message.RA | (message.TC if count < len(ips) else 0), count
    )
    ring = [prefix + ip.packed for ip in random.sample(ips, len(ips))] * 2
    return tuple(
        head + b"".join(ring[first : first + count])
        for first in range(0, len(ips), -(-len(ips) // ORDERS))
    )


def _records(
    packet: bytes,
    question: message.Question,
    owner: Name,
    found: list[dns.rdata.Rdata],
    extras: list[tuple[Name, dns.rdata.Rdata]],
    limit: int,
) -> tuple[bytes, ...]:
    """Build a reply with answers of any size and additional records, as many as fit."""
    written, left = (
        _encode_records(question, owner, [*((owner, each) for each in found), *extras]),
        limit - question.end,
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


def _encode_records(
    question: message.Question, owner: Name, found: list[tuple[Name, dns.rdata.Rdata]]
) -> list[bytes]:
    """Encode records as they stand behind the question, so that their names can point to it."""
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
    return _rdata(message.A if ip.version == 4 else message.AAAA, ip.packed)


def _rdata(kind: int, data: bytes) -> dns.rdata.Rdata:
    return dns.rdata.from_wire(
        dns.rdataclass.IN, dns.rdatatype.RdataType.make(kind), data, 0, len(data)
    )


def _encode_name(name: str) -> bytes:
    return dns.name.from_text(name).to_wire() or b""


def _srv_records(
    offers: list[tuple[str, int, tuple[IPAddress, ...]]],
) -> tuple[list[dns.rdata.Rdata], list[tuple[Name, dns.rdata.Rdata]]]:
    """Build SRV records, all of one priority and weight, and their targets' address records."""
    found: list[dns.rdata.Rdata] = []
    extras: list[tuple[Name, dns.rdata.Rdata]] = []
    for target, port, ips in offers:
        found.append(_rdata(message.SRV, struct.pack("!HHH", 0, 0, port) + _encode_name(target)))
        extras += [(dns.name.from_text(target), _address(ip)) for ip in ips]
    return found, extras
