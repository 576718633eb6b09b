"""Forwarding: whom the embedded DNS server asks what it does not know, in which order, and how many
at a time.
"""

from __future__ import annotations

import random
import socket
import time
from contextlib import ExitStack, closing

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from plumb.agent.dns.forwarder import usable
from plumb.agent.dns.limits import Limits
from plumb.kernel.netns import namespaces
from tests.agent.dns.dns_process import (
    FOURTH,
    HOST,
    OTHER,
    QUERY,
    QUICK,
    SERVERS,
    THIRD,
    Process,
    answer,
    answered,
    elsewhere,
    elsewhere_tcp,
    embedded,
    failed,
    ips,
    question,
    told,
)
from tests.labs import within
from tests.waiting import until

# -- an answer ---------------------------------------------------------------


def test_an_answer_is_handed_on_as_it_is(patient: Process) -> None:
    """Its flags, its TTLs, an OPT; only the id is the client's again.

    The question goes on as it was asked, with EDNS and all.
    """
    with elsewhere() as server, patient.asking() as client:
        odd: list[dns.edns.Option] = [dns.edns.GenericOption(dns.edns.OptionType.make(65001), b"x")]
        query = dns.message.make_query(
            "Example.com", "TXT", use_edns=0, payload=1400, options=odd
        ).to_wire()
        client.send(query)
        asked, where = server.recvfrom(1 << 16)
        assert (asked[2:], len(asked)) == (query[2:], len(query))
        made = dns.message.make_response(dns.message.from_wire(asked), recursion_available=True)
        made.flags |= dns.flags.AA | dns.flags.AD
        made.answer.append(dns.rrset.from_text("example.com.", 77, "IN", "TXT", '"hello"'))
        server.sendto(made.to_wire(), where)
        assert client.recv(1 << 16) == query[:2] + made.to_wire()[2:]


@pytest.mark.parametrize(
    "rcode", [dns.rcode.NXDOMAIN, dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.NOTAUTH]
)
def test_an_error_that_is_an_answer_is_handed_on(patient: Process, rcode: dns.rcode.Rcode) -> None:
    """No other server is asked then."""
    with elsewhere() as server, patient.asking() as client:
        client.send(QUERY)
        answer(server, rcode=rcode)
        assert told(client).rcode() == rcode


def test_what_is_asked_again_is_asked_elsewhere_again(patient: Process) -> None:
    """Nothing of others' answers is kept."""
    with elsewhere() as server, patient.asking() as client:
        for ip in (b"\x0a\0\0\1", b"\x0a\0\0\2"):
            client.send(QUERY)
            asked, where = server.recvfrom(1 << 16)
            server.sendto(answered(asked, ip), where)
            assert ips(told(client)) == [socket.inet_ntoa(ip)]


def padded(size: int) -> bytes:
    """A question of so many bytes, most of them in an option that does not matter."""
    bare = dns.message.make_query("example.com", "A", use_edns=0).to_wire()
    odd: list[dns.edns.Option] = [
        dns.edns.GenericOption(dns.edns.OptionType.make(65001), bytes(size - len(bare) - 4))
    ]
    return dns.message.make_query("example.com", "A", use_edns=0, options=odd).to_wire(
        max_size=1 << 15
    )


def test_a_question_that_is_too_long_is_refused(patient: Process) -> None:
    """Up to 4096 bytes are asked elsewhere, and not one more."""
    with elsewhere() as server, patient.asking() as client:
        client.send(padded(4096))
        assert len(answer(server)) == 4096
        assert ips(told(client)) == ["10.0.0.1"]
        client.send(padded(4097))
        assert told(client).rcode() == dns.rcode.REFUSED
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1)


def test_what_lies_behind_a_question_is_not_sent_on(patient: Process) -> None:
    """Nor does it make the question too long."""
    with elsewhere() as server, patient.asking() as client:
        client.send(QUERY + bytes(5000))
        assert answer(server)[2:] == QUERY[2:]
        assert ips(told(client)) == ["10.0.0.1"]


