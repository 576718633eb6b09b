"""A name server in a lab's internet: it knows the names that are kept for examples (RFC 2606).

    example.com, example.net, example.org, and www of each      198.51.100.1, 2001:db8:64::1

It answers for them with authority, and for all other names that there are none (NXDOMAIN): behind
it is nobody to ask. It is a process of the lab, and ends with it.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from socketserver import BaseRequestHandler, BaseServer, ThreadingTCPServer, ThreadingUDPServer
from threading import Thread
from typing import NoReturn

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from plumb.errors import KernelRefused
from plumb.kernel.process.title import set_title
from plumb.lab.lan import INTERNET, INTERNET6

TITLE = "plumb-lab-names"
PORT = 53
DOMAINS = ("example.com.", "example.net.", "example.org.")
NAMES = frozenset((*DOMAINS, *(f"www.{each}" for each in DOMAINS)))
TTL = 300
"""Seconds that an answer may be kept."""
PATIENCE = 5.0
"""Seconds that a TCP client has for a question."""
MOST = 1232
"""Bytes of a UDP answer: they pass any link of IPv6."""
RESOLV_CONF = f"nameserver {INTERNET}\nnameserver {INTERNET6}\n"


def start() -> None:
    """Fork the server; it answers once this returns.

    Raises:
        KernelRefused: it cannot have the port.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    if os.fork() == 0:
        _live(writing)
    os.close(writing)
    with open(reading, encoding="utf-8") as said:
        words = said.read()
    if words != "ready":
        raise KernelRefused("start the lab's name server", 0, words or "it ended at once")


def _live(writing: int) -> NoReturn:
    os.closerange(3, writing)
    os.closerange(writing + 1, os.sysconf("SC_OPEN_MAX"))
    try:
        set_title(TITLE)
        threads = [Thread(target=each.serve_forever) for each in _servers()]
    except OSError as error:
        os.write(writing, str(error).encode())
        os._exit(1)
    for thread in threads:
        thread.start()
    os.write(writing, b"ready")
    os.close(writing)
    for thread in threads:
        thread.join()
    os._exit(0)


class _UDP(ThreadingUDPServer):
    allow_reuse_address = True


class _TCP(ThreadingTCPServer):
    allow_reuse_address = True


class _UDP6(_UDP):
    address_family = socket.AF_INET6


class _TCP6(_TCP):
    address_family = socket.AF_INET6


def _servers() -> list[BaseServer]:
    four, six = (str(INTERNET), PORT), (str(INTERNET6), PORT)
    return [_UDP(four, _Datagram), _TCP(four, _Stream), _UDP6(six, _Datagram), _TCP6(six, _Stream)]


class _Datagram(BaseRequestHandler):
    def handle(self) -> None:
        question, sock = self.request
        if found := answer(question, MOST):
            sock.sendto(found, self.client_address)


class _Stream(BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(PATIENCE)
        with suppress(OSError, struct.error), self.request.makefile("rb") as asked:
            while head := asked.read(2):
                found = answer(asked.read(struct.unpack("!H", head)[0]))
                if not found:
                    return
                self.request.sendall(struct.pack("!H", len(found)) + found)


def answer(question: bytes, most: int = 65535) -> bytes:
    """Answer a DNS message; nothing where it is no question.

    Args:
        most: bytes of the answer.
    """
    try:
        query = dns.message.from_wire(question)
        if not query.question or query.flags & dns.flags.QR:
            return b""
        return _answered(query).to_wire(max_size=most)
    except (dns.exception.DNSException, ValueError):
        return b""


def _answered(query: dns.message.Message) -> dns.message.Message:
    asked = query.question[0]
    name, kind = asked.name.canonicalize().to_text(), dns.rdatatype.to_text(asked.rdtype)
    made = dns.message.make_response(query)
    made.flags |= dns.flags.AA
    known = RECORDS.get(name)
    if known is None:
        made.set_rcode(dns.rcode.NXDOMAIN)
    found = (known or {}).get(kind)
    section, owner = (made.answer, asked.name) if found else (made.authority, dns.name.root)
    record = (kind, found) if found else ("SOA", SOA)
    section.append(dns.rrset.from_text(owner, TTL, "IN", *record))
    return made


SOA = f"{DOMAINS[0]} admin.{DOMAINS[0]} 1 3600 600 86400 {TTL}"
RECORDS: dict[str, dict[str, str]] = {
    **{each: {"A": str(INTERNET), "AAAA": str(INTERNET6)} for each in NAMES},
    **{f"{ip.reverse_pointer}.": {"PTR": DOMAINS[0]} for ip in (INTERNET, INTERNET6)},
}
"""Records by name and type."""
