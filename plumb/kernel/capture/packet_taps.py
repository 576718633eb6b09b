"""Taps: packet sockets (packet(7)), which capture a packet at every link of several namespaces.

One socket in each namespace, bound to no link, receives from all of its links: incoming packets
before the packet filter, traffic control or a bridge have them, outgoing ones after these. So a
frame that came in at one link and went out at none was stopped between the two, and a frame that
goes out with another address was rewritten. A socket belongs to the namespace in which it was made,
wherever its reader is: one process reads them all, and the kernel's timestamps, which come from one
clock, put the frames of one packet into their order.

Timestamps cost time, so the kernel takes none until the first socket asks for them; a worker of the
kernel switches them on, soon, not at once. A packet that comes before gets the time at which it is
read, and stands in the wrong place. So plumb sends a frame through lo, of a type that is reserved
for experiments and that no program reads, until it comes back with a timestamp (`settle`).

The kernel takes a tag of 802.1Q out of a frame and delivers it as auxiliary data; plumb puts it
back where it was on the wire.

A packet socket costs little to open (60 µs), and a grace period of RCU to close (15 ms), after
which no CPU delivers to it any more. No other step waits for that, so plumb closes each in a thread
of its own, in the background.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Protocol, Self

from plumb.errors import KernelRefused
from plumb.kernel.capture import bpf
from plumb.kernel.capture.flow_filter import ETHERNET_TYPES, Asked, compiled
from plumb.kernel.netlink.connection import enlarge
from plumb.kernel.netns.namespaces import call, entered
from plumb.model.net.packet import with_vlan_tag
from plumb.model.observations import CapturedFrame, Flow, Netns

# linux/if_ether.h, linux/if_packet.h, asm-generic/socket.h; the numbers are the kernel's ABI.
EVERY_PROTOCOL = 0x0003
SOL_PACKET, AUXDATA, STATISTICS = 263, 8, 6
OUTGOING = 4
TIMESTAMPNS = 35
ADDRESS = struct.Struct("=HHiHBB8x")
STAMP = struct.Struct("@qq")
ROOM = 1 << 22
"""Bytes of each socket's receive buffer, for some thousand full-sized packets."""
LONGEST = 1 << 17
EXPERIMENTAL = 0x88B5
"""A type of frames for local experiments (IEEE 802, 9.2.4)."""
PATIENCE = 10.0
"""Seconds within which a worker of the kernel has run, on a busy machine too."""


class Tap:
    """A packet socket of the namespace that the calling thread is in when it is made.

    Args:
        place: that namespace.
        program: its filter (flow_filter.compiled).
    """

    def __init__(self, place: Netns, program: bytes) -> None:
        self.place = place
        # Without a protocol the kernel delivers nothing yet: no packet comes in unfiltered before
        # the filter is there.
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        try:
            bpf.attach(self.socket, program)
            for level, option, value in (
                (socket.SOL_SOCKET, TIMESTAMPNS, 1),
                (SOL_PACKET, AUXDATA, 1),
            ):
                self.socket.setsockopt(level, option, value)
            enlarge(self.socket, ROOM)
            self.socket.setblocking(False)
            every_link = ADDRESS.pack(socket.AF_PACKET, socket.htons(EVERY_PROTOCOL), 0, 0, 0, 0)
            call(
                "bind",
                self.socket.fileno(),
                every_link,
                len(every_link),
                doing="listen on all links",
            )
        except BaseException:
            self.socket.close()
            raise

    def fileno(self) -> int:
        """The socket's descriptor, for selectors."""
        return self.socket.fileno()

    def close(self) -> None:
        """Close the socket, for which the kernel takes some milliseconds."""
        self.socket.close()

    def read(self) -> list[CapturedFrame]:
        """Read the frames that have come since last time."""
        found = []
        while True:
            try:
                found.append(self._receive())
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENETDOWN:  # packet(7) reports a link that went down, once
                    raise

    def _receive(self) -> CapturedFrame:
        frame, ancillary, _, (dev, _, kind, link_type, *_) = self.socket.recvmsg(LONGEST, 256)
        stamp = 0
        ethernet = link_type in ETHERNET_TYPES
        for level, what, data in ancillary:
            if (level, what) == (socket.SOL_SOCKET, TIMESTAMPNS):
                stamp = _nanoseconds(data)
            elif (level, what) == (SOL_PACKET, AUXDATA) and ethernet:
                frame = with_vlan_tag(frame, data)
        return CapturedFrame(stamp, self.place, dev, kind != OUTGOING, frame, ethernet)

    def lost(self) -> int:
        """Count the packets dropped for want of room since last time."""
        return int(struct.unpack_from("=II", self.socket.getsockopt(SOL_PACKET, STATISTICS, 8))[1])