def test_answers_find_who_asked(patient: Process) -> None:
    """Whatever the order in which they come, and though the clients chose the same id."""
    with elsewhere() as server, ExitStack() as open_:
        clients = [open_.enter_context(patient.asking()) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(dns.message.make_query(f"n{number}.example", "A", id=7).to_wire())
        asked = [server.recvfrom(1 << 16) for _ in clients]
        random.shuffle(asked)
        for packet, where in asked:
            server.sendto(
                answered(packet, bytes((10, 0, 0, int(packet[14 : packet.index(b"\7", 13)])))),
                where,
            )
        assert [ips(told(client)) for client in clients] == [
            [f"10.0.0.{number}"] for number in range(20)
        ]


def test_an_oversize_answer_is_handed_on(patient: Process) -> None:
    """There are servers that send more than 512 bytes to who has said nothing.

    And up to what a datagram holds.
    """
    with elsewhere() as server, patient.asking() as client:
        client.send(QUERY)
        asked, where = server.recvfrom(1 << 16)
        blob = b"\xc0\x0c\0\x10\0\1\0\0\0\0" + (64000).to_bytes(2, "big") + bytes(64000)
        server.sendto(asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question(asked) + blob, where)
        assert len(client.recv(1 << 16)) == 12 + len(question(asked)) + len(blob)


def test_a_truncated_answer_is_the_clients_to_ask_again(patient: Process) -> None:
    """By TCP, and so the server is asked."""
    with elsewhere() as server, elsewhere_tcp() as listener, patient.asking() as client:
        client.send(QUERY)
        asked, where = server.recvfrom(1 << 16)
        server.sendto(asked[:2] + b"\x83\x80\0\1\0\0\0\0\0\0" + question(asked), where)
        assert told(client).flags & dns.flags.TC
        with patient.asking(tcp=True) as again:
            again.sendall(len(QUERY).to_bytes(2, "big") + QUERY)
            peer, _ = listener.accept()
            with closing(peer):
                asked = peer.recv(1 << 16)
                assert (int.from_bytes(asked[:2], "big"), asked[4:]) == (len(QUERY), QUERY[2:])
                made = answered(asked[2:])
                framed = len(made).to_bytes(2, "big") + made
                for part in (framed[:1], framed[1:9], framed[9:]):
                    peer.sendall(part)
                    time.sleep(0.01)
            assert again.recv(1 << 16)[2:4] == QUERY[:2]


# -- which servers ---------------------------------------------------------------


@pytest.mark.alone
def test_up_to_three_servers_are_asked_in_order(process: Process) -> None:
    """Each has its seconds; then it is an error. A fourth is never asked."""
    process.serve(upstreams=[HOST, OTHER, THIRD, FOURTH])
    with ExitStack() as open_, process.asking() as client:
        servers = [open_.enter_context(elsewhere(ip)) for ip in SERVERS]
        begun = time.monotonic()
        client.send(QUERY)
        assert told(client).rcode() == dns.rcode.SERVFAIL
        assert 3 * QUICK.timeout <= time.monotonic() - begun < 4 * QUICK.timeout
        for server in servers[:3]:
            assert len(server.recv(1 << 16)) == len(QUERY)
        servers[3].setblocking(False)
        with pytest.raises(BlockingIOError):
            servers[3].recv(1)


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_a_server_that_fails_or_refuses_is_passed_over(
    patient: Process, rcode: dns.rcode.Rcode
) -> None:
    """At once, without waiting for anything; with the question in its answer or without."""
    for made in (
        failed,
        lambda packet, number: packet[:2] + bytes((0x81, 0x80 | number)) + bytes(8),
    ):
        with elsewhere() as one, elsewhere("127.0.0.2") as two, patient.asking() as client:
            client.send(QUERY)
            asked, where = one.recvfrom(1 << 16)
            one.sendto(made(asked, rcode), where)
            answer(two)
            assert ips(told(client)) == ["10.0.0.1"]


@pytest.mark.alone
def test_a_host_where_nobody_listens_is_passed_over_at_once(patient: Process) -> None:
    """ICMP says so."""
    with elsewhere("127.0.0.2") as server, patient.asking() as client:
        begun = time.monotonic()
        client.send(QUERY)
        answer(server)
        assert ips(told(client)) == ["10.0.0.1"]
        assert time.monotonic() - begun < 1


def test_an_address_to_which_there_is_no_way_is_passed_over_at_once(patient: Process) -> None:
    """Of either family."""
    patient.serve(upstreams=[["192.0.2.1", False], ["2001:db8::1", False], HOST])
    with elsewhere() as server, patient.asking() as client:
        client.send(QUERY)
        answer(server)
        assert ips(told(client)) == ["10.0.0.1"]


def test_the_users_servers_are_asked_from_the_sandbox_and_the_hosts_from_the_host(
    patient: Process,
) -> None:
    """127.0.0.3 is another one in each."""
    for inside in (True, False):
        patient.serve(upstreams=[["127.0.0.3", inside]])
        with (
            elsewhere("127.0.0.3", patient.ns if inside else "") as server,
            patient.asking() as client,
        ):
            client.send(QUERY)
            answer(server)
            assert ips(told(client)) == ["10.0.0.1"]
    patient.serve(upstreams=[["127.0.0.3", True]])
    with elsewhere_tcp("127.0.0.3", patient.ns) as listener, patient.asking(tcp=True) as client:
        client.sendall(len(QUERY).to_bytes(2, "big") + QUERY)
        peer, _ = listener.accept()
        with closing(peer):
            made = answered(peer.recv(1 << 16)[2:])
            peer.sendall(len(made).to_bytes(2, "big") + made)
        assert client.recv(2 + len(made))[4:] == made[2:]


def test_a_server_may_have_an_ipv6_address(patient: Process) -> None:
    """A network of IPv6 alone has DNS as well."""
    patient.serve(upstreams=[["::1", False]])
    with elsewhere("::1") as server, patient.asking() as client:
        client.send(QUERY)
        answer(server)
        assert ips(told(client)) == ["10.0.0.1"]


def test_which_servers_are_of_use() -> None:
    """Not oneself; the host's only with a way out.

    Three, and only then is it looked at whether they may be asked.
    """
    own = ("127.0.0.11", True)
    mine, hosts = ("192.0.2.1", True), ("192.0.2.2", False)

    def of_use(*upstreams: tuple[str, bool], outside: bool = True) -> list[tuple[str, str]]:
        return list(usable(upstreams, "/box", "127.0.0.11", outside))

    assert of_use(own) == of_use() == []
    assert of_use(own, mine, hosts) == [("192.0.2.1", "/box"), ("192.0.2.2", "")]
    assert of_use(("127.0.0.11", False)) == [("127.0.0.11", "")]
    assert of_use(hosts, mine, outside=False) == [("192.0.2.1", "/box")]
    assert of_use(hosts, hosts, hosts, mine, outside=False) == []
    assert of_use(own, mine, mine, mine, mine) == [("192.0.2.1", "/box")] * 3


@pytest.mark.parametrize("itself", ["127.0.0.11", "::ffff:127.0.0.11"])
def test_the_server_does_not_ask_itself(process: Process, itself: str) -> None:
    """In whatever way its address is spelled: what would be a ring is an error at once."""
    process.serve(upstreams=[[itself, True]])
    with elsewhere("127.0.0.11", process.ns) as server, process.asking() as client:
        client.send(QUERY)
        assert told(client).rcode() == dns.rcode.SERVFAIL
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1)


