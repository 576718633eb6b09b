"""Netlink messages as bytes (RFC 3549, linux/netlink.h).

All families are alike: a header, a struct of the family's own, then attributes, each with its
length and its type, padded to four bytes, which may hold attributes in turn. An NLMSG_ERROR
acknowledges a request: an errno (0 is yes), the request's header, and since Linux 4.12 attributes
that say what is wrong, and with which byte of the request (the extended acknowledgement).
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

from plumb.frozen import frozen
from plumb.kernel.netlink.uapi.linux_netlink import (
    NLA_F_NESTED,
    NLA_TYPE_MASK,
    NLATTR,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_REQUEST,
    NLMSGERR_ATTR_MSG,
    NLMSGERR_ATTR_OFFS,
    NLMSGHDR,
)

_NLATTR_SIZE, _NLMSGHDR_SIZE = NLATTR.size, NLMSGHDR.size


# -- attributes ---------------------------------------------------------------


def attribute(kind: int, value: bytes | str) -> bytes:
    """An attribute; text ends with a zero byte."""
    raw = value.encode() + b"\0" if isinstance(value, str) else value
    length = len(raw)
    head = NLATTR.pack(_NLATTR_SIZE + length, kind)
    return head + raw + b"\0" * (-length % 4) if length % 4 else head + raw


def attribute_u8(kind: int, value: int) -> bytes:
    """An attribute of one byte."""
    return attribute(kind, bytes([value]))


def attribute_u16(kind: int, value: int) -> bytes:
    """An attribute of 16 bits in the machine's byte order."""
    return attribute(kind, struct.pack("=H", value))


def attribute_u32(kind: int, value: int) -> bytes:
    """An attribute of 32 bits in the machine's byte order."""
    return attribute(kind, struct.pack("=I", value))


def attribute_be16(kind: int, value: int) -> bytes:
    """An attribute of 16 bits in network byte order."""
    return attribute(kind, struct.pack(">H", value))


def attribute_be32(kind: int, value: int) -> bytes:
    """An attribute of 32 bits in network byte order."""
    return NLATTR.pack(_NLATTR_SIZE + 4, kind) + value.to_bytes(4, "big")


def nest(kind: int, *parts: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NLA_F_NESTED, b"".join(parts))


def walk(data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Type and value of each attribute from an offset on, in the kernel's order."""
    end = len(data)
    while at + _NLATTR_SIZE <= end:
        length, kind = NLATTR.unpack_from(data, at)
        if length < _NLATTR_SIZE:
            return
        yield kind & NLA_TYPE_MASK, data[at + _NLATTR_SIZE : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes, at: int = 0) -> dict[int, bytes]:
    """The attributes from an offset on, by type; of several of a type the last."""
    found: dict[int, bytes] = {}
    unpack, head, mask = NLATTR.unpack_from, _NLATTR_SIZE, NLA_TYPE_MASK
    last = len(data) - head
    while at <= last:
        length, kind = unpack(data, at)
        if length < head:
            break
        found[kind & mask] = data[at + head : at + length]
        at += (length + 3) & ~3
    return found


def chosen_attributes(data: bytes, at: int, kinds: frozenset[int]) -> dict[int, bytes]:
    """The attributes of these types from an offset on; a link has some forty others."""
    found: dict[int, bytes] = {}
    unpack, head, mask = NLATTR.unpack_from, _NLATTR_SIZE, NLA_TYPE_MASK
    last = len(data) - head
    while at <= last:
        length, kind = unpack(data, at)
        if length < head:
            break
        kind &= mask
        if kind in kinds:
            found[kind] = data[at + head : at + length]
        at += (length + 3) & ~3
    return found


def array(data: bytes) -> list[bytes]:
    """The values of a nest whose members are a list: their types say nothing."""
    return [value for _, value in walk(data)]


def number(value: bytes) -> int:
    """A number in the machine's byte order; 0 for no bytes."""
    return int.from_bytes(value, sys.byteorder)


def be_number(value: bytes) -> int:
    """A number in network byte order; 0 for no bytes."""
    return int.from_bytes(value, "big")


def text(value: bytes) -> str:
    """Text that ends with a zero byte."""
    return value.rstrip(b"\0").decode(errors="replace")


# -- messages -----------------------------------------------------------------


class Request(NamedTuple):
    """A request: its type, its flags besides NLM_F_REQUEST and NLM_F_ACK, its body.

    The body is the family's struct and the attributes.
    """

    kind: int
    flags: int
    body: bytes


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A whole request as bytes."""
    length = _NLMSGHDR_SIZE + len(body)
    return NLMSGHDR.pack(length, kind, flags | NLM_F_REQUEST, sequence, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and payload of each message in what was received.

    Raises:
        OSError: EMSGSIZE, a message is longer than what was received.
    """
    at, end = 0, len(data)
    while at + _NLMSGHDR_SIZE <= end:
        length, kind, flags, sequence, _ = NLMSGHDR.unpack_from(data, at)
        if length < _NLMSGHDR_SIZE or at + length > end:
            raise OSError(errno.EMSGSIZE, "a netlink message is cut short")
        yield kind, flags, sequence, data[at + _NLMSGHDR_SIZE : at + length]
        at += (length + 3) & ~3


# -- acknowledgements ---------------------------------------------------------


@frozen
class NetlinkAck:
    """The kernel's answer to one request.

    Attributes:
        errno: 0 is yes.
        said: the kernel's sentence, if it had one (NLMSGERR_ATTR_MSG).
        offset: which byte of the request, counted from its header, is the attribute that it does
        not like; 0 where it does not say (NLMSGERR_ATTR_OFFS).
    """

    errno: int
    said: str = ""
    offset: int = 0

    def error(self) -> OSError:
        """A refusal as an exception, in the kernel's words or the errno's."""
        return OSError(self.errno, self.said or os.strerror(self.errno))


def acknowledgement(flags: int, payload: bytes) -> NetlinkAck:
    """An NLMSG_ERROR: errno, the request or its header alone, attributes where flags say so."""
    refused = -struct.unpack_from("=i", payload)[0]
    if not flags & NLM_F_ACK_TLVS:
        return NetlinkAck(refused)
    if flags & NLM_F_CAPPED:
        return _extended(refused, payload, 4 + _NLMSGHDR_SIZE)
    request_length = NLMSGHDR.unpack_from(payload, 4)[0]
    return _extended(refused, payload, 4 + ((request_length + 3) & ~3))


def completion(flags: int, payload: bytes) -> NetlinkAck:
    """An NLMSG_DONE: how a dump ended; attributes as in an acknowledgement."""
    if len(payload) < 4:
        return NetlinkAck(0)
    refused = max(0, -struct.unpack_from("=i", payload)[0])
    return _extended(refused, payload, 4) if flags & NLM_F_ACK_TLVS else NetlinkAck(refused)


def _extended(refused: int, payload: bytes, at: int) -> NetlinkAck:
    found = attributes(payload, at)
    offset = number(found.get(NLMSGERR_ATTR_OFFS, b""))
    return NetlinkAck(refused, text(found.get(NLMSGERR_ATTR_MSG, b"")), offset)