class Taps:
    """Taps in several namespaces, open for the length of a with block.

    Args:
        places: each namespace once.
        flow: the flow whose packets are captured.
        asked: packets that are captured besides.

    Raises:
        KernelRefused: a namespace cannot be entered, or packet sockets are not permitted.
    """

    def __init__(self, places: Sequence[Netns], flow: Flow, asked: Asked | None = None) -> None:
        self._taps: list[Tap] = []
        program = compiled(flow, asked)
        try:
            for place in places:
                with entered(place.ns):
                    self._taps.append(opened(place, program))
            settle(places)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, seconds: float = 0.0) -> list[CapturedFrame]:
        """Wait so many seconds, and read the frames that have come, in order of time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(left)
        return sorted(
            (frame for tap in self._taps for frame in tap.read()), key=lambda frame: frame.time
        )

    def close(self) -> None:
        """Close all, in the background."""
        close_in_background(self._taps)
        self._taps = []


def opened(place: Netns, program: bytes) -> Tap:
    """Open a tap in the calling thread's namespace.

    Raises:
        KernelRefused: packet sockets are not permitted, or this kernel has none.
    """
    try:
        return Tap(place, program)
    except OSError as error:
        raise KernelRefused(f"listen to packets in {place.name}", error.errno or 0) from error


def settle(places: Iterable[Netns]) -> bool:
    """Wait until the kernel takes timestamps, which a socket has asked for; True where it does.

    Args:
        places: where a link lo may be up, besides in the calling thread's own namespace.
    """
    deadline = time.monotonic() + PATIENCE
    for ns in dict.fromkeys(["", *(place.ns for place in places)]):
        with entered(ns):
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        try:
            sock.setsockopt(socket.SOL_SOCKET, TIMESTAMPNS, 1)
            sock.bind(("lo", EXPERIMENTAL))
            while not _stamped(sock):
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.0002)
            return True
        except OSError:
            continue  # lo is down there
        finally:
            close_in_background([sock])
    return False


def _stamped(sock: socket.socket) -> bool:
    """Send a frame through lo; True where its timestamp is older than its return.

    On a busy machine ksoftirqd delivers it, later.
    """
    sock.send(struct.pack(">12xH46x", EXPERIMENTAL))
    back = time.time_ns()
    try:
        _, ancillary, _, _ = sock.recvmsg(64, 64, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    return any(_nanoseconds(data) < back for _, what, data in ancillary if what == TIMESTAMPNS)


class Closable(Protocol):
    """A socket, or an object that has one."""

    def close(self) -> None:
        """Close it."""


def close_in_background(sockets: Iterable[Closable]) -> None:
    """Close sockets, each in a thread, since each waits for a grace period of its own.

    The process ends after the last of them.
    """
    closing = list(sockets)

    def close() -> None:
        for each in closing[1:]:
            threading.Thread(target=each.close, name="closing").start()
        closing[0].close()

    if closing:
        threading.Thread(target=close, name="closing").start()


def _nanoseconds(data: bytes) -> int:
    seconds, nanoseconds = STAMP.unpack_from(data)
    return int(seconds * 1_000_000_000 + nanoseconds)