def test_a_container_without_a_way_out_asks_nobody_on_the_host(patient: Process) -> None:
    """It is told that it failed, at once."""
    patient.serve(outside=False, upstreams=[HOST])
    with elsewhere() as server:
        assert patient.ask("example.com").rcode() == dns.rcode.SERVFAIL
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1)


# -- crowds ---------------------------------------------------------------


def ask_many(process: Process, client: socket.socket, count: int) -> None:
    """Many questions, each with an id of its own."""
    for number in range(count):
        client.send(number.to_bytes(2, "big") + QUERY[2:])


def rcodes(client: socket.socket, count: int) -> list[int]:
    """The errors of so many answers."""
    return sorted(client.recv(1 << 16)[3] & 15 for _ in range(count))


def test_who_waits_too_long_for_a_slot_is_refused() -> None:
    """Docker has 1024 slots.

    Who waits gets one that comes free in time, and the queue has an end: beyond it one is refused
    at once.
    """
    with (
        embedded(Limits(timeout=2, in_flight=10, queued=10)) as process,
        elsewhere() as server,
        elsewhere("127.0.0.2"),
        process.asking() as client,
    ):
        process.serve(upstreams=[HOST, OTHER])
        before = process.descriptors()
        ask_many(process, client, 30)
        assert rcodes(client, 10) == [dns.rcode.REFUSED] * 10
        assert process.descriptors() == before + 10
        for _ in range(5):
            answer(server)
        assert rcodes(client, 5) == [dns.rcode.NOERROR] * 5
        assert rcodes(client, 5) == [dns.rcode.REFUSED] * 5
        assert rcodes(client, 10) == [dns.rcode.SERVFAIL] * 10
        until(lambda: process.descriptors() == before, "all sockets are closed")


