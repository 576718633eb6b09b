"""The user-land proxy for streams.

What TCP promises between two ends holds with the proxy in between.
"""

from __future__ import annotations

import os
import socket
import statistics
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

import pytest

from plumb.agent.proxy.splice import MAX_FREE
from tests.agent.proxy.proxy_process import (
    BOX,
    BOX6,
    NOBODY,
    SECONDS,
    Running,
    boxed,
    serving,
    stream,
)
from tests.labs import sh
from tests.sampling import share
from tests.waiting import until

MIB = 1 << 20
RESET = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def box() -> Iterator[str]:
    """A host, and the namespace of a box on a cable of it."""
    with boxed() as path:
        yield path


@dataclass
class Line:
    """A client's connection, and what the box has of it."""

    proxy: Running
    server: socket.socket
    client: socket.socket
    peer: socket.socket


@pytest.fixture
def line(box: str) -> Iterator[Line]:
    """A connection through the proxy."""
    with closing(serving(box)) as server, stream((BOX, server.getsockname()[1])) as proxy:
        client = proxy.dial()
        peer, _ = server.accept()
        peer.settimeout(SECONDS)
        with closing(client), closing(peer):
            yield Line(proxy, server, client, peer)


def everything(sock: socket.socket) -> bytes:
    """What comes until the end of the stream."""
    heard = b""
    while more := sock.recv(MIB):
        heard += more
    return heard


def reset(sock: socket.socket) -> None:
    """Close it with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def refused(sock: socket.socket) -> bool:
    """Whether the stream ends with a reset."""
    try:
        while sock.recv(MIB):
            pass
    except ConnectionResetError:
        return True
    return False


# -- bytes ---------------------------------------------------------------


@pytest.mark.parametrize("upwards", [True, False], ids=["to the box", "from the box"])
def test_a_quarter_of_a_gigabyte_arrives_as_it_was_sent(line: Line, upwards: bool) -> None:
    """256 MiB with their checksum, either way."""
    source, sink = (line.client, line.peer) if upwards else (line.peer, line.client)
    noise = memoryview(os.urandom(2 * MIB))

    def send() -> int:
        check = 0
        for number in range(256):
            part = noise[number * 4099 : number * 4099 + MIB]
            source.sendall(part)
            check = zlib.crc32(part, check)
        source.shutdown(socket.SHUT_WR)
        return check

    with ThreadPoolExecutor(1) as beside:
        sent = beside.submit(send)
        room, check, size = memoryview(bytearray(MIB)), 0, 0
        while heard := sink.recv_into(room):
            check, size = zlib.crc32(room[:heard], check), size + heard
        assert (size, check) == (256 * MIB, sent.result())


def test_both_speak_at_a_time(line: Line) -> None:
    """16 MiB one way while 16 MiB go the other."""

    def send(sock: socket.socket) -> None:
        sock.sendall(bytes(16 * MIB))
        sock.shutdown(socket.SHUT_WR)

    with ThreadPoolExecutor(4) as beside:
        for sock in (line.client, line.peer):
            beside.submit(send, sock)
        heard = [beside.submit(everything, sock) for sock in (line.client, line.peer)]
        assert [len(future.result()) for future in heard] == [16 * MIB] * 2


def test_who_does_not_read_is_waited_for(line: Line) -> None:
    """A client that reads nothing stops the server: the bytes wait in sockets, not in the proxy."""
    before = line.proxy.memory()
    line.peer.setblocking(False)
    sent = 0

    def stuck() -> bool:
        nonlocal sent
        try:
            sent += line.peer.send(bytes(MIB))
        except BlockingIOError:
            time.sleep(0.05)
            try:
                sent += line.peer.send(bytes(MIB))
            except BlockingIOError:
                return True
        return False

    until(stuck, "the server is stopped")
    assert line.proxy.memory() < before + 2048
    line.client.settimeout(SECONDS)
    heard = 0
    while heard < sent:
        heard += len(line.client.recv(MIB))


def test_urgent_data_does_not_stop_the_stream(line: Line) -> None:
    """A byte that was sent as urgent (telnet, ftp) comes in its place, and so does what follows."""
    line.client.sendall(b"before")
    assert line.peer.recv(100) == b"before"
    line.client.send(b"!", socket.MSG_OOB)
    line.client.sendall(b"after")
    line.client.shutdown(socket.SHUT_WR)
    assert everything(line.peer) == b"!after"


def test_an_ipv6_client_reaches_a_container_that_has_ipv4_only(box: str) -> None:
    """What no firewall rule can do: the two connections need not be of one family.

    Nor the other way round.
    """
    for here, there in (("::1", BOX), ("127.0.0.1", BOX6), ("2001:db8::10", BOX)):
        server = serving(box, "::" if ":" in there else "0.0.0.0")
        with (
            closing(server),
            stream((there, server.getsockname()[1]), here) as proxy,
            closing(proxy.dial()) as client,
        ):
            peer, _ = server.accept()
            with closing(peer):
                client.sendall(b"hello")
                assert peer.recv(100) == b"hello"


def test_the_container_sees_the_hosts_address(line: Line) -> None:
    """The client's address is not preserved: the price of a proxy."""
    assert line.peer.getpeername()[0] == "172.20.0.1"


