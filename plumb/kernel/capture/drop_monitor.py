"""The drop monitor.

The kernel sends each packet that it lets go of before its time, with the reason and its own
function (NET_DM).

It is a family of generic netlink with one switch for the whole machine, and it answers only in the
machine's first network namespace. The alerts have the packet's first bytes, so a packet of the flow
is known by these. Of the link that it came by they have the number alone, and each namespace counts
by itself: which one it was is known by the tap that saw the same packet come in.

Somebody else may have the monitor running already: then it is left to them. What it was set to is
noted down and put back, by the next command if this process was killed, since the monitor runs on
without it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Self

from plumb.errors import KernelRefused
from plumb.kernel.capture import undo_log
from plumb.kernel.capture.flow_filter import belongs, ip_packet
from plumb.kernel.capture.undo_log import Note
from plumb.kernel.netlink.codec import GENERIC, HEADER, SOL_NETLINK, ask, attribute, attributes
from plumb.kernel.netns.namespaces import entered
from plumb.model.observations import CapturedFrame, Flow, KernelDrop, Netns

# linux/genetlink.h, linux/net_dropmon.h; the numbers are the kernel's ABI.
CONTROL, GET_FAMILY = 16, 3
FAMILY_ID, FAMILY_NAME, GROUPS, GROUP_NAME, GROUP_ID = 1, 2, 7, 1, 2
ADD_MEMBERSHIP, RCVBUFFORCE = 1, 33
CONFIG, START, STOP, PACKET_ALERT, CONFIG_GET = 2, 3, 4, 5, 6
ALERT_MODE, SYMBOL, IN_PORT, TIMESTAMP, PAYLOAD, TRUNC_LEN, QUEUE_LEN, SW_DROPS, REASON = (
    1,
    3,
    4,
    5,
    7,
    9,
    11,
    20,
    23,
)
PORT_INDEX = 0
TCP = 6
PACKET_MODE = 1
VERSION = 2
FIRST = "/proc/1/ns/net"
BYTES = 128
"""As much of each packet is wanted: the headers, and those that an ICMP error quotes."""
ROOM = 1 << 22
ETHERNET = 14
COMMAND = struct.Struct("=BBxx")
_numbers = count(1)


class DropMonitor:
    """The kernel's drop monitor, running.

    Args:
        flow: whose packets.
        places: where they pass.
        memory: the folder for the note.

    Raises:
        OSError: this kernel has none, or somebody else uses it.
        KernelRefused: the machine's first namespace cannot be entered.
    """

    def __init__(self, flow: Flow, places: Sequence[Netns], memory: str) -> None:
        self._flow = flow
        self._found: list[tuple[KernelDrop, int]] = []
        self._links = {place: _links(place) for place in places}
        with entered(FIRST):
            self._family, group = _family()
            before = _settings(self._family)
            self._note = undo_log.write(memory, next(_numbers), {"drop_monitor": before})
            try:
                _set(self._family, {"mode": PACKET_MODE, "bytes": BYTES, "queue": before["queue"]})
                self._before = before
                self._socket = _listening(group)
                ask(
                    GENERIC,
                    self._family,
                    0,
                    COMMAND.pack(START, VERSION) + attribute(SW_DROPS, b""),
                )
            except OSError:
                undo_log.tear(self._note)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        with entered(FIRST):
            _stop(self._family, self._before)
        undo_log.tear(self._note)

    def read(self, seen: Collection[CapturedFrame]) -> list[KernelDrop]:
        """All drops of the flow so far, in order of time.

        Args:
            seen: what the taps saw meanwhile.
        """
        with suppress(BlockingIOError):
            while True:
                self._take(self._socket.recv(1 << 18))
        return sorted(
            (self._placed(dropped, index, seen) for dropped, index in self._found),
            key=lambda each: each.time,
        )

    def _placed(
        self, dropped: KernelDrop, index: int, seen: Collection[CapturedFrame]
    ) -> KernelDrop:
        """A drop with the place and the link where its packet was last seen to come in by a link of that number."""
        likeness = _likeness(dropped.packet)
        came = [
            each
            for each in seen
            if each.inbound
            and each.time <= dropped.time
            and _likeness(ip_packet(each)) == likeness
            and self._links.get(each.place, {}).get(index) == each.dev
        ]
        if not came:
            return dropped
        last = max(came, key=lambda each: each.time)
        return replace(dropped, dev=last.dev, place=last.place)

    def _take(self, data: bytes) -> None:
        while len(data) >= HEADER.size:
            length, kind, *_ = HEADER.unpack_from(data)
            body, data = data[HEADER.size : length], data[(length + 3) & ~3 :]
            if kind == self._family and body[0] == PACKET_ALERT:
                found = attributes(body[COMMAND.size :])
                dropped = _dropped(found, self._flow)
                if dropped is not None:
                    port = attributes(found.get(IN_PORT, b""))
                    self._found.append(
                        (dropped, int.from_bytes(port.get(PORT_INDEX, b""), "little"))
                    )


def put_back(note: Note) -> bool:
    """Stop the monitor that a killed process has left running; whether it is done with."""
    if "drop_monitor" not in note:
        return False
    try:
        with entered(FIRST):
            _stop(_family()[0], note["drop_monitor"])
    except (OSError, KernelRefused):
        return False
    return True


def _family() -> tuple[int, int]:
    """The numbers of the family and of its group.

    Raises:
        OSError: there is no such family: no module drop_monitor.
    """
    found = attributes(
        ask(GENERIC, CONTROL, 0, COMMAND.pack(GET_FAMILY, 1) + attribute(FAMILY_NAME, "NET_DM"))[0][
            COMMAND.size :
        ]
    )
    group = attributes(next(iter(attributes(found[GROUPS]).values())))
    return struct.unpack("=H", found[FAMILY_ID])[0], struct.unpack("=I", group[GROUP_ID])[0]


def _settings(family: int) -> dict[str, int]:
    found = attributes(
        ask(GENERIC, family, 0, COMMAND.pack(CONFIG_GET, VERSION))[0][COMMAND.size :]
    )
    return {
        name: int.from_bytes(found.get(kind, b""), "little")
        for name, kind in (("mode", ALERT_MODE), ("bytes", TRUNC_LEN), ("queue", QUEUE_LEN))
    }


def _set(family: int, settings: dict[str, int]) -> None:
    body = (
        attribute(ALERT_MODE, bytes([settings["mode"]]))
        + attribute(TRUNC_LEN, struct.pack("=I", settings["bytes"]))
        + attribute(QUEUE_LEN, struct.pack("=I", settings["queue"]))
    )
    ask(GENERIC, family, 0, COMMAND.pack(CONFIG, VERSION) + body)


def _stop(family: int, before: dict[str, int]) -> None:
    try:
        ask(GENERIC, family, 0, COMMAND.pack(STOP, VERSION) + attribute(SW_DROPS, b""))
    except OSError as error:
        if error.errno != 11:  # EAGAIN: it does not run
            raise
    _set(family, before)


def _listening(group: int) -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, GENERIC)
    sock.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, ROOM)
    sock.bind((0, 0))
    sock.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
    sock.setblocking(False)
    return sock


def _dropped(found: dict[int, bytes], flow: Flow) -> KernelDrop | None:
    """An alert as a record; None where the packet is not the flow's."""
    payload = found.get(PAYLOAD, b"")
    packet = next((part for part in (payload[ETHERNET:], payload) if belongs(flow, part)), None)
    if packet is None:
        return None
    stamp = found.get(TIMESTAMP, bytes(8))
    return KernelDrop(
        struct.unpack("=Q", stamp)[0],
        _text(found.get(REASON, b"")) or "NOT_SPECIFIED",
        _text(found.get(SYMBOL, b"")).partition("+")[0],
        packet=packet,
        sure=True,
    )


def _likeness(packet: bytes) -> bytes:
    """What tells a packet from others of its flow, and neither routing nor NAT changes.

    TCP's numbers and flags, else the first data.
    """
    protocol, body = (
        (packet[9], packet[(packet[0] & 15) * 4 :])
        if packet[0] >> 4 == 4
        else (packet[6], packet[40:])
    )
    return body[4:14] if protocol == TCP else body[8:16]


def _links(place: Netns) -> dict[int, str]:
    with entered(place.ns):
        return dict(socket.if_nameindex())


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
