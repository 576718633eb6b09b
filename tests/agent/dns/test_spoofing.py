"""Spoofing: whose answer the embedded DNS server takes, and what it does with a server that means
it ill.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from itertools import pairwise

import dns.message
import dns.rcode
import pytest

from plumb.agent.dns.message import answers
from tests.agent.dns.dns_process import (
    QUERY,
    QUICK,
    Process,
    answer,
    answered,
    elsewhere,
    elsewhere_tcp,
    ips,
    question,
    told,
)

# -- whose answer ---------------------------------------------------------------

Change = Callable[[bytes], bytes]
SPOOFS: dict[str, Change] = {
    "another id": lambda made: bytes((made[0] ^ 1,)) + made[1:],
    "another name": lambda made: made.replace(b"example", b"exampla"),
    "another type": lambda made: made[: 12 + 13] + b"\0\x10" + made[12 + 15 :],
    "another class": lambda made: made[: 12 + 15] + b"\0\3" + made[12 + 17 :],
    "no question": lambda made: made[:4] + b"\0\0\0\1\0\0\0\0" + made[12 + 17 :],
    "two questions": lambda made: made[:5] + b"\2" + made[6:12] + made[12:29] * 2 + made[29:],
    "a question": lambda made: made[:2] + b"\1" + made[3:],
    "another opcode": lambda made: made[:2] + b"\xa1" + made[3:],
    "a header": lambda made: made[:12],
    "half a header": lambda made: made[:7],
    "nothing": lambda made: b"",
}


@pytest.mark.parametrize("change", SPOOFS.values(), ids=SPOOFS.keys())
def test_what_does_not_fit_is_ignored_and_the_answer_that_does_is_taken(
    patient: Process, change: Change
) -> None:
    """Though it comes from the right address, and more often than anybody would look in one
    turn."""
    with elsewhere() as server, patient.asking() as client:
        client.send(QUERY)
        asked, where = server.recvfrom(1 << 16)
        for _ in range(40):
            server.sendto(change(answered(asked, b"\x06\6\6\6")), where)
        server.sendto(answered(asked), where)
        assert ips(told(client)) == ["10.0.0.1"]


def test_nobody_else_can_answer(patient: Process) -> None:
    """Neither from another address nor from another port of the right one, whatever it has
    guessed."""
    with elsewhere() as server, ExitStack() as open_, patient.asking() as client:
        client.send(QUERY)
        asked, where = server.recvfrom(1 << 16)
        for ip in ("127.0.0.1", "127.0.0.2", "127.0.0.99"):
            spoofer = open_.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
            spoofer.bind((ip, 0))
            spoofer.sendto(answered(asked, b"\x06\6\6\6"), where)
        server.sendto(answered(asked), where)
        assert ips(told(client)) == ["10.0.0.1"]


def test_the_answers_question_may_be_in_another_case(patient: Process) -> None:
    """Some servers write all in lower case."""
    with elsewhere() as server, patient.asking() as client:
        client.send(dns.message.make_query("EXAMPLE.com", "A").to_wire())
        asked, where = server.recvfrom(1 << 16)
        server.sendto(answered(asked[:2] + asked[2:].lower()), where)
        assert ips(told(client)) == ["10.0.0.1"]


def test_ids_and_ports_cannot_be_guessed(patient: Process) -> None:
    """Each question has new ones, and neither comes from the client."""
    with elsewhere() as server, patient.asking() as client:
        seen = []
        for _ in range(64):
            client.send(QUERY)
            asked, where = server.recvfrom(1 << 16)
            seen.append((asked[:2], where[1]))
            server.sendto(answered(asked), where)
            told(client)
    assert len({identity for identity, _ in seen}) > 60
    assert len({port for _, port in seen}) > 55
    assert len({later[1] - sooner[1] for sooner, later in pairwise(seen)}) > 50


def test_an_answer_without_a_question_is_one_only_if_it_is_an_error() -> None:
    """A server that has not understood may have nothing to repeat."""
    asked = b"\1\2" + QUERY[2:]
    end = len(QUERY)
    assert not answers(b"\1\2\x81\x80" + bytes(8), b"\1\2", asked, end)
    assert answers(b"\1\2\x81\x81" + bytes(8), b"\1\2", asked, end)


# -- hostile servers ---------------------------------------------------------------

BROKEN: dict[str, Change] = {
    "cut off": lambda asked: answered(asked)[:-1],
    "counts lie": lambda asked: answered(asked)[:6] + b"\xff\xff" + answered(asked)[8:],
    "a length lies": lambda asked: answered(asked)[:-6] + b"\xff\xff" + answered(asked)[-4:],
    "a label overruns": lambda asked: (
        asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question(asked) + b"\x3fxx"
    ),
    "a pointer at the end": lambda asked: (
        asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question(asked) + b"\xc0"
    ),
}


@pytest.mark.parametrize("made", BROKEN.values(), ids=BROKEN.keys())
def test_a_server_that_talks_nonsense_is_passed_over(patient: Process, made: Change) -> None:
    """Its answer fits, and is broken: the client shall not have it."""
    with elsewhere() as one, elsewhere("127.0.0.2") as two, patient.asking() as client:
        client.send(QUERY)
        asked, where = one.recvfrom(1 << 16)
        one.sendto(made(asked), where)
        answer(two)
        assert ips(told(client)) == ["10.0.0.1"]


@pytest.mark.alone
def test_names_that_go_round_in_circles_hold_up_nobody(patient: Process) -> None:
    """Thousands of records about a local address, each with a name of the longest kind, or one that
    points at itself.
    """
    patient.name("e1", "web", "172.18.0.2")
    loops = b"".join(
        (29 + 16 * i | 0xC000).to_bytes(2, "big") + b"\0\1\0\1\0\0\0\0\0\4\xac\x12\0\2"
        for i in range(600)
    )
    with elsewhere() as server, patient.asking() as client:
        client.send(QUERY)
        asked, where = server.recvfrom(1 << 16)
        begun = time.monotonic()
        server.sendto(asked[:2] + b"\x81\x80\0\1\2\x58\0\0\0\0" + question(asked) + loops, where)
        assert len(client.recv(1 << 16)) == 29 + len(loops)
        assert time.monotonic() - begun < 0.5


def how_tcp_fails(peer: socket.socket, how: str) -> None:
    """What a bad TCP server does with a question."""
    asked = peer.recv(1 << 16)[2:]
    if how == "half an answer":
        peer.sendall(b"\0\x80" + answered(asked)[:20])
    elif how == "nothing at all":
        peer.sendall(b"\0\0")
    elif how == "another answer":
        made = answered(b"\0\0" + asked[2:])
        peer.sendall(len(made).to_bytes(2, "big") + made)
    elif how == "garbage":
        peer.sendall(b"\xff" * 70000)


@pytest.mark.parametrize(
    "how", ["closes", "half an answer", "nothing at all", "another answer", "garbage"]
)
def test_a_tcp_server_that_fails_is_passed_over(patient: Process, how: str) -> None:
    """At once."""
    with (
        elsewhere_tcp() as one,
        elsewhere_tcp("127.0.0.2") as two,
        patient.asking(tcp=True) as client,
    ):
        client.sendall(len(QUERY).to_bytes(2, "big") + QUERY)
        bad, _ = one.accept()
        with closing(bad):
            if how != "closes":
                how_tcp_fails(bad, how)
        good, _ = two.accept()
        with closing(good):
            made = answered(good.recv(1 << 16)[2:])
            good.sendall(len(made).to_bytes(2, "big") + made)
        assert client.recv(1 << 16)[4:] == made[2:]


@pytest.mark.alone
def test_a_tcp_server_that_never_answers_is_passed_over_in_time(process: Process) -> None:
    """Whether it accepts and is silent, or sends a byte now and then."""
    with elsewhere_tcp(), elsewhere_tcp("127.0.0.2") as two, process.asking(tcp=True) as client:
        begun = time.monotonic()
        client.sendall(len(QUERY).to_bytes(2, "big") + QUERY)
        slow, _ = two.accept()
        with closing(slow):
            slow.sendall(b"\0")
            assert client.recv(1 << 16)[5] & 15 == dns.rcode.SERVFAIL
        assert 2 * QUICK.timeout <= time.monotonic() - begun < 1.5


def test_an_answer_of_64_kib_by_tcp(patient: Process) -> None:
    """The longest that there is."""
    with elsewhere_tcp() as listener, patient.asking(tcp=True) as client:
        client.sendall(len(QUERY).to_bytes(2, "big") + QUERY)
        peer, _ = listener.accept()
        with closing(peer):
            asked = peer.recv(1 << 16)[2:]
            start = (
                asked[:2]
                + b"\x81\x80\0\1\0\1\0\0\0\0"
                + question(asked)
                + b"\xc0\x0c\0\x10\0\1\0\0\0\0"
            )
            size = 65535 - len(start) - 2
            peer.sendall(b"\xff\xff" + start + size.to_bytes(2, "big") + bytes(size))
        got = b""
        while len(got) < 65537:
            got += client.recv(1 << 16)
    assert got[:4] == b"\xff\xff" + QUERY[:2]
