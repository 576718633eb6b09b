"""The embedded DNS server: what it answers by itself, asked as programs do."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest

from plumb.kernel.netns import namespaces, sockets
from tests.agent.dns.dns_process import ADDRESS, TCP, UDP, Process, embedded, ips
from tests.labs import within


@pytest.fixture(scope="module")
def shared() -> Iterator[Process]:
    """A process that serves a sandbox with some names, and nobody elsewhere."""
    with embedded() as process:
        process.serve(links=[["n-shop", "Base", "db"]])
        process.name("e1", "web 0123456789ab app", "172.18.0.2 fd00::2", (("http", "tcp", 80),))
        process.name("e2", "db app", "172.18.0.3")
        for number in range(100):
            process.name(f"m{number}", f"m{number} many", f"172.18.1.{number}")
        yield process


@pytest.fixture(params=[False, True], ids=["udp", "tcp"])
def tcp(request: pytest.FixtureRequest) -> bool:
    """Both ways to ask."""
    return bool(request.param)


# -- kinds of questions ---------------------------------------------------------------


def test_a_name_is_answered_as_docker_answers(shared: Process, tcp: bool) -> None:
    """Ten minutes, recursion available, no authority, and the question as it was asked, in its
    case.
    """
    for name in ("web", "WeB", "web.shop", "0123456789ab"):
        answer = shared.ask(name, tcp=tcp)
        assert (ips(answer), answer.answer[0].ttl, answer.rcode()) == (
            ["172.18.0.2"],
            600,
            dns.rcode.NOERROR,
        )
        assert answer.flags == dns.flags.QR | dns.flags.RA | dns.flags.RD
        assert answer.question[0].name.to_text() == answer.answer[0].name.to_text() == f"{name}."


def test_the_second_answer_is_as_the_first(shared: Process, tcp: bool) -> None:
    """It is prepared by then."""
    one, two = (shared.ask("web", "AAAA", tcp=tcp, id=number) for number in (1, 2))
    assert ips(one) == ips(two) == ["fd00::2"]
    assert (one.id, two.id) == (1, 2)
    assert one.to_wire()[2:] == two.to_wire()[2:]


def test_a_family_that_a_name_has_not_is_empty(shared: Process, tcp: bool) -> None:
    """It is no error, and not asked elsewhere."""
    answer = shared.ask("db", "AAAA", tcp=tcp)
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])


def test_mail_for_a_known_name_goes_to_its_address(shared: Process) -> None:
    """MX is empty, so that the client asks for the address."""
    answer = shared.ask("web", "MX")
    assert (answer.rcode(), answer.answer, answer.flags & dns.flags.RA) == (
        dns.rcode.NOERROR,
        [],
        dns.flags.RA,
    )


@pytest.mark.parametrize(
    "name", ["2.0.18.172.in-addr.arpa", "2.0.0.0." + "0." * 24 + "0.0.d.f.ip6.arpa"]
)
def test_addresses_are_called_by_the_first_name(shared: Process, name: str) -> None:
    """And its network."""
    answer = shared.ask(name, "PTR")
    assert [str(data) for data in answer.answer[0]] == ["web.shop."]
    assert answer.answer[0].ttl == 600


def test_a_named_port_is_offered(shared: Process) -> None:
    """With its own type, unlike Docker, and the addresses besides."""
    answer = shared.ask("_http._tcp.app", "SRV")
    assert [str(data) for data in answer.answer[0]] == ["0 0 80 web.shop."]
    assert answer.answer[0].rdtype == dns.rdatatype.SRV
    assert [(str(rrset.name), str(rrset[0])) for rrset in answer.additional] == [
        ("web.shop.", "172.18.0.2"),
        ("web.shop.", "fd00::2"),
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("web", "TXT"),
        ("web", "ANY"),
        ("web", "NS"),
        ("web", "HTTPS"),
        ("nobody", "A"),
        ("base", "A"),
        ("nobody", "MX"),
        ("9.0.18.172.in-addr.arpa", "PTR"),
        ("web", "PTR"),
        ("x.tcp.app", "SRV"),
    ],
)
def test_all_else_is_for_others_to_answer(shared: Process, name: str, kind: str, tcp: bool) -> None:
    """And there are none here: SERVFAIL, without a promise to recurse."""
    answer = shared.ask(name, kind, tcp=tcp)
    assert (answer.rcode(), answer.flags & ~15) == (dns.rcode.SERVFAIL, dns.flags.QR | dns.flags.RD)
    assert answer.question[0].name.to_text() == f"{name}."


def test_a_link_is_an_alias(shared: Process) -> None:
    """Known to this sandbox."""
    assert ips(shared.ask("Base")) == ["172.18.0.3"]


def test_the_class_does_not_matter(shared: Process) -> None:
    """As in Docker: the question keeps its own, the answer's is IN."""
    query = dns.message.make_query("web", "A", "CH")
    answer = dns.message.from_wire(shared.raw(query.to_wire()))
    assert answer.question[0].rdclass == dns.rdataclass.CH
    assert answer.answer[0].rdclass == dns.rdataclass.IN