# -- ends ---------------------------------------------------------------


def test_a_client_that_has_said_all_still_gets_its_answer(line: Line) -> None:
    """The end of the client's stream reaches the server, and the other way stays open
    (half-close)."""
    line.client.sendall(b"question")
    line.client.shutdown(socket.SHUT_WR)
    assert everything(line.peer) == b"question"
    line.peer.sendall(b"answer")
    line.peer.close()
    assert everything(line.client) == b"answer"


def test_a_server_that_has_said_all_still_hears(line: Line) -> None:
    """The same from the other side."""
    line.peer.sendall(b"greeting")
    line.peer.shutdown(socket.SHUT_WR)
    assert everything(line.client) == b"greeting"
    line.client.sendall(b"thanks")
    line.client.close()
    assert everything(line.peer) == b"thanks"


def test_a_connection_that_is_over_leaves_nothing(line: Line) -> None:
    """When both have said all, the proxy has closed both sockets."""
    line.client.sendall(b"hello")
    assert line.peer.recv(100) == b"hello"
    open_ = line.proxy.descriptors()
    line.client.close()
    assert everything(line.peer) == b""
    line.peer.close()
    until(lambda: line.proxy.descriptors() == open_ - 2, "two sockets are closed")


@pytest.mark.parametrize("upwards", [True, False], ids=["the client's", "the server's"])
def test_a_reset_is_a_reset_on_the_other_side(line: Line, upwards: bool) -> None:
    """Who resets is not taken for one who has said all; what it has said before arrives."""
    one, other = (line.client, line.peer) if upwards else (line.peer, line.client)
    one.sendall(b"before")
    assert other.recv(6) == b"before"
    reset(one)
    with pytest.raises(ConnectionResetError):
        other.recv(1)


def test_a_reset_ends_a_stream_that_is_stuck(line: Line) -> None:
    """A server that does not read hears of the client's reset all the same."""
    open_ = line.proxy.descriptors()
    line.client.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            line.client.send(bytes(MIB))
    reset(line.client)
    until(
        lambda: line.proxy.descriptors() <= open_ - 2 + 2 * MAX_FREE, "the connection is given up"
    )
    assert refused(line.peer)


def test_who_is_refused_gets_a_reset(box: str) -> None:
    """Nobody listens in the container: the client's connection is reset.

    Once somebody does, the next one works.
    """
    with closing(serving(box)) as server:
        port = server.getsockname()[1]
    with stream((BOX, port)) as proxy:
        # The reset may come before connect(2) has returned.
        with pytest.raises(ConnectionResetError), closing(proxy.dial()) as client:
            client.recv(MIB)
        with closing(serving(box, port=port)) as server, closing(proxy.dial()) as client:
            peer, _ = server.accept()
            peer.close()
            assert everything(client) == b""


def test_a_client_that_gives_up_is_not_waited_with(box: str) -> None:
    """The container does not answer, the client resets.

    The attempt to connect is given up at once.
    """
    with stream((NOBODY, 80)) as proxy:
        before = proxy.descriptors()
        client = proxy.dial()
        until(lambda: proxy.descriptors() == before + 2, "the proxy tries to connect")
        reset(client)
        until(lambda: proxy.descriptors() == before, "it has given up", 20)


def test_silent_peers_are_asked_whether_they_live(line: Line) -> None:
    """Keepalive on both sides after 15 s, as docker-proxy's.

    Whoever vanished without a word is found out.
    """

    def timers() -> list[str]:
        return [
            text
            for text in sh(f"ss -Htnop | grep pid={line.proxy.pid},").splitlines()
            if "timer:(keepalive,1" in text
        ]

    until(lambda: len(timers()) == 2, "both sockets have a keepalive timer of less than 20 s")


# -- many ---------------------------------------------------------------


def test_a_thousand_at_once(box: str) -> None:
    """Each of a thousand open connections is its own.

    One that is silent costs two descriptors, and no pipe.
    """
    with (
        closing(serving(box)) as server,
        stream((BOX, server.getsockname()[1])) as proxy,
        ExitStack() as open_,
    ):
        before = proxy.descriptors()
        clients = []
        for number in range(1000):
            clients.append(open_.enter_context(closing(proxy.dial())))
            clients[-1].sendall(b"%d" % number)
        peers = [open_.enter_context(closing(server.accept()[0])) for _ in clients]
        for peer in peers:
            peer.sendall(b"you are " + peer.recv(100))
        assert [client.recv(100) for client in clients] == [
            b"you are %d" % number for number in range(1000)
        ]
        assert proxy.descriptors() <= before + 2000 + 2 * MAX_FREE
        open_.close()
        until(lambda: proxy.descriptors() <= before + 2 * MAX_FREE, "all are closed")


