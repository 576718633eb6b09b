"""Carrier of links: waits until new ones run, so that their first packet is not lost."""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from collections.abc import Sequence

from plumb.kernel.netlink.uapi.linux_rtnetlink import IFF_RUNNING

SIOCGIFFLAGS = 0x8913  # linux/sockios.h


def await_running(devs: Sequence[str], seconds: float = 5.0) -> None:
    """Wait until links are not only up but running, so that the first packet is not lost.

    A veth runs when both its ends are up; the kernel says so a moment later, from its link-watch
    work queue.
    """
    if not devs:
        return
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inet:
        for dev in devs:
            while not _running(inet, dev) and time.monotonic() < deadline:
                time.sleep(0.0002)


def _running(inet: socket.socket, dev: str) -> bool:
    """Check that a link runs, or is gone.

    The ioctl returns the flags alone, netlink's answer forty other attributes as well.
    """
    try:
        answer = fcntl.ioctl(inet, SIOCGIFFLAGS, struct.pack("16sH14x", dev.encode(), 0))
    except OSError:
        return True
    return bool(struct.unpack_from("H", answer, 16)[0] & IFF_RUNNING)