def test_all_sandboxes_together_have_a_bound_and_each_its_share() -> None:
    """Of a crowded agent a sandbox gets what is granted to each."""
    with (
        embedded(Limits(timeout=3, forwards=20, min_forwards=5)) as process,
        elsewhere(),
        process.asking() as client,
    ):
        process.serve(upstreams=[HOST])
        ask_many(process, client, 40)
        assert rcodes(client, 20) == [dns.rcode.REFUSED] * 20
        other = process.ns + "2"
        namespaces.make(other)
        within(other, "ip link set lo up")
        try:
            process.serve(ns=other)
            first, process.ns = process.ns, other
            with process.asking() as guest:
                process.ns = first
                ask_many(process, guest, 10)
                assert rcodes(guest, 5) == [dns.rcode.REFUSED] * 5
                assert rcodes(guest, 5) == [dns.rcode.SERVFAIL] * 5
        finally:
            process.take("unserve", other)
            namespaces.drop(other)


def test_without_descriptors_one_waits() -> None:
    """And is served when there are some again."""
    with (
        embedded(Limits(timeout=2), room=8) as process,
        elsewhere() as server,
        process.asking() as client,
    ):
        process.serve(upstreams=[HOST])
        before = process.descriptors()
        ask_many(process, client, 30)
        for _ in range(30):
            assert process.descriptors() <= before + 5
            answer(server)
        assert rcodes(client, 30) == [dns.rcode.NOERROR] * 30


def test_an_unserved_sandboxs_questions_are_forgotten(patient: Process) -> None:
    """Their sockets are closed; an answer that comes later finds nobody."""
    with elsewhere() as server, patient.asking() as client:
        ask_many(patient, client, 20)
        asked = [server.recvfrom(1 << 16) for _ in range(20)]
        open_ = patient.descriptors()
        patient.take("unserve", patient.ns)
        assert patient.descriptors() <= open_ - 20
        server.sendto(answered(asked[0][0]), asked[0][1])
        patient.serve(upstreams=[])
        assert patient.ask("nobody").rcode() == dns.rcode.SERVFAIL


# -- whose address ---------------------------------------------------------------


def test_an_address_that_a_server_knows_by_the_same_name_is_asked_about_there(
    patient: Process,
) -> None:
    """The reverse of a name that was resolved elsewhere is resolved elsewhere."""
    patient.name("e1", "web", "172.18.0.2")
    reverse = dns.message.make_query("2.0.18.172.in-addr.arpa", "PTR").to_wire()
    assert patient.ask("2.0.18.172.in-addr.arpa", "PTR").answer
    with elsewhere() as server, patient.asking() as client:
        client.send(dns.message.make_query("web", "HTTPS").to_wire())
        asked, where = server.recvfrom(1 << 16)
        server.sendto(answered(asked, b"\xac\x12\0\2"), where)
        told(client)
        client.send(reverse)
        answer(server, rcode=dns.rcode.NXDOMAIN)
        assert told(client).rcode() == dns.rcode.NXDOMAIN
    assert ips(patient.ask("web")) == ["172.18.0.2"]


def test_of_one_answer_no_more_is_learnt_than_so_much(patient: Process) -> None:
    """It may have hundreds of records.

    The first sixteen about addresses of the zone count, and who asks for the others' names is told.
    """
    for number in range(20):
        patient.name(f"e{number}", "many", f"172.18.1.{number}")
    with elsewhere() as server, patient.asking() as client:
        client.send(dns.message.make_query("many", "HTTPS").to_wire())
        asked, where = server.recvfrom(1 << 16)
        addresses = [
            *(b"\x0a\0\0%c" % number for number in range(200)),
            *(b"\xac\x12\1%c" % number for number in range(20)),
        ]
        records = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4" + ip for ip in addresses)
        server.sendto(
            asked[:2]
            + b"\x81\x80\0\1"
            + len(addresses).to_bytes(2, "big")
            + bytes(4)
            + question(asked)
            + records,
            where,
        )
        told(client)
        client.send(dns.message.make_query("15.1.18.172.in-addr.arpa", "PTR").to_wire())
        answer(server, rcode=dns.rcode.NXDOMAIN)
        assert told(client).rcode() == dns.rcode.NXDOMAIN
        for number in range(16, 20):
            assert ips(patient.ask(f"{number}.1.18.172.in-addr.arpa", "PTR")) == ["many.shop."]


def test_the_patience_is_dockers() -> None:
    """Four seconds."""
    assert Limits().timeout == 4.0
