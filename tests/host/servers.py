"""Servers in containers and on the LAN, each a process of its own."""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import dns.message
import dns.rcode

from plumb.kernel.netns.namespaces import entered
from tests import labs

SECONDS = 10.0
Server = tuple[socket.socket, Callable[[], None]]
"""A socket that is there already, and what serves it."""


@contextmanager
def children(*servers: Server) -> Iterator[None]:
    """Processes that serve."""
    pids = []
    try:
        for sock, serve in servers:
            pids.append(os.fork())
            if pids[-1] == 0:
                try:
                    serve()
                finally:
                    os._exit(1)
            sock.close()
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def greet(place: str) -> Server:
    """Say hello to each TCP client in a container."""
    with entered(place):
        server = socket.create_server(("0.0.0.0", 80), backlog=1024)

    def serve() -> None:
        while True:
            with closing(server.accept()[0]) as client:
                client.sendall(b"hello")

    return server, serve


def keep(place: str) -> Server:
    """Accept each TCP client in a container, and only wait for its end."""
    with entered(place):
        server = socket.create_server(("0.0.0.0", 80), backlog=4096)

    def serve() -> None:
        with selectors.DefaultSelector() as watch:
            watch.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in watch.select():
                    assert isinstance(key.fileobj, socket.socket)
                    if key.fileobj is server:
                        watch.register(server.accept()[0], selectors.EVENT_READ)
                        continue
                    with suppress(ConnectionError):
                        key.fileobj.recv(100)
                    watch.unregister(key.fileobj)
                    key.fileobj.close()

    return server, serve


def echo(place: str) -> Server:
    """Answer each datagram in a container with itself."""
    with entered(place):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", 53))

    def serve() -> None:
        while True:
            sock.sendto(*sock.recvfrom(100))

    return sock, serve


def _answer(packet: bytes) -> bytes:
    """An answer to what is asked for quick.example; none to anything else."""
    query = dns.message.from_wire(packet)
    if not str(query.question[0]).startswith("quick"):
        return b""
    made = dns.message.make_response(query)
    made.set_rcode(dns.rcode.NXDOMAIN)
    return made.to_wire()


def resolve(place: str) -> Server:
    """Be a name server, by UDP."""
    with entered(place):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((labs.ROUTER, 53))

    def serve() -> None:
        while True:
            packet, client = sock.recvfrom(4096)
            if made := _answer(packet):
                sock.sendto(made, client)

    return sock, serve


def resolve_tcp(place: str) -> Server:
    """Be a name server, by TCP."""
    with entered(place):
        server = socket.create_server((labs.ROUTER, 53), backlog=1024)

    def serve() -> None:
        kept: list[socket.socket] = []
        while True:
            client, _ = server.accept()
            client.settimeout(SECONDS)
            with suppress(OSError):
                packet = client.recv(4096)
                if made := _answer(packet[2:]):
                    client.sendall(len(made).to_bytes(2, "big") + made)
                    client.close()
                else:
                    kept = [*kept[-2000:], client]

    return server, serve
