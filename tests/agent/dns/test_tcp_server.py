"""DNS over TCP: clients that ask much at once, clients that do not read, and clients that only sit
there.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import dns.message
import pytest

from plumb.agent.dns.limits import Limits
from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from tests.agent.dns.dns_process import (
    ADDRESS,
    SECONDS,
    TCP,
    Process,
    answered,
    elsewhere_tcp,
    embedded,
)
from tests.labs import within
from tests.waiting import until

WEB = dns.message.make_query("web", "A").to_wire()[2:]
ELSEWHERE = dns.message.make_query("example.com", "A").to_wire()[2:]


def framed(*packets: bytes) -> bytes:
    """Messages as they go over TCP."""
    return b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)


def asked(count: int, question: bytes = WEB, first: int = 0) -> bytes:
    """So many questions, each with an id of its own."""
    return framed(*(number.to_bytes(2, "big") + question for number in range(first, first + count)))


class Heard:
    """Reads messages, one at a time."""

    def __init__(self, client: socket.socket) -> None:
        self._client, self._bytes = client, bytearray()

    def next(self) -> bytes:
        """The next message."""
        while len(self._bytes) < 2 or len(self._bytes) < 2 + int.from_bytes(self._bytes[:2], "big"):
            said = self._client.recv(1 << 16)
            if not said:
                raise ConnectionResetError
            self._bytes += said
        size = int.from_bytes(self._bytes[:2], "big")
        packet = bytes(self._bytes[2 : 2 + size])
        del self._bytes[: 2 + size]
        return packet

    def ids(self, count: int) -> list[int]:
        """The ids of so many messages."""
        return [int.from_bytes(self.next()[:2], "big") for _ in range(count)]


def greeted(client: socket.socket) -> bool:
    """Whether a question on this connection is answered: then it is taken, and has its place."""
    try:
        client.sendall(asked(1))
        return Heard(client).ids(1) == [0]
    except ConnectionError:
        return False


def hung_up(client: socket.socket, seconds: float = SECONDS) -> bool:
    """Whether the other side has hung up, or does so in time."""
    client.settimeout(seconds)
    try:
        while client.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    """A process that hangs up soon."""
    with embedded(Limits(idle_timeout=2, clients=10)) as made:
        made.serve(upstreams=[["127.0.0.1", False]])
        made.name("e1", "web", "172.18.0.2")
        for number in range(1000):
            made.name(f"m{number}", "many", f"172.18.{number >> 8}.{number & 255}")
        yield made


def test_many_questions_at_once_are_answered_in_order(process: Process) -> None:
    """Those that the zone knows."""
    with process.asking(tcp=True) as client:
        client.sendall(asked(3000))
        assert Heard(client).ids(3000) == [*range(3000)]


def test_many_questions_at_once_for_which_nothing_is_prepared_are_answered(
    process: Process,
) -> None:
    """After each it is the others' turn, and then it goes on, though nothing more comes from the
    client.
    """
    fresh = [
        dns.message.make_query("web", "A", id=number, use_edns=0, payload=1000 + number).to_wire()
        for number in range(100)
    ]
    with process.asking(tcp=True) as client:
        client.sendall(framed(*fresh))
        assert sorted(Heard(client).ids(100)) == [*range(100)]


def test_a_question_may_come_byte_by_byte(process: Process) -> None:
    """And two in one breath."""
    with process.asking(tcp=True) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in asked(1):
            client.sendall(bytes((byte,)))
        client.sendall(asked(2, first=1)[:-3])
        heard = Heard(client)
        assert heard.ids(2) == [0, 1]
        client.sendall(asked(2, first=1)[-3:])
        assert heard.ids(1) == [2]


def test_answers_from_elsewhere_may_overtake_each_other(process: Process) -> None:
    """And what the zone knows waits for none of them."""
    with elsewhere_tcp() as listener, process.asking(tcp=True) as client, ExitStack() as open_:
        client.sendall(asked(2, ELSEWHERE, 100) + asked(1, WEB, 200))
        heard = Heard(client)
        assert heard.ids(1) == [200]
        peers = [open_.enter_context(closing(listener.accept()[0])) for _ in range(2)]
        seen = []
        for peer, ip in zip(reversed(peers), (b"\x0a\0\0\1", b"\x0a\0\0\2"), strict=True):
            peer.sendall(framed(answered(peer.recv(1 << 16)[2:], ip)))
            seen.append(heard.next())
        assert {packet[:2] for packet in seen} == {b"\0\x64", b"\0\x65"}
        assert [packet[-1] for packet in seen] == [1, 2]


def test_only_so_many_questions_of_a_client_are_elsewhere(process: Process) -> None:
    """The others wait until there are answers; they are not lost."""
    with elsewhere_tcp() as listener, process.asking(tcp=True) as client:
        assert greeted(client)  # its own descriptor is there as well
        before = process.descriptors()
        client.sendall(asked(40, ELSEWHERE))
        until(lambda: process.descriptors() >= before + 16, "sixteen are under way")
        assert process.descriptors() == before + 16
        for _ in range(40):
            peer, _ = listener.accept()
            with closing(peer):
                peer.sendall(framed(answered(peer.recv(1 << 16)[2:])))
        assert sorted(Heard(client).ids(40)) == [*range(40)]


def test_who_stops_sending_still_gets_the_answers(process: Process) -> None:
    """Half closed, as some programs do; then the server closes as well."""
    with elsewhere_tcp() as listener, process.asking(tcp=True) as client:
        client.sendall(asked(1, ELSEWHERE) + asked(1, first=1) + b"\0")
        client.shutdown(socket.SHUT_WR)
        heard = Heard(client)
        assert heard.ids(1) == [1]
        peer, _ = listener.accept()
        with closing(peer):
            peer.sendall(framed(answered(peer.recv(1 << 16)[2:])))
        assert heard.ids(1) == [0]
        assert hung_up(client, 1.5)


def test_empty_and_short_messages_are_passed_over(process: Process) -> None:
    """Who sends them goes on."""
    with process.asking(tcp=True) as client:
        client.sendall(
            framed(b"", b"x", b"", b"\x81" * 11, b"\0\1\x81\x80" + bytes(8))
            + b"\0\0" * 5000
            + asked(1, first=7)
        )
        assert Heard(client).ids(1) == [7]


def test_a_message_of_64_kib_is_read_whole(process: Process) -> None:
    """It may be a question with much that does not matter."""
    body = WEB[:8] + b"\0\1" + WEB[10:] + b"\0\0\x29\x10\0\0\0\0\0\xff\0" + bytes(0xFF00)
    with process.asking(tcp=True) as client:
        client.sendall(framed(b"\0\1" + body, b"\0\2" + bytes(65533)) + asked(1, first=3))
        heard = Heard(client)
        assert [packet[3] & 15 for packet in (heard.next(), heard.next(), heard.next())] == [
            0,
            1,
            0,
        ]


def test_who_does_not_read_is_not_read_from(process: Process) -> None:
    """Its answers do not pile up; who reads after all gets every one.

    And meanwhile the others are served.
    """
    many = dns.message.make_query("many", "A").to_wire()[2:]
    with entered(process.ns):
        client = socket.socket()
    with closing(client):
        client.settimeout(SECONDS)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((ADDRESS, TCP))
        before = process.memory()
        client.setblocking(False)
        sent, line = 0, asked(1000, many)
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            with suppress(BlockingIOError):
                sent += client.send(line[sent:]) if sent < len(line) else 0
            assert process.ask("web", tcp=True).answer
        assert process.memory() - before < 4096
        client.settimeout(SECONDS)
        heard = Heard(client)
        whole = sent // (2 + 2 + len(many))
        assert heard.ids(min(whole, 100)) == [*range(min(whole, 100))]


@pytest.mark.alone
def test_who_never_reads_is_hung_up_on(process: Process) -> None:
    """Whatever it has asked."""
    many = dns.message.make_query("many", "A").to_wire()[2:]
    with entered(process.ns):
        client = socket.socket()
    with closing(client):
        before = process.descriptors()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((ADDRESS, TCP))
        client.sendall(asked(1000, many))
        until(lambda: process.descriptors() == before + 1, "it is taken")
        until(lambda: process.descriptors() == before, "it is hung up on")


@pytest.mark.parametrize(
    "said", [b"", b"\0", b"\xff\xff", b"\xff\xff" + bytes(60000), asked(1)[:-1]]
)
def test_who_does_not_come_to_an_end_is_hung_up_on(process: Process, said: bytes) -> None:
    """Nothing is heard of it for a while, or half a question."""
    with process.asking(tcp=True) as client:
        client.sendall(said)
        assert not hung_up(client, 0.2)
        assert hung_up(client)


@pytest.mark.alone
def test_a_byte_now_and_then_is_not_enough(process: Process) -> None:
    """What counts is a question."""
    with process.asking(tcp=True) as client:
        begun = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - begun < 10:
                client.sendall(b"\1")
                time.sleep(0.05)
        assert time.monotonic() - begun < 5


def test_the_one_that_is_silent_for_longest_makes_room(process: Process) -> None:
    """Ten have a place here; the eleventh gets that of the first, if that has not asked since."""
    with ExitStack() as open_:
        clients = [open_.enter_context(process.asking(tcp=True)) for _ in range(10)]
        for client in clients:
            client.sendall(asked(1))
            Heard(client).ids(1)
        clients[0].sendall(asked(1))
        Heard(clients[0]).ids(1)
        eleventh = open_.enter_context(process.asking(tcp=True))
        eleventh.sendall(asked(1))
        assert Heard(eleventh).ids(1) == [0]
        assert hung_up(clients[1], 1.5)
        assert not hung_up(clients[0], 0.1)


def test_clients_that_are_gone_take_no_place() -> None:
    """However many came and went before, a sandbox has as many at once as it may."""
    with embedded(Limits(all_clients=4, min_forwards=1)) as process:
        process.serve()
        process.name("e1", "web", "172.18.0.2")
        for _ in range(8):
            with process.asking(tcp=True) as client:
                assert greeted(client)
                client.shutdown(socket.SHUT_WR)
                assert hung_up(client)
        with process.asking(tcp=True) as one, process.asking(tcp=True) as two:
            assert [greeted(client) for client in (one, two, one)] == [True] * 3


def test_a_sandbox_has_the_places_that_are_granted_to_it_however_many_the_others_take() -> None:
    """Two here; a third gets that of the first, and nobody elsewhere loses one."""
    with embedded(Limits(all_clients=4, min_forwards=2)) as process, ExitStack() as open_:
        process.serve()
        process.name("e1", "web", "172.18.0.2")
        many = [open_.enter_context(process.asking(tcp=True)) for _ in range(4)]
        assert all(greeted(client) for client in many)
        with guest(process):
            one, two = (open_.enter_context(process.asking(tcp=True)) for _ in range(2))
            assert [greeted(client) for client in (one, two, one)] == [True] * 3
            three = open_.enter_context(process.asking(tcp=True))
            assert greeted(three)
            assert hung_up(two)
            assert [greeted(client) for client in (one, three, *many)] == [True] * 6


@contextmanager
def guest(process: Process) -> Iterator[None]:
    """Another sandbox is served as well, and is the one that asks."""
    first, process.ns = process.ns, process.ns + "2"
    namespaces.make(process.ns)
    try:
        within(process.ns, "ip link set lo up")
        process.serve(ns=process.ns)
        yield
    finally:
        process.take("unserve", process.ns)
        namespaces.drop(process.ns)
        process.ns = first


def test_a_client_that_resets_stops_nobody(process: Process) -> None:
    """With questions under way, or none; nothing of it is left."""
    before = process.descriptors()
    with elsewhere_tcp():
        for said in (b"", asked(1), asked(5, ELSEWHERE), asked(100)[:-1]):
            with process.asking(tcp=True) as client:
                client.sendall(said)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert process.ask("web", tcp=True).answer
    until(lambda: process.descriptors() <= before, "all sockets are closed")


def test_what_is_kept_no_more_is_counted_no_more() -> None:
    """Long messages one after the other are as good as one."""
    with embedded(Limits(held_bytes=16 * 100000)) as process:
        process.serve()
        with process.asking(tcp=True) as client:
            heard = Heard(client)
            for number in range(10):
                client.sendall(framed(number.to_bytes(2, "big") + bytes(60000)))
                assert heard.ids(1) == [number]


def test_half_a_message_of_who_is_gone_is_counted_no_more() -> None:
    """Whoever comes then may keep as much."""
    with embedded(Limits(held_bytes=16 * 100000)) as process:
        process.serve()
        process.name("e1", "web", "172.18.0.2")
        for _ in range(4):
            with process.asking(tcp=True) as client:
                client.sendall(b"\xff\xff" + bytes(60000))
                client.shutdown(socket.SHUT_WR)
                assert hung_up(client)
        with process.asking(tcp=True) as client:
            client.sendall(framed(b"\0\1" + bytes(60000)))
            assert Heard(client).ids(1) == [1]


def test_all_together_keep_no_more_than_they_may() -> None:
    """Of half messages; who would add to that is hung up on."""
    with embedded(Limits(held_bytes=16 * 200000)) as process, ExitStack() as open_:
        process.serve()
        process.name("e1", "web", "172.18.0.2")
        clients = [open_.enter_context(process.asking(tcp=True)) for _ in range(20)]
        before = process.memory()
        for client in clients:
            with suppress(ConnectionError):
                client.sendall(b"\xff\xff" + bytes(60000))
        assert process.ask("web", tcp=True).answer
        assert process.memory() - before < 2048
        until(lambda: sum(hung_up(client, 0.02) for client in clients) >= 15)
