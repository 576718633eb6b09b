"""Drops from the drop monitor (NET_DM), with the kernel's reason and function for each packet.

It is a family of generic netlink with one switch for the whole machine, and it answers only in the
machine's first network namespace. An alert has the packet's first bytes, by which plumb recognises
the packets of the flow. Of the link that the packet came in by it has the index alone, and every
namespace counts its own: the tap where the same packet came in shows which namespace it was.

Where another program runs the monitor already, plumb leaves it alone. Else plumb notes the
monitor's settings and restores them; the next command does so if this process was killed, since the
monitor runs on without it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count
from typing import Self

from plumb.errors import KernelRefused
from plumb.kernel.capture import undo_log
from plumb.kernel.capture.flow_filter import belongs, ip_packet
from plumb.kernel.capture.undo_log import Note
from plumb.kernel.netlink.codec import (
    attribute,
    attribute_u8,
    attribute_u32,
    attributes,
    number,
    text,
)
from plumb.kernel.netlink.connection import Subscriber
from plumb.kernel.netlink.genetlink import GenericFamily
from plumb.kernel.netlink.uapi.linux_genetlink import (
    GENLMSGHDR,
    NET_DM_ALERT_MODE_PACKET,
    NET_DM_ATTR_ALERT_MODE,
    NET_DM_ATTR_IN_PORT,
    NET_DM_ATTR_PAYLOAD,
    NET_DM_ATTR_PORT_NETDEV_IFINDEX,
    NET_DM_ATTR_QUEUE_LEN,
    NET_DM_ATTR_REASON,
    NET_DM_ATTR_SW_DROPS,
    NET_DM_ATTR_SYMBOL,
    NET_DM_ATTR_TIMESTAMP,
    NET_DM_ATTR_TRUNC_LEN,
    NET_DM_CMD_CONFIG,
    NET_DM_CMD_CONFIG_GET,
    NET_DM_CMD_PACKET_ALERT,
    NET_DM_CMD_START,
    NET_DM_CMD_STOP,
    NET_DM_FAMILY,
    NET_DM_VERSION,
)
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_GENERIC
from plumb.kernel.netns.namespaces import entered
from plumb.model.net.packet import ip_header
from plumb.model.observations import CapturedFrame, Flow, KernelDrop, Netns

FIRST = "/proc/1/ns/net"
BYTES = 128
"""Bytes of each packet in an alert: its headers, and those that an ICMP error quotes."""
ETHERNET = 14
_numbers = count(1)


class DropMonitor:
    """The kernel's drop monitor, running.

    Args:
        flow: the flow whose packets are reported.
        places: the namespaces that they pass.
        memory: the folder for the note.

    Raises:
        OSError: this kernel has none, or another program uses it.
        KernelRefused: the machine's first namespace cannot be entered.
    """

    def __init__(self, flow: Flow, places: Sequence[Netns], memory: str) -> None:
        self._flow = flow
        self._found: list[tuple[KernelDrop, int]] = []
        self._links = {place: _links(place) for place in places}
        with entered(FIRST):
            self._monitor = GenericFamily(NET_DM_FAMILY, NET_DM_VERSION)
            self._alerts = Subscriber(NETLINK_GENERIC)
        self._before = _settings(self._monitor)
        self._note = undo_log.write(memory, next(_numbers), {"drop_monitor": self._before})
        try:
            self._start()
        except OSError:
            undo_log.tear(self._note)
            self._alerts.close()
            self._monitor.close()
            raise

    def _start(self) -> None:
        wanted = {"mode": NET_DM_ALERT_MODE_PACKET, "bytes": BYTES, "queue": self._before["queue"]}
        _set(self._monitor, wanted)
        self._alerts.join(next(iter(self._monitor.groups.values())))
        self._monitor.change(NET_DM_CMD_START, attribute(NET_DM_ATTR_SW_DROPS, b""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._alerts.close()
        with self._monitor:
            _stop(self._monitor, self._before)
        undo_log.tear(self._note)

    def read(self, frames: Collection[CapturedFrame]) -> list[KernelDrop]:
        """Read the alerts, and return the flow's drops so far in order of time.

        Args:
            frames: frames that the taps have captured meanwhile.
        """
        for kind, payload in self._alerts.notifications():
            if kind == self._monitor.id and payload[0] == NET_DM_CMD_PACKET_ALERT:
                self._take(payload)
        return sorted(
            (self._placed(dropped, index, frames) for dropped, index in self._found),
            key=lambda each: each.time,
        )

    def _placed(
        self, dropped: KernelDrop, index: int, frames: Collection[CapturedFrame]
    ) -> KernelDrop:
        """A drop with its namespace and link: the last where the packet came in at that index."""
        likeness = _likeness(dropped.packet)
        came = [
            each
            for each in frames
            if each.inbound
            and each.time <= dropped.time
            and _likeness(ip_packet(each)) == likeness
            and self._links.get(each.place, {}).get(index) == each.dev
        ]
        if not came:
            return dropped
        last = max(came, key=lambda each: each.time)
        return replace(dropped, dev=last.dev, place=last.place)

    def _take(self, payload: bytes) -> None:
        found = attributes(payload, GENLMSGHDR.size)
        dropped = _dropped(found, self._flow)
        if dropped is not None:
            port = attributes(found.get(NET_DM_ATTR_IN_PORT, b""))
            index = number(port.get(NET_DM_ATTR_PORT_NETDEV_IFINDEX, b""))
            self._found.append((dropped, index))


def put_back(note: Note) -> bool:
    """Stop the monitor that a killed process has left running; True where the note is done with."""
    if "drop_monitor" not in note:
        return False
    try:
        with entered(FIRST), GenericFamily(NET_DM_FAMILY, NET_DM_VERSION) as monitor:
            _stop(monitor, note["drop_monitor"])
    except (OSError, KernelRefused):
        return False
    return True


def _settings(monitor: GenericFamily) -> dict[str, int]:
    found = monitor.get(NET_DM_CMD_CONFIG_GET)
    return {
        "mode": number(found.get(NET_DM_ATTR_ALERT_MODE, b"")),
        "bytes": number(found.get(NET_DM_ATTR_TRUNC_LEN, b"")),
        "queue": number(found.get(NET_DM_ATTR_QUEUE_LEN, b"")),
    }


def _set(monitor: GenericFamily, settings: dict[str, int]) -> None:
    body = (
        attribute_u8(NET_DM_ATTR_ALERT_MODE, settings["mode"])
        + attribute_u32(NET_DM_ATTR_TRUNC_LEN, settings["bytes"])
        + attribute_u32(NET_DM_ATTR_QUEUE_LEN, settings["queue"])
    )
    monitor.change(NET_DM_CMD_CONFIG, body)


def _stop(monitor: GenericFamily, before: dict[str, int]) -> None:
    try:
        monitor.change(NET_DM_CMD_STOP, attribute(NET_DM_ATTR_SW_DROPS, b""))
    except OSError as error:
        if error.errno != errno.EAGAIN:  # it does not run
            raise
    _set(monitor, before)


def _dropped(found: dict[int, bytes], flow: Flow) -> KernelDrop | None:
    """A drop from an alert; None where the packet is not the flow's."""
    payload = found.get(NET_DM_ATTR_PAYLOAD, b"")
    packet = next((part for part in (payload[ETHERNET:], payload) if belongs(flow, part)), None)
    if packet is None:
        return None
    stamp = found.get(NET_DM_ATTR_TIMESTAMP, bytes(8))
    return KernelDrop(
        number(stamp),
        text(found.get(NET_DM_ATTR_REASON, b"")) or "NOT_SPECIFIED",
        text(found.get(NET_DM_ATTR_SYMBOL, b"")).partition("+")[0],
        packet=packet,
        sure=True,
    )


def _likeness(packet: bytes) -> bytes:
    """Bytes by which packets of one flow differ, and which neither routing nor NAT changes.

    They are TCP's sequence numbers and flags, else the first bytes of the data.
    """
    header = ip_header(packet)
    if header is None:
        return b""
    body = packet[header.size :]
    return body[4:14] if header.protocol == socket.IPPROTO_TCP else body[8:16]


def _links(place: Netns) -> dict[int, str]:
    with entered(place.ns):
        return dict(socket.if_nameindex())