def test_flags_are_repeated_that_are_to_be(shared: Process) -> None:
    """RD and CD, but not AD."""
    query = dns.message.make_query("web", "A", flags=dns.flags.CD | dns.flags.AD)
    assert (
        dns.message.from_wire(shared.raw(query.to_wire())).flags
        == dns.flags.QR | dns.flags.RA | dns.flags.CD
    )


def test_no_opt_is_answered_with_none(shared: Process) -> None:
    """As in Docker, whatever RFC 6891 says."""
    answer = shared.ask("web", use_edns=0, payload=4096)
    assert (ips(answer), answer.edns) == (["172.18.0.2"], -1)


# -- sizes and orders ---------------------------------------------------------------


def test_several_addresses_come_in_any_order(shared: Process) -> None:
    """Each comes first as often as the others, more or less."""
    first = Counter(ips(shared.ask("app"))[0] for _ in range(60))
    assert set(first) == {"172.18.0.2", "172.18.0.3"}
    assert min(first.values()) > 10
    assert sorted(ips(shared.ask("app"))) == ["172.18.0.2", "172.18.0.3"]


def test_the_order_is_another_each_time_it_is_prepared(shared: Process) -> None:
    """And not only another beginning of the same round."""
    rounds = set()
    for size in range(2000, 2005):
        found = ips(shared.ask("many", tcp=True, use_edns=0, payload=size))
        at = found.index("172.18.1.0")
        rounds.add((*found[at:], *found[:at]))
    assert len(rounds) == 5


@pytest.mark.parametrize(
    ("size", "count"),
    [(0, 30), (512, 30), (100, 30), (600, 36), (1232, 75), (4096, 100), (65535, 100)],
)
def test_as_many_as_fit_into_a_datagram(shared: Process, size: int, count: int) -> None:
    """512 bytes or what the client says; then TC, and the client asks by TCP."""
    answer = shared.ask("many", use_edns=0 if size else -1, payload=size)
    assert len(ips(answer)) == count
    assert bool(answer.flags & dns.flags.TC) == (count < 100)
    assert len(answer.to_wire()) <= max(size, 512)


def test_by_tcp_all_fit(shared: Process) -> None:
    """And the records that were cut off are others each time."""
    answer = shared.ask("many", tcp=True)
    assert (len(ips(answer)), answer.flags & dns.flags.TC) == (100, 0)
    seen = {ip for _ in range(40) for ip in ips(shared.ask("many"))}
    assert len(seen) > 31


# -- what is no question ---------------------------------------------------------------


def header(flags: int = 0x0100, *counts: int) -> bytes:
    """The header of a message."""
    return b"\x12\x34" + b"".join(
        number.to_bytes(2, "big") for number in (flags, *(counts or (1, 0, 0, 0)))
    )


WEB = b"\3web\0\0\1\0\1"