def test_ten_thousand_one_after_the_other(box: str) -> None:
    """Ten thousand short connections, a fifth of them in a sampled run.

    Each is served, and none leaves a descriptor or memory behind.
    """

    count = share(10_000)

    def serve(server: socket.socket) -> None:
        for _ in range(count):
            peer, _ = server.accept()
            peer.sendall(peer.recv(100))
            peer.close()

    with closing(serving(box)) as server, stream((BOX, server.getsockname()[1])) as proxy:
        before, memory = proxy.descriptors(), 0
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        for number in range(count):
            with closing(proxy.dial()) as client:
                client.sendall(b"%d" % number)
                assert client.recv(100) == b"%d" % number
            if number == 1000:
                memory = proxy.memory()
        until(lambda: proxy.descriptors() <= before + 2 * MAX_FREE, "all are closed")
        assert proxy.memory() < memory + 512


def test_a_bulk_transfer_does_not_keep_the_others_waiting(line: Line) -> None:
    """While one connection sends as fast as it can, another's question is answered within
    milliseconds.
    """
    done = threading.Event()

    def flood() -> None:
        while not done.is_set():
            line.client.sendall(bytes(MIB))
        line.client.shutdown(socket.SHUT_WR)

    with ThreadPoolExecutor(2) as beside, closing(line.proxy.dial()) as client:
        peer, _ = line.server.accept()
        beside.submit(flood)
        beside.submit(everything_away, line.peer)
        took = []
        for _ in range(100):
            start = time.monotonic()
            client.sendall(b"?")
            peer.sendall(peer.recv(1))
            assert client.recv(1) == b"?"
            took.append(time.monotonic() - start)
        done.set()
        peer.close()
    assert statistics.median(took) < 0.03


def everything_away(sock: socket.socket) -> None:
    """Read to the end."""
    room = bytearray(MIB)
    while sock.recv_into(room):
        pass


def test_without_descriptors_the_proxy_does_not_spin(box: str) -> None:
    """The process has fewer than it counts with: who comes waits, or is reset.

    When there are some again, all are served.
    """
    with (
        closing(serving(box)) as server,
        stream((BOX, server.getsockname()[1]), room=40, counted=4000) as proxy,
        ExitStack() as open_,
    ):
        before = proxy.descriptors()
        for _ in range(60):
            with suppress(ConnectionResetError):  # it is reset before it knows that it was accepted
                open_.enter_context(closing(proxy.dial()))
        until(lambda: proxy.descriptors() >= 39, "none is left")
        used = proxy.cpu()
        time.sleep(1)
        assert proxy.cpu() - used < 0.2
        open_.close()
        until(lambda: is_served(proxy, server), "who comes is served")
        until(lambda: proxy.descriptors() <= before + 2 * MAX_FREE, "all are closed")
        assert all(is_served(proxy, server) for _ in range(10))


def is_served(proxy: Running, server: socket.socket, source: str = "127.0.0.1") -> bool:
    """Whether a client's word arrives; the connections before it are passed over."""
    client = socket.create_connection(proxy.address, SECONDS, (source, 0))
    with closing(client), suppress(ConnectionError, TimeoutError):
        client.sendall(b"me")
        server.settimeout(1)
        while True:
            peer, _ = server.accept()
            with closing(peer):
                if peer.recv(2) == b"me":
                    return True
    return False


def test_an_attacked_port_serves_other_addresses(box: str) -> None:
    """Two addresses hold all that there is, and each has more than the one that comes."""
    with (
        closing(serving(box)) as server,
        stream((BOX, server.getsockname()[1]), room=400) as proxy,
        ExitStack() as open_,
    ):
        before = proxy.descriptors()
        for number in range(120):
            source = ("127.0.0.2", "127.0.0.3")[number % 2]
            with suppress(ConnectionError):  # it may be reset before it knows that it was accepted
                client = socket.create_connection(proxy.address, SECONDS, (source, 0))
                open_.enter_context(closing(client)).sendall(b"no")
        until(lambda: proxy.descriptors() >= before + 100, "the port has all that it may")
        assert all(is_served(proxy, server, f"127.0.0.{number}") for number in range(10, 20))


# -- SCTP ---------------------------------------------------------------


@pytest.mark.needs("sctp")
def test_sctp_is_handed_on(box: str) -> None:
    """Messages go both ways, one by one."""
    from plumb.kernel.netns import namespaces

    with namespaces.entered(box):
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        server.bind((BOX, 0))
        server.listen()
    with closing(server), stream((BOX, server.getsockname()[1]), protocol="sctp") as proxy:
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        client.connect(proxy.address)
        peer, _ = server.accept()
        with closing(client), closing(peer):
            client.sendall(b"one")
            assert peer.recv(100) == b"one"
            peer.sendall(b"two")
            assert client.recv(100) == b"two"
