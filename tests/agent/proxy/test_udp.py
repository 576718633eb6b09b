"""The user-land proxy for datagrams.

Who asks gets an answer, from where it has asked, and is forgotten after a while.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import pytest

from plumb.agent.proxy.udp import source_control
from plumb.agent.shares import SILENCE
from tests.agent.proxy.proxy_process import BOX, SECONDS, Address, bound, boxed, datagrams
from tests.waiting import until


@pytest.fixture(scope="module")
def box() -> Iterator[str]:
    """A host, and the namespace of a box on a cable of it."""
    with boxed() as path:
        yield path


@contextmanager
def asking(address: Address) -> Iterator[socket.socket]:
    """A client that takes answers from there alone."""
    with closing(
        socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
    ) as client:
        client.connect(address)
        client.settimeout(SECONDS)
        yield client


@dataclass
class Echo:
    """A server in the box that says what it has heard, when it is told to."""

    sock: socket.socket

    def answer(self) -> Address:
        """Answer one datagram; who has asked, as the box sees it."""
        said, address = self.sock.recvfrom(1 << 16)
        self.sock.sendto(said, address)
        return (address[0], address[1])


@pytest.fixture
def echo(box: str) -> Iterator[Echo]:
    """A server in the box."""
    with closing(bound(box)) as sock:
        yield Echo(sock)


def target(echo: Echo) -> Address:
    """Where the proxy finds it."""
    return (BOX, echo.sock.getsockname()[1])


@pytest.mark.parametrize("size", [0, 1, 1472, 65507])
def test_a_datagram_of_any_size_comes_and_goes_whole(echo: Echo, size: int) -> None:
    """From an empty one to the largest that there is."""
    with datagrams(target(echo)) as proxy, asking(proxy.address) as client:
        client.send(b"x" * size)
        echo.answer()
        assert client.recv(1 << 16) == b"x" * size


@pytest.mark.parametrize(
    ("any_", "asked"),
    [
        ("0.0.0.0", ["192.0.2.10", "192.0.2.11", "127.0.0.1"]),
        ("::", ["2001:db8::10", "2001:db8::11", "::1"]),
    ],
)
def test_the_answer_comes_from_the_address_that_was_asked(
    echo: Echo, any_: str, asked: list[str]
) -> None:
    """On a host with several addresses, and for a client that asks at two of them from one port of
    its own.
    """
    with datagrams(target(echo), any_) as proxy, ExitStack() as open_:
        clients = [open_.enter_context(asking((ip, proxy.address[1]))) for ip in asked]
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
            echo.answer()
        assert [client.recv(100) for client in clients] == [b"0", b"1", b"2"]

        one = open_.enter_context(closing(socket.socket(clients[0].family, socket.SOCK_DGRAM)))
        one.settimeout(SECONDS)
        for ip in (*asked[:2], asked[0]):
            one.sendto(b"?", (ip, proxy.address[1]))
            echo.answer()
            assert one.recvfrom(100)[1][:2] == (ip, proxy.address[1])


def test_an_ipv6_client_reaches_a_container_that_has_ipv4_only(echo: Echo) -> None:
    """The two sides need not be of one family."""
    with datagrams(target(echo), "::1") as proxy, asking(proxy.address) as client:
        client.send(b"hello")
        assert echo.answer()[0] == "172.20.0.1"
        assert client.recv(100) == b"hello"


def test_each_client_gets_its_own_answers(echo: Echo) -> None:
    """Answers in another order than the questions find whom they are for.

    The box sees each client as one.
    """
    with (
        datagrams(target(echo)) as proxy,
        asking(proxy.address) as one,
        asking(proxy.address) as other,
    ):
        seen = []
        for client, word in ((one, b"one"), (other, b"other"), (one, b"one again")):
            client.send(word)
            seen.append(echo.sock.recvfrom(100))
        assert [word for word, _ in seen] == [b"one", b"other", b"one again"]
        assert seen[0][1] == seen[2][1] != seen[1][1]
        for word, address in reversed(seen):
            echo.sock.sendto(word, address)
        assert (one.recv(100), one.recv(100), other.recv(100)) == (b"one again", b"one", b"other")


def test_many_datagrams_keep_their_order(echo: Echo) -> None:
    """A burst is handed on as it came."""
    with datagrams(target(echo)) as proxy, asking(proxy.address) as client:
        for number in range(200):
            client.send(b"%d" % number)
        assert [echo.sock.recv(100) for _ in range(200)] == [
            b"%d" % number for number in range(200)
        ]


def test_who_is_silent_is_forgotten(echo: Echo) -> None:
    """After the idle time the client's socket is closed.

    When it asks again, it is served as a new one.
    """
    with datagrams(target(echo), idle=0.3) as proxy, asking(proxy.address) as client:
        before = proxy.descriptors()
        client.send(b"hello")
        first = echo.answer()
        assert proxy.descriptors() == before + 1
        until(lambda: proxy.descriptors() == before, "the client is forgotten")
        client.recv(100)
        client.send(b"hello again")
        assert echo.answer() != first
        assert client.recv(100) == b"hello again"


def test_who_hears_is_not_silent(echo: Echo) -> None:
    """A client that asks once and is answered again and again (a stream of sound) is not
    forgotten."""
    with datagrams(target(echo), idle=0.3) as proxy, asking(proxy.address) as client:
        client.send(b"play")
        _, address = echo.sock.recvfrom(100)
        for number in range(8):
            try:
                echo.sock.settimeout(0.1)
                echo.sock.recv(1)
            except TimeoutError:
                echo.sock.sendto(b"%d" % number, address)
        assert [client.recv(100) for _ in range(8)] == [b"%d" % number for number in range(8)]


def test_so_many_clients_are_remembered_and_no_more(echo: Echo) -> None:
    """One more, and the one that has been silent for longest is forgotten."""
    with datagrams(target(echo), clients=4) as proxy, ExitStack() as open_:
        before = proxy.descriptors()
        clients = [open_.enter_context(asking(proxy.address)) for _ in range(4)]
        seen = []
        for number in (0, 1, 2, 0, 3, 0, 1):  # 1 has been silent for longest when 3 comes
            time.sleep(SILENCE * 1.2)
            clients[number].send(b"hello")
            seen.append(echo.answer())
        assert proxy.descriptors() == before + 3
        assert seen[0] == seen[3] == seen[5]
        assert seen[1] != seen[6]


def test_a_client_that_is_served_keeps_its_place_in_a_flood(echo: Echo) -> None:
    """Newcomers of the same address find none while nobody is silent."""
    with (
        datagrams(target(echo), clients=4) as proxy,
        asking(proxy.address) as client,
        ExitStack() as open_,
    ):
        seen = set()
        for _ in range(20):
            open_.enter_context(asking(proxy.address)).send(b"stranger")
            client.send(b"hello")
            while (told := echo.sock.recvfrom(100))[0] != b"hello":
                pass
            seen.add(told[1])
            echo.sock.sendto(*told)
            assert client.recv(100) == b"hello"
        assert len(seen) == 1


def test_a_container_that_refuses_is_asked_again(echo: Echo, box: str) -> None:
    """Port unreachable (ECONNREFUSED) stops nothing.

    When a server comes, the same client is served, and no datagram is lost.
    """
    where = target(echo)
    echo.sock.close()
    with datagrams(where) as proxy, asking(proxy.address) as client:
        for _ in range(3):
            client.send(b"nobody?")
        with closing(bound(box, port=where[1])) as sock:
            client.send(b"somebody?")
            while True:  # it may have come in time for a question that nobody was there for
                Echo(sock).answer()
                if client.recv(100) == b"somebody?":
                    break


def test_a_burst_of_strangers_does_not_cost_more_than_the_bound(echo: Echo) -> None:
    """A thousand clients of one address that ask once."""
    with datagrams(target(echo), clients=100) as proxy:
        before = proxy.descriptors()
        for _ in range(1000):
            with asking(proxy.address) as client:
                client.send(b"hello")
        until(lambda: proxy.descriptors() == before + 75, "the bound is reached")


def test_answers_of_a_link_local_address_name_the_link() -> None:
    """fe80:: is an address only together with its link; for any other the route decides."""

    def told(ip: str) -> list[tuple[int, int, bytes]]:
        return [
            (
                socket.IPPROTO_IPV6,
                socket.IPV6_PKTINFO,
                socket.inet_pton(socket.AF_INET6, ip) + b"\7\0\0\0",
            )
        ]

    assert source_control(told("fe80::1")) == told("fe80::1")
    assert source_control(told("2001:db8::1"))[0][2][16:] == bytes(4)
    assert source_control([]) == []
