"""Announcements: tell the segment which MAC address an IP address now has.

An address that was another interface's a moment ago is still in the neighbours' caches with the old
MAC, and packets to it are lost until the entry ages. So plumb announces a new interface: for IPv4
by a broadcast ARP request for its own address (RFC 5227 calls it an ARP announcement), for IPv6 by
an unsolicited neighbour advertisement with the override flag (RFC 4861, 7.2.6). Docker sends three,
a second apart, the first before the container starts; so does plumb: the first at once, the others
from a thread of the agent or, after a command that has ended, from a small process that stays for
as long as that takes. They stop early for an interface that is gone or has another MAC.

Standard library only: this file is also that process's script.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import time
from typing import Any, NamedTuple

CLONE_NEWNET = 0x40000000
ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD
ALL_NODES = ipaddress.IPv6Address("ff02::1")
OVERRIDE = 0x20000000


class Target(NamedTuple):
    """An interface to announce, by namespace and name, and its announcements.

    The interval is in milliseconds. An empty MAC (ipvlan) stands for the interface's own.
    """

    ns: str
    dev: str
    mac: str
    ips: tuple[str, ...]
    times: int
    interval: int


def arp(mac: bytes, ip: ipaddress.IPv4Address) -> bytes:
    """A broadcast ARP request in which sender and target address are the same."""
    body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac, ip.packed, bytes(6), ip.packed)
    return b"\xff" * 6 + mac + struct.pack("!H", ETH_P_ARP) + body


def advertisement(mac: bytes, ip: ipaddress.IPv6Address) -> bytes:
    """An unsolicited neighbour advertisement to all nodes."""
    icmp = struct.pack("!BBHI16sBB6s", 136, 0, 0, OVERRIDE, ip.packed, 2, 1, mac)
    # model/net/packet.py has the same checksum, which a script that runs by itself (-I -S) cannot
    # import.
    pseudo = ip.packed + ALL_NODES.packed + struct.pack("!II", len(icmp), 58)
    total = sum(struct.unpack(f"!{len(pseudo + icmp) // 2}H", pseudo + icmp))
    total = (total >> 16) + (total & 0xFFFF)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    header = struct.pack("!IHBB16s16s", 6 << 28, len(icmp), 58, 255, ip.packed, ALL_NODES.packed)
    return (
        b"\x33\x33\0\0\0\1"
        + mac
        + struct.pack("!H", ETH_P_IPV6)
        + header
        + icmp[:2]
        + struct.pack("!H", checksum)
        + icmp[4:]
    )


def frames(mac: str, ips: tuple[str, ...]) -> list[bytes]:
    """The frames that announce addresses, a frame each."""
    raw = bytes.fromhex(mac.replace(":", ""))
    found = [ipaddress.ip_address(ip) for ip in ips]
    return [
        arp(raw, ip) if isinstance(ip, ipaddress.IPv4Address) else advertisement(raw, ip)
        for ip in found
    ]


def say(target: Target) -> socket.socket | None:
    """Send a target's frames from the calling thread's namespace.

    To close a packet socket takes a hundredth of a second, until every CPU has let go of it: so the
    caller gets it open, and has it closed in the background.

    Returns:
        The socket, or None where the interface is gone or has another MAC.
    """
    try:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            wire.bind((target.dev, 0))
            mac = wire.getsockname()[4]
            if target.mac in ("", mac.hex(":")):
                for frame in frames(mac.hex(":"), target.ips):
                    wire.send(frame)
                return wire
        except OSError:
            pass
        wire.close()
    except OSError:
        pass
    return None


def say_in(target: Target) -> bool:
    """Send a target's frames from its own namespace; True where it is still there.

    The calling thread or process stays in that namespace, so it must do nothing else.
    """
    libc: Any = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = os.open(target.ns, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    entered = libc.setns(descriptor, CLONE_NEWNET) == 0
    os.close(descriptor)
    wire = say(target) if entered else None
    if wire is not None:
        wire.close()
    return wire is not None


def see_through(targets: list[Target], said: int) -> None:
    """Send the announcements that are left, each when it is due.

    Args:
        targets: the endpoints.
        said: the number of announcements of each that were sent already.
    """
    start = time.monotonic()
    turns = sorted(
        (target.interval * (number - said + 1) / 1000, i)
        for i, target in enumerate(targets)
        for number in range(said, target.times)
    )
    gone: set[int] = set()
    for moment, i in turns:
        time.sleep(
            max(0.0, start + moment - time.monotonic() - targets[i].interval / 1000 * (not said))
        )
        if i not in gone and not say_in(targets[i]):
            gone.add(i)


def leave(targets: list[Target], said: int, sockets: list[socket.socket]) -> None:
    """Start a process that sends the announcements which are left, and closes the sockets."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        pass_fds=[wire.fileno() for wire in sockets],
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps([[wire.fileno() for wire in sockets], said, targets]).encode())
    child.stdin.close()
    child.returncode = 0  # it outlives this process, which never waits for it
    for wire in sockets:
        wire.close()


def main() -> None:
    """Send the announcements that stdin lists, as JSON."""
    inherited, said, targets = json.load(sys.stdin)
    for descriptor in inherited:
        os.close(descriptor)
    see_through([Target(*words) for words in targets], said)


if __name__ == "__main__":
    main()
