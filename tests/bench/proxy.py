"""The user-land proxy beside the kernel's DNAT.

The same container, by 127.0.0.1 and by the host's own address.

A client on the host and a server in the container, each a process of its own, on as many processors
as the machine has; by DNAT nobody stands between them, by the proxy the agent does. Both ways end
in the same cable. The congestion control is reno's on all sockets, which sends as fast as the
window allows: BBR, where it is the default, paces DNAT's way and not the other."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plumb.kernel.netns.namespaces import entered
from tests.bench.figures import Report, warmed
from tests.labs import HOST_IP, lab, sh, within

WAYS = {"DNAT": HOST_IP, "proxy": "127.0.0.1"}
BULK, SHORT = 8080, 8081
CHUNK = 1 << 20
AT_ONCE = 32
"""Short connections that are under way together."""
RENO = "sysctl -qw net.ipv4.tcp_congestion_control=reno"
LEAST = 0.6


def measure(report: Report, mebibytes: int, connections: int, wanted: int, seconds: float) -> None:
    """Bulk throughput and connections a second, the two ways in turn."""
    bulk = report.section("through a published port, bulk", *WAYS, unit="MiB/s")
    short = report.section("through a published port, short", *WAYS, unit="connections/s")
    with lab(lan=True) as place, entered(place.netns), place.host() as host:
        host.create_network("shop", subnet="172.30.0.0/24")
        box = host.run("c1", network="shop", publish=[f"{BULK}:{BULK}", f"{SHORT}:{SHORT}"])
        sh(RENO)
        within(host.namespace(box), RENO)
        with serving(host.namespace(box), BULK, sink), serving(host.namespace(box), SHORT, greet):
            for number in warmed(wanted, seconds):
                for way, address in WAYS.items():
                    sent, made = throughput(address, mebibytes), rate(address, connections)
                    if number:  # the first warms up
                        bulk.add("bulk, one connection", way, sent)
                        short.add(f"{AT_ONCE} at once", way, made)
        host.reset()
    proxied, direct = (bulk.median("bulk, one connection", way) for way in ("proxy", "DNAT"))
    report.least("bulk through the proxy, to DNAT", proxied / direct, LEAST)


@contextmanager
def serving(place: str, port: int, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """A process that serves a port in a namespace."""
    with entered(place):
        server = socket.create_server(("0.0.0.0", port), backlog=1024)
    child = os.fork()
    if child == 0:
        try:
            serve(server)
        finally:
            os._exit(0)
    server.close()
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def sink(server: socket.socket) -> None:
    """Read all that comes, then say how much it was."""
    buffer = bytearray(CHUNK)
    while True:
        connection, _ = server.accept()
        with connection:
            total = 0
            while read := connection.recv_into(buffer):
                total += read
            connection.sendall(b"%d" % total)


def greet(server: socket.socket) -> None:
    """Say a word to each who comes."""
    while True:
        connection, _ = server.accept()
        connection.send(b"hello")
        connection.close()


def throughput(address: str, mebibytes: int) -> float:
    """MiB a second of one connection, until the other side has said how much it got."""
    data = bytes(CHUNK)
    with socket.create_connection((address, BULK), 10) as client:
        client.settimeout(30)
        begun = time.perf_counter()
        for _ in range(mebibytes):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        got = client.recv(100)
        took = time.perf_counter() - begun
    assert got == b"%d" % (mebibytes * CHUNK), got
    return mebibytes / took


def rate(address: str, connections: int) -> float:
    """Connections a second, each until its word has come and the end."""
    begun, left, over = time.perf_counter(), connections, 0
    with selectors.DefaultSelector() as watch:

        def begin() -> None:
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((address, SHORT))
            watch.register(client, selectors.EVENT_READ, b"")

        while over < connections:
            while left and len(watch.get_map()) < AT_ONCE:
                begin()
                left -= 1
            for key, _ in watch.select(10):
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(100)
                if data:
                    watch.modify(key.fileobj, selectors.EVENT_READ, key.data + data)
                    continue
                assert key.data == b"hello", key.data
                watch.unregister(key.fileobj)
                key.fileobj.close()
                over += 1
    return connections / (time.perf_counter() - begun)
