"""Whatever is sent to the embedded DNS server, it answers properly or not at all.

It does not end, and it does not grow.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import dns.message
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumb.agent.dns import message
from plumb.agent.dns.limits import Limits
from tests.agent.dns.dns_process import Process, embedded, ips
from tests.sampling import share
from tests.waiting import until

BASE = [
    dns.message.make_query(name, kind, use_edns=edns, payload=4096).to_wire()
    for name, kind in (
        ("web", "A"),
        ("many.shop", "AAAA"),
        ("2.0.18.172.in-addr.arpa", "PTR"),
        ("_http._tcp.web", "SRV"),
        ("web", "ANY"),
        ("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p", "A"),
        ("nobody", "TXT"),
    )
    for edns in (-1, 0)
]
HEAD = b"\0\1\1\0\0\1\0\0\0\0\0\0"
NASTY = [
    bytes(12),
    b"\xff" * 12,
    b"\0" * 65507,
    b"\xff" * 65507,
    HEAD + b"\xc0\x0c" * 100,
    HEAD + b"\1a" * 30000,
    HEAD + b"\x3f" * 65000,
    b"\0\1\1\0\0\1\xff\xff\xff\xff\xff\xff\3web\0\0\1\0\1",
    b"\0\1\1\0\xff\xff\0\0\0\0\0\0" + b"\3web\0\0\1\0\1" * 5000,
    b"\0\1\1\0\0\1\0\0\0\0\0\1\3web\0\0\1\0\1\0\0\x29\xff\xff\0\0\0\0\xff\xff" + bytes(65535 - 100),
    b"\0\1\1\0\0\1\0\0\0\0\0\1\3web\0\0\1\0\1\xc0\x1d\0\x29\0\0\0\0\0\0\0\0",
    b"\0\1\1\0\0\1\0\0\0\0\0\2\3web\0\0\1\0\1" + b"\0\0\x29\2\0\0\0\0\0\0\0" * 2,
    b"\0\1\1\0\0\1\0\1\0\1\0\0\3web\0\0\1\0\1" + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\1\2\3\4" * 2,
    *(
        HEAD + b"\3web\0" + kind.to_bytes(2, "big") + group.to_bytes(2, "big")
        for kind in (0, 1, 12, 28, 33, 41, 250, 251, 252, 255, 65535)
        for group in (0, 1, 3, 254, 255, 65535)
    ),
    HEAD
    + b"\x3f"
    + b"x" * 63
    + b"\x3f"
    + b"y" * 63
    + b"\x3f"
    + b"z" * 63
    + b"\x3d"
    + b"w" * 61
    + b"\0\0\x0c\0\1",
    HEAD + b"\1." * 126 + b"\0\0\1\0\1",
    b"\0\1\1\0\0\1\0\0\0\0\0\0\0\0\1\0\1",
]


def packets() -> st.SearchStrategy[bytes]:
    """Anything, and questions with something changed, cut off, put in or put on."""

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        packet = bytearray(draw(st.sampled_from(BASE)))
        for _ in range(draw(st.integers(0, 4))):
            at = draw(st.integers(0, len(packet) - 1))
            packet[at] = draw(
                st.sampled_from((0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xFF)) | st.integers(0, 255)
            )
        return (
            bytes(packet[: draw(st.integers(0, len(packet)))]) + draw(st.binary(max_size=20))
            if draw(st.booleans())
            else bytes(packet)
        )

    return changed() | st.binary(max_size=600)


@given(packet=packets())
@settings(max_examples=share(1500), deadline=None, database=None)
def test_reading_a_question_refuses_or_understands(packet: bytes) -> None:
    """Whatever it is; and what was understood lies within the message."""
    with suppress(message.Refused):
        question = message.parse_question(packet)
        assert question is None or 17 <= question.end <= question.message_end <= len(packet)


@given(packet=packets())
@settings(max_examples=share(500), deadline=None, database=None)
def test_reading_an_answer_refuses_or_understands(packet: bytes) -> None:
    """Whatever it is."""
    with suppress(message.Refused):
        for record in message.addresses(packet, 17):
            assert record.data + record.size <= len(packet)


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    """A process with some names, that asks a host where nobody listens, and little patience."""
    with embedded(Limits(timeout=0.2, idle_timeout=0.5, cached_bytes=1 << 20)) as made:
        made.serve(upstreams=[["127.0.0.1", False]])
        made.name("e1", "web", "172.18.0.2 fd00::2", (("http", "tcp", 80),))
        for number in range(300):
            made.name(f"m{number}", "many", f"172.18.1.{number & 255} fd00::{number + 16:x}")
        yield made


def proper(packet: bytes, said: bytes) -> bool:
    """Whether what was said may be the answer to a packet, or one of an earlier one."""
    return len(said) >= 12 and bool(said[2] & 0x80) and said[3] & 15 in (0, 1, 2, 4, 5)


@given(packet=packets())
@settings(
    max_examples=share(300),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_server_survives_anything_by_udp(process: Process, packet: bytes) -> None:
    """The next question is answered; whatever is said before is an answer."""
    with process.asking() as client:
        client.send(packet)
        client.send(b"\xab\xcd" + BASE[0][2:])
        while (said := client.recv(1 << 16))[:2] != b"\xab\xcd":
            assert proper(packet, said)


@pytest.mark.parametrize("number", range(len(NASTY)))
def test_the_server_survives_nasty_packets(process: Process, number: int) -> None:
    """By UDP and by TCP, several times."""
    packet = NASTY[number]
    with process.asking() as client:
        for _ in range(3):
            client.send(packet[:65507])
        client.send(b"\xab\xcd" + BASE[0][2:])
        while (said := client.recv(1 << 16))[:2] != b"\xab\xcd":
            assert proper(packet, said)
    with process.asking(tcp=True) as client:
        client.sendall(
            (len(packet).to_bytes(2, "big") + packet) * 3
            + len(BASE[0]).to_bytes(2, "big")
            + b"\xab\xcd"
            + BASE[0][2:]
        )
        heard = b""
        while b"\xab\xcd" not in heard:
            said = client.recv(1 << 16)
            assert said
            heard += said


def test_the_server_does_not_grow() -> None:
    """Many packets, nearly all different, leave no more behind than the first few.

    It still answers.
    """
    with embedded(Limits(timeout=0.2, idle_timeout=0.5, cached_bytes=1 << 20)) as process:
        process.serve(upstreams=[["127.0.0.1", False]])
        process.name("e1", "web", "172.18.0.2 fd00::2")
        before = process.descriptors()
        flood(process, share(20000))
        settled = process.memory()
        flood(process, share(40000))
        assert process.memory() - settled < 1024
        until(lambda: process.descriptors() == before, "all sockets are closed")
        assert ips(process.ask("web")) == ["172.18.0.2"]
        assert process.ask("web", tcp=True).answer


def flood(process: Process, count: int) -> None:
    """So many packets by UDP, and some by TCP; now and then until the server has kept up."""
    dice = random.Random(count)
    with process.asking() as client:
        for number in range(count):
            packet = bytearray(dice.choice(BASE))
            for _ in range(dice.randrange(3)):
                packet[dice.randrange(len(packet))] = dice.randrange(256)
            client.send(packet if number % 10 else dice.randbytes(dice.randrange(200)))
            if number % 100 == 99:
                catch_up(client)
            if number % 500 == 0:
                with process.asking(tcp=True) as stream, suppress(OSError):
                    stream.sendall(dice.randbytes(3000))


def catch_up(client: socket.socket) -> None:
    """Wait until a question is answered."""
    deadline = time.monotonic() + 10
    client.send(b"\xab\xcd" + BASE[0][2:])
    while client.recv(1 << 16)[:4] != b"\xab\xcd\x81\x80":
        assert time.monotonic() < deadline
