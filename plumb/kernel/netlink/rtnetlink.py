"""rtnetlink: messages of pyroute2's classes over a socket of our own, many in one send.

The kernel works through the messages of one send in their order and answers each one, with an errno
and, since Linux 4.12, a sentence saying why (the extended acknowledgement). A failed message does
not stop those behind it. So a hundred links take two system calls, and each of them still has its
own answer.

pyroute2's package imports all it has when any part of it is imported: 110 ms, of which the three
message classes that are needed here take 25. They are imported with the package's own `__init__`
left out; whoever imports pyroute2 later gets the whole of it, and the same classes.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import struct
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self


def _message_classes() -> tuple[Any, Any, Any]:
    whole = sys.modules.get("pyroute2")
    if whole is None:
        found = importlib.util.find_spec("pyroute2")
        assert found is not None
        assert found.submodule_search_locations is not None
        sys.modules["pyroute2"] = bare = types.ModuleType("pyroute2")
        bare.__path__ = list(found.submodule_search_locations)
    try:
        from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
        from pyroute2.netlink.rtnl.ifinfmsg import data_plugins, ifinfmsg
        from pyroute2.netlink.rtnl.rtmsg import rtmsg
    finally:
        if whole is None:
            del sys.modules["pyroute2"]
    # pyroute2 knows an ipvlan link's mode, and not its flags.
    ipvlan = data_plugins["ipvlan"]
    ipvlan.nla_map = (*ipvlan.nla_map[:2], ("IFLA_IPVLAN_FLAGS", "uint16"))
    return ifinfmsg, ifaddrmsg, rtmsg


ifinfmsg, ifaddrmsg, rtmsg = _message_classes()

# linux/rtnetlink.h and linux/netlink.h; the numbers are the kernel's ABI.
NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400
ERROR, DONE = 2, 3
SOL_NETLINK, CAP_ACK, EXT_ACK, STRICT_CHECK = 270, 10, 11, 12
ACK_TLVS, CAPPED, ATTR_MSG = 0x200, 0x100, 1
HEADER = struct.Struct("=IHHII")
BATCH = 64
"""Messages in one send.

Their answers must fit the socket's receive buffer (208 KiB), each takes a page at worst.
"""


class Message(NamedTuple):
    """A request: its type, its flags besides REQUEST and ACK, its body as one of pyroute2's message objects."""

    kind: int
    flags: int
    body: Any


@dataclass(frozen=True)
class NetlinkAck:
    """What the kernel said to one message: errno (0 is yes) and its sentence, if it had one."""

    errno: int
    said: str = ""


class RouteSocket:
    """A NETLINK_ROUTE socket of the namespace that the calling thread is in when it is made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        for option in (CAP_ACK, EXT_ACK, STRICT_CHECK):
            self._socket.setsockopt(SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, messages: list[Message]) -> list[NetlinkAck]:
        """Send requests that change something; their answers, in the same order."""
        answers: list[NetlinkAck] = []
        for start in range(0, len(messages), BATCH):
            part = messages[start : start + BATCH]
            first = self._sequence + 1
            self._socket.send(b"".join(self._encode(m.kind, m.flags | ACK, m.body) for m in part))
            got: dict[int, NetlinkAck] = {}
            while len(got) < len(part):
                for kind, flags, sequence, payload in self._receive():
                    if kind == ERROR and sequence >= first:
                        got[sequence] = _answer(flags, payload)
            answers += [got[first + i] for i in range(len(part))]
        return answers

    def get(self, kind: int, body: Any, dump: bool = False) -> list[Any]:
        """Read: the decoded messages that answer a GET; empty where the kernel knows of none.

        Raises:
            OSError: the kernel refused, other than by saying that there is no such object.
        """
        self._socket.send(self._encode(kind, DUMP if dump else 0, body))
        found: list[Any] = []
        while True:
            for answer, flags, sequence, payload in self._receive():
                if sequence != self._sequence or answer == DONE:
                    if answer == DONE:
                        return found
                    continue
                if answer == ERROR:
                    said = _answer(flags, payload)
                    if said.errno in (
                        0,
                        19,
                        2,
                        3,
                        101,
                    ):  # ENODEV, ENOENT, ESRCH, ENETUNREACH: not there
                        return found
                    raise OSError(said.errno, said.said or os.strerror(said.errno))
                message = type(body)(
                    HEADER.pack(16 + len(payload), answer, flags, sequence, 0) + payload
                )
                message.decode()
                found.append(message)
                if not dump:
                    return found

    def _encode(self, kind: int, flags: int, body: Any) -> bytes:
        self._sequence += 1
        body["header"].update(type=kind, flags=flags | REQUEST, sequence_number=self._sequence)
        body.encode()
        return bytes(body.data)

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._socket.recv(1 << 18)
        at = 0
        while at + 16 <= len(data):
            length, kind, flags, sequence, _ = HEADER.unpack_from(data, at)
            yield kind, flags, sequence, data[at + 16 : at + length]
            at += (length + 3) & ~3


def _answer(flags: int, payload: bytes) -> NetlinkAck:
    """Decode NLMSG_ERROR: errno, the request's header, then attributes where flags say so."""
    errno = -struct.unpack_from("=i", payload)[0]
    at, said = 4 + 16, ""
    if flags & ACK_TLVS and flags & CAPPED:
        while at + 4 <= len(payload):
            length, kind = struct.unpack_from("=HH", payload, at)
            if kind & 0x3FFF == ATTR_MSG:
                said = payload[at + 4 : at + length].rstrip(b"\0").decode(errors="replace")
            at += max((length + 3) & ~3, 4)
    return NetlinkAck(errno, said)