@pytest.mark.parametrize(
    ("packet", "rcode"),
    [
        (header(), dns.rcode.FORMERR),
        (header() + b"\3we", dns.rcode.FORMERR),
        (header() + WEB[:-1], dns.rcode.FORMERR),
        (header() + b"\xc0\x0c\0\1\0\1", dns.rcode.FORMERR),
        (header() + b"\x40web\0\0\1\0\1", dns.rcode.FORMERR),
        (header() + b"\x3f" * 300, dns.rcode.FORMERR),
        (header() + (b"\1a" * 128) + b"\0\0\1\0\1", dns.rcode.FORMERR),
        (header(0x0100, 0, 0, 0, 0), dns.rcode.FORMERR),
        (header(0x0100, 2, 0, 0, 0) + WEB * 2, dns.rcode.FORMERR),
        (header(0x0100, 65535, 65535, 65535, 65535) + WEB, dns.rcode.FORMERR),
        (header(0x0100, 1, 0, 0, 1) + WEB, dns.rcode.FORMERR),
        (header(0x0100, 1, 0, 0, 1) + WEB + b"\0\0\x29\x10\0\0\0\0\0\0\x10", dns.rcode.FORMERR),
        (header(0x0100, 1, 2, 0, 0) + WEB, dns.rcode.FORMERR),
        (header(0x0100, 1, 0, 0, 3) + WEB, dns.rcode.FORMERR),
        (header(0x1000) + WEB, dns.rcode.NOTIMP),
        (header(0x2800) + WEB, dns.rcode.NOTIMP),
        (header(0x7800) + WEB, dns.rcode.NOTIMP),
    ],
)
def test_what_cannot_be_read_is_answered_as_such(
    shared: Process, packet: bytes, rcode: dns.rcode.Rcode, tcp: bool
) -> None:
    """An error with its id and nothing else."""
    if tcp:
        with shared.asking(tcp=True) as client:
            client.sendall(len(packet).to_bytes(2, "big") + packet)
            said = client.recv(1 << 16)[2:]
    else:
        said = shared.raw(packet)
    assert (said[:2], said[2] >> 7, said[3] & 15, said[4:]) == (b"\x12\x34", 1, rcode, bytes(8))
    assert said[2] >> 3 & 15 == (packet[2] >> 3 & 15 if rcode == dns.rcode.NOTIMP else 0)


@pytest.mark.parametrize(
    "packet", [b"", b"\0", header()[:11], header(0x8100) + WEB, header(0x8180, 0, 0, 0, 0)]
)
def test_what_is_no_question_is_met_with_silence(shared: Process, packet: bytes) -> None:
    """Less than a header, or an answer: who answers that may be answered for ever."""
    with shared.asking() as client:
        client.send(packet)
        client.send(header() + WEB)
        assert len(client.recv(1 << 16)) == 12 + len(WEB) + 16
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)


def test_what_comes_after_the_question_is_not_minded(shared: Process) -> None:
    """Bytes too many."""
    assert shared.raw(header() + WEB + b"more")[3] & 15 == dns.rcode.NOERROR


def test_a_name_with_any_bytes_is_a_name(shared: Process) -> None:
    """A dot within a label is none between labels."""
    odd = bytes(range(1, 60))
    for label in (b"web.shop", odd, b"\xff\x00\\", b"web\\"):
        said = shared.raw(header() + bytes((len(label),)) + label + b"\0\0\1\0\1")
        assert said[3] & 15 == dns.rcode.SERVFAIL
        assert label in said


def test_a_name_that_cannot_be_written_is_an_error() -> None:
    """A label has 63 bytes: a longer first name has no place in an answer.

    It is noted, and all else is answered.
    """
    with embedded() as process:
        process.serve()
        process.name("e1", "x" * 64, "172.18.0.2")
        process.name("e2", "web", "172.18.0.3")
        assert process.ask("2.0.18.172.in-addr.arpa", "PTR").rcode() == dns.rcode.SERVFAIL
        assert ips(process.ask("web")) == ["172.18.0.3"]
        assert "LabelTooLong" in process.notes()
        process.told.unlink()


def test_who_asks_much_keeps_nobody_waiting() -> None:
    """A thousand questions that take work lie in one sandbox's socket.

    The question of another is answered among the first.
    """
    with embedded() as process:
        other = process.ns + "2"
        namespaces.make(other)
        try:
            within(other, "ip link set lo up")
            process.serve()
            process.serve(ns=other)
            process.name("e1", "web", "172.18.0.2")
            with process.asking() as busy:
                busy.setsockopt(socket.SOL_SOCKET, sockets.SO_RCVBUFFORCE, 4 << 20)
                process.ns = other
                process.ask("web")
                for number in range(1000):
                    busy.send(
                        number.to_bytes(2, "big") + header()[2:] + b"\x08" + b"%08d" % number + WEB
                    )
                process.ask("web")
                busy.setblocking(False)
                answered = 0
                with suppress(BlockingIOError):
                    while busy.recv(1 << 16):
                        answered += 1
                assert answered < 900
                busy.settimeout(30)
                for _ in range(1000 - answered):
                    busy.recv(1 << 16)
        finally:
            process.ns = other[:-1]
            process.take("unserve", other)
            namespaces.drop(other)


