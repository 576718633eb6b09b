"""Ports of the host: bound by a real socket with a filter, and the holder of one that is taken.

plumb binds a socket before it writes the firewall's rules for the port, so that it finds out first
if another program has the port; for TCP, only a listening socket excludes others. But a listening
socket accepts: a connection that begins now would end at the host, and no later rule could send it
to the container. So the socket gets a filter that drops whatever arrives, a classic BPF program of
one instruction: `ret #0`. plumb attaches it before it binds, so that there is no moment without it
(for SCTP after, as in Docker). A client that connects meanwhile loses a packet, and its
retransmission meets the rules. If no user-land proxy serves the port, the filter stays.

Standard library only, and little of it: the agent imports this.
"""

from __future__ import annotations

import array
import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from plumb.address import IPAddress

IP_PKTINFO, SO_ATTACH_FILTER, SO_DETACH_FILTER = 8, 26, 27
BPF_RET = 0x06
DROP_ALL = array.array("B", struct.pack("HBBI", BPF_RET, 0, 0, 0))
"""Filter of one struct sock_filter: code, two jumps, operand.

The return value is the number of bytes of the packet to keep.
"""
BACKLOG = 1 << 16
"""Length of the accept queue; the kernel limits it to net.core.somaxconn."""
KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
FALLBACK = (49153, 65535)
"""Dynamic ports of IANA (RFC 6335), used if the kernel does not tell its own; Docker's fallback."""
LISTENING = "0A"
NAMES = {"plumb-agent": "another plumb's agent"}


def bind(protocol: str, ip: str, port: int) -> socket.socket:
    """Bind a non-blocking socket that drops whatever arrives; a TCP or SCTP socket listens.

    Args:
        protocol: "tcp", "udp" or "sctp".
        ip: an address of the host, or 0.0.0.0 or ::, which is for IPv6 only.

    Raises:
        OSError: EADDRINUSE, another socket has it; EADDRNOTAVAIL, the host has no such address;
            EPROTONOSUPPORT.
    """
    kind, number = KINDS[protocol]
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, number)
    try:
        _prepare(sock, protocol)
        if protocol != "sctp":
            drop_packets(sock)
        sock.bind((ip, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
        if protocol == "sctp":
            drop_packets(sock)
    except OSError:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket, protocol: str) -> None:
    v6 = sock.family == socket.AF_INET6
    if v6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if protocol == "tcp":
        # Connections of an earlier proxy may linger in TIME_WAIT on this port; they do no harm.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if protocol == "udp" and v6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    elif protocol == "udp":
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def drop_packets(sock: socket.socket) -> None:
    """Drop whatever arrives from now on."""
    address, _ = DROP_ALL.buffer_info()
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, address))


def accept_packets(sock: socket.socket) -> None:
    """Accept what arrives from now on."""
    sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


# -- questions ---------------------------------------------------------------


def trial(protocol: str, ip: IPAddress, port: int) -> int:
    """Try to bind a port, and close it again: 0, or the errno."""
    try:
        bind(protocol, str(ip), port).close()
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def listens_v6() -> bool:
    """True if a program can listen on IPv6 at all.

    It cannot if the kernel was booted with ipv6.disable=1.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
            sock.listen(1)
    except OSError:
        return False
    return True


def ephemeral() -> tuple[int, int, frozenset[int]]:
    """Read the kernel's ephemeral ports: first, last, and those that it reserves (ip-sysctl)."""
    from plumb.kernel.net import sysctl

    words = (sysctl.read("net/ipv4/ip_local_port_range") or "").split()
    first, last = (int(words[0]), int(words[1])) if len(words) == 2 else FALLBACK
    reserved = sysctl.read("net/ipv4/ip_local_reserved_ports") or ""
    spans = [tuple(map(int, span.split("-"))) for span in reserved.split(",") if span]
    return first, last, frozenset(port for span in spans for port in range(span[0], span[-1] + 1))


# -- who has it ---------------------------------------------------------------


class Bound(NamedTuple):
    """Socket as /proc/net shows it."""

    ip: IPAddress
    port: int
    inode: str
    listening: bool


def holder_of(protocol: str, ip: IPAddress, port: int) -> str:
    """Find the program that has a port: "nginx (pid 1234)"; empty if it cannot be found."""
    conflicting = [
        bound for bound in _sockets(protocol) if bound.port == port and _excludes(bound.ip, ip)
    ]
    for bound in sorted(conflicting, key=lambda bound: not bound.listening):
        name = _owner(bound.inode)
        if name:
            return name
    return ""


def _excludes(held: IPAddress, wanted: IPAddress) -> bool:
    """True if a socket on one address prevents a bind on the other.

    A socket on :: may be for IPv4 as well.
    """
    if held.version != wanted.version:
        return held.version == 6 and held.is_unspecified
    return held == wanted or held.is_unspecified or wanted.is_unspecified


def _sockets(protocol: str) -> Iterator[Bound]:
    """Iterate over the bound sockets of a protocol in the calling thread's namespace."""
    if protocol == "sctp":
        yield from _sctp_endpoints()
        return
    for table in (protocol, f"{protocol}6"):
        for fields in _table(table):
            # sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
            address, _, port = fields[1].partition(":")
            if fields[9] != "0":
                yield Bound(_address(address), int(port, 16), fields[9], fields[3] == LISTENING)


def _sctp_endpoints() -> Iterator[Bound]:
    for fields in _table("sctp/eps"):
        # ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS...
        for text in fields[8:]:
            ip = IPv6Address(text) if ":" in text else IPv4Address(text)
            yield Bound(ip, int(fields[5]), fields[7], True)


def _table(name: str) -> list[list[str]]:
    """Read a table of /proc/net, each line as a list of fields.

    It is the thread's table, which may be in another namespace than its process.
    """
    try:
        with open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
            return [line.split() for line in file][1:]
    except OSError:
        return []


def _address(text: str) -> IPAddress:
    """Parse an address as /proc/net/tcp writes it: words of 32 bits in the machine's byte order."""
    raw = b"".join(struct.pack("=I", int(text[i : i + 8], 16)) for i in range(0, len(text), 8))
    return IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)


def _owner(inode: str) -> str:
    """Find the process with a socket; of several the first, which most likely forked the others."""
    for pid in sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        try:
            if any(
                _link(pid, number) == f"socket:[{inode}]"
                for number in os.listdir(f"/proc/{pid}/fd")
            ):
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    return NAMES.get(name := file.read().strip(), name) + f" (pid {pid})"
        except OSError:
            continue  # it has ended, or is not ours to look at
    return ""


def _link(pid: int, number: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{number}")
    except OSError:
        return ""
