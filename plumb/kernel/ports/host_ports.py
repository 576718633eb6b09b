"""Ports of the host: bound for real, shut by a filter, and who has one that cannot be bound.

A socket is bound before the firewall's rules for its port are written, so that a port which is
somebody else's is found out first; and for TCP to be sure it has to listen as well. But a listening
socket answers: a connection that begins now would be the host's own, and no rule that comes later
could send it to the container. So the socket gets a filter that drops whatever arrives, in the
language of the classic Berkeley Packet Filter a program of one instruction: `ret #0`. The filter
comes before the address, so that there is no moment without it (for SCTP after, as in Docker). A
client that has tried meanwhile has lost a packet, and its next attempt finds the rules. Where no
user-land proxy serves the port it stays.

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

IPAddress = IPv4Address | IPv6Address

IP_PKTINFO, SO_ATTACH_FILTER, SO_DETACH_FILTER = 8, 26, 27
BPF_RET = 0x06
DROP_ALL = array.array("B", struct.pack("HBBI", BPF_RET, 0, 0, 0))
"""One struct sock_filter: code, two jumps, operand.

What is returned is how many bytes of the packet to keep.
"""
BACKLOG = 1 << 16
"""Of clients that wait to be accepted; the kernel cuts it to net.core.somaxconn."""
KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
FALLBACK = (49153, 65535)
"""Dynamic ports as IANA has them (RFC 6335), where the kernel does not say; Docker's fallback."""
LISTENING = "0A"
NAMES = {"plumb-agent": "another plumb's agent"}


def bind(protocol: str, ip: str, port: int) -> socket.socket:
    """A bound socket that listens if its protocol does, does not block, and drops whatever arrives.

    Args:
        protocol: "tcp", "udp" or "sctp".
        ip: an address of the host's, or 0.0.0.0 or ::, which is IPv6 alone.

    Raises:
        OSError: EADDRINUSE, somebody has it; EADDRNOTAVAIL, the host has no such address;
        EPROTONOSUPPORT.
    """
    kind, number = KINDS[protocol]
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, number)
    try:
        _prepare(sock, protocol)
        if protocol != "sctp":
            shut(sock)
        sock.bind((ip, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
        if protocol == "sctp":
            shut(sock)
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


def shut(sock: socket.socket) -> None:
    """Drop whatever arrives from now on."""
    address, _ = DROP_ALL.buffer_info()
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, address))


def open_up(sock: socket.socket) -> None:
    """Let in what arrives."""
    sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


# -- questions ---------------------------------------------------------------


def trial(protocol: str, ip: IPAddress, port: int) -> int:
    """Whether a port could be bound now, found out by doing it: 0, or the errno."""
    try:
        bind(protocol, str(ip), port).close()
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def listens_v6() -> bool:
    """Whether a program can listen on IPv6 at all.

    Not where the kernel was booted with ipv6.disable=1.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
            sock.listen(1)
    except OSError:
        return False
    return True


def ephemeral() -> tuple[int, int, frozenset[int]]:
    """The first and last port that the kernel gives to whoever asks for any, and those that it keeps back (ip-sysctl)."""
    from plumb.kernel.net import sysctl

    words = (sysctl.read("net/ipv4/ip_local_port_range") or "").split()
    first, last = (int(words[0]), int(words[1])) if len(words) == 2 else FALLBACK
    reserved = sysctl.read("net/ipv4/ip_local_reserved_ports") or ""
    spans = [tuple(map(int, span.split("-"))) for span in reserved.split(",") if span]
    return first, last, frozenset(port for span in spans for port in range(span[0], span[-1] + 1))


# -- who has it ---------------------------------------------------------------


class Bound(NamedTuple):
    """A socket as /proc/net shows it."""

    ip: IPAddress
    port: int
    inode: str
    listening: bool


def holder(protocol: str, ip: IPAddress, port: int) -> str:
    """Who has a port, so that it cannot be bound: "nginx (pid 1234)".

    Empty where that cannot be seen.
    """
    rivals = [
        bound for bound in _sockets(protocol) if bound.port == port and _excludes(bound.ip, ip)
    ]
    for bound in sorted(rivals, key=lambda bound: not bound.listening):
        name = _owner(bound.inode)
        if name:
            return name
    return ""


def _excludes(held: IPAddress, wanted: IPAddress) -> bool:
    """Whether a socket on one address is in the way of the other.

    One on :: may be for IPv4 as well.
    """
    if held.version != wanted.version:
        return held.version == 6 and held.is_unspecified
    return held == wanted or held.is_unspecified or wanted.is_unspecified


def _sockets(protocol: str) -> Iterator[Bound]:
    """The bound sockets of a protocol in the calling thread's namespace."""
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
    """The lines of a table in /proc/net, in fields.

    The thread's, which may be in another namespace than its process.
    """
    try:
        with open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
            return [line.split() for line in file][1:]
    except OSError:
        return []


def _address(text: str) -> IPAddress:
    """An address as /proc/net/tcp writes it: words of 32 bits in the machine's own order."""
    raw = b"".join(struct.pack("=I", int(text[i : i + 8], 16)) for i in range(0, len(text), 8))
    return IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)


def _owner(inode: str) -> str:
    """The process with a socket; of several the first, which has most likely started the others."""
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