# -- configuration ---------------------------------------------------------------


def test_names_come_and_go() -> None:
    """The next answer knows, however often the question was asked before.

    A sandbox's networks, links and ndots likewise.
    """
    with embedded() as process:
        process.serve()
        for ip in ("172.18.0.2", "172.18.0.3"):
            process.name("e1", "web", ip)
            assert [ips(process.ask("web", tcp=tcp)) for tcp in (False, True, False)] == [[ip]] * 3
        process.serve(networks=[])
        assert process.ask("web").rcode() == dns.rcode.SERVFAIL
        process.serve(networks=["n-shop"], links=[["n-shop", "w", "web"]])
        assert ips(process.ask("w")) == ["172.18.0.3"]
        process.take("unname", "e1")
        assert process.ask("web").rcode() == process.ask("w").rcode() == dns.rcode.SERVFAIL


def test_ndots_keeps_single_labels_at_home() -> None:
    """Addresses of names without a dot: empty, so that the client tries its search domains.

    Other kinds, and other names, are asked for.
    """
    with embedded() as process:
        process.serve(ndots=True)
        process.name("e1", "web", "172.18.0.2")
        for kind in ("A", "AAAA"):
            answer = process.ask("nobody", kind)
            assert (answer.rcode(), answer.answer, answer.flags & dns.flags.RA) == (
                dns.rcode.NOERROR,
                [],
                dns.flags.RA,
            )
        assert ips(process.ask("web")) == ["172.18.0.2"]
        assert (
            process.ask("nobody", "TXT").rcode()
            == process.ask("no.body").rcode()
            == dns.rcode.SERVFAIL
        )


@pytest.mark.parametrize(
    "before",
    [
        "true",
        """ip link add v0 type veth peer name v1; ip link set v1 up; ip link set v0 up
    ip addr add 10.0.0.1/24 dev v0""",
    ],
    ids=["bare", "with a link"],
)
def test_a_sandbox_whose_lo_comes_up_later_is_served_from_the_right_address(before: str) -> None:
    """Its sockets are opened before.

    The answers come from 127.0.0.11 all the same, whether the kernel has a table of addresses or
    not.
    """
    with embedded() as process:
        other = process.ns + "2"
        namespaces.make(other)
        within(other, before)
        try:
            process.serve(ns=other)
            process.name("e1", "web", "172.18.0.2")
            within(other, "ip link set lo up")
            process.ns = other
            assert [ips(process.ask("web", tcp=tcp)) for tcp in (False, True)] == [
                ["172.18.0.2"]
            ] * 2
        finally:
            process.ns = other[:-1]
            process.take("unserve", other)
            namespaces.drop(other)


def test_an_unserved_sandbox_has_nobody_who_listens() -> None:
    """Its sockets are closed, those of its clients too.

    And it can be served again, on other ports.
    """
    with embedded() as process:
        before = process.descriptors()
        process.serve()
        with process.asking(tcp=True) as client:
            process.name("e1", "web", "172.18.0.2")
            client.sendall(b"\0\x15" + header() + WEB)
            assert client.recv(100)
            process.take("unserve", process.ns)
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
        assert process.descriptors() == before
        assert within(process.ns, "ss -Hlntu") == ""
        process.serve(udp=UDP + 10, tcp=TCP + 10)
        assert within(process.ns, "ss -Hlntu").count(f"{ADDRESS}:53") == 2


def test_other_ports_for_a_served_sandbox_are_an_error() -> None:
    """And it stays as it was."""
    with embedded() as process:
        process.serve()
        with pytest.raises(AssertionError, match="FileExistsError"):
            process.serve(udp=UDP + 10)
        assert within(process.ns, "ss -Hlnu").count(f"{ADDRESS}:{UDP} ") == 1


def test_a_port_that_is_taken_is_an_error() -> None:
    """Nothing is left open; so it is for a namespace that is not there."""
    with embedded() as process:
        before = process.descriptors()
        with pytest.raises(AssertionError, match="FileNotFoundError"):
            process.serve(ns="/nowhere")
        with namespaces.entered(process.ns):
            program = socket.create_server((ADDRESS, TCP))
        with program, pytest.raises(AssertionError, match="Address already in use"):
            process.serve(ns=process.ns)
        assert process.descriptors() == before
