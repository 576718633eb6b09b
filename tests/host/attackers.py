"""Attackers: processes that take from an agent what they can get, each in its own way.

Each runs in a namespace until it is killed, opens as many sockets as it is told, and opens another
for each that is closed on it.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dns.message

from plumb.kernel.netns.namespaces import entered

BURST = 64
"""Connections that are begun before the closed ones are looked for."""
Address = tuple[str, int]


@contextmanager
def attacked(namespace: str, attack: Callable[[], None]) -> Iterator[int]:
    """A process that attacks from a namespace; its pid. "" is the calling thread's namespace."""
    pid = os.fork()
    if pid == 0:
        try:
            with entered(namespace):
                attack()
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def hold(to: Address, count: int, word: bytes = b"") -> None:
    """Hold so many TCP connections open, say a word on each, and read nothing."""
    family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
    with selectors.DefaultSelector() as watch:
        held = 0
        while True:
            for _ in range(min(BURST, count - held)):
                sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                with suppress(BlockingIOError):
                    sock.connect(to)
                watch.register(sock, selectors.EVENT_WRITE if word else selectors.EVENT_READ)
                held += 1
            for key, events in watch.select(0.01):
                assert isinstance(key.fileobj, socket.socket)
                try:
                    if events & selectors.EVENT_WRITE:
                        key.fileobj.send(word)
                        watch.modify(key.fileobj, selectors.EVENT_READ)
                        continue
                    if key.fileobj.recv(4096):
                        continue
                except BlockingIOError:
                    continue
                except OSError:
                    pass
                watch.unregister(key.fileobj)
                key.fileobj.close()
                held -= 1


def flood(to: Address, count: int) -> None:
    """Send datagrams from so many ports at a time, and from others after each round."""
    family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
    while True:
        socks = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(count)]
        for sock in socks:
            with suppress(OSError):
                sock.sendto(b"flood", to)
        for sock in socks:
            sock.close()


def ask_much(to: Address, pace: float = 0.0) -> None:
    """Ask a DNS server by UDP for names that only another server can know, and read no answer."""
    number = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(to)
        while True:
            number += 1
            query = dns.message.make_query(f"{number}.slow.example", "A").to_wire()
            with suppress(OSError):
                sock.send(query)
            time.sleep(pace)


def half_a_question() -> bytes:
    """What a DNS server waits for the end of."""
    return b"\0\x40" + bytes(20)


def questions(count: int) -> bytes:
    """So many questions as they go over TCP, for names that only another server can know."""
    packets = (
        dns.message.make_query(f"{number}.slow.example", "A").to_wire() for number in range(count)
    )
    return b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)
