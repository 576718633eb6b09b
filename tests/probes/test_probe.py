"""`plumb probe`: each kind of probe on the real kernel, answered and unanswered."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plumb.kernel.netns.namespaces import entered
from tests import labs
from tests.labs import Lab, sh
from tests.probes.conftest import Site, Typed, objects


def without_times(text: str) -> list[str]:
    """What was printed, without figures that differ from run to run."""
    return [re.sub(r"time=[0-9.]+ ms", "time=T", line) for line in text.splitlines()]


@contextmanager
def rules(*added: str) -> Iterator[None]:
    """Rules of the administrator's, for the length of a with block."""
    for rule in added:
        sh(f"iptables -I {rule}")
    try:
        yield
    finally:
        for rule in added:
            sh(f"iptables -D {rule}")


def test_a_ping_tells_who_saw_whom(tiers: Site, typed: Typed) -> None:
    """To each address of a container, with the TTL of the answer.

    Exit status 0 if all were answered.
    """
    status, text = typed(tiers.lab, "probe api database")

    assert (status, without_times(text)) == (
        0,
        ["database   172.20.0.2/icmp   answered, time=T, ttl=64 (0 hops), seen as 172.20.0.3"],
    )


def test_what_is_not_answered_is_told_and_where_it_got_to(tiers: Site, typed: Typed) -> None:
    """A drop rule protects one address of api's; exit status 1, and the next command to try."""
    status, text = typed(tiers.lab, "probe frontend api -W 0.2")

    assert (status, without_times(text)) == (
        1,
        [
            "api   172.19.0.2/icmp   answered, time=T, ttl=64 (0 hops), seen as 172.19.0.3",
            "api   172.20.0.3/icmp   no answer within 0.2 s; it did not arrive at api",
            "plumb trace frontend api    shows where it ends",
        ],
    )


def test_through_a_router_there_are_hops_and_nat_shows(tiers: Site, typed: Typed) -> None:
    """The world answers over one router, and one more for the one behind it.

    -c asks more than once.
    """
    status, text = typed(tiers.lab, "probe frontend 198.51.100.1 -c 3")

    assert (status, without_times(text)) == (
        0,
        ["198.51.100.1/icmp   3 of 3 answered, time=T on average, time=T at most, ttl=63 (1 hop)"],
    )


def test_nobody_listens_is_a_fact(tiers: Site, typed: Typed) -> None:
    """TCP and UDP are refused by whoever has the address.

    With --listen there is a listener, for the length of the question.
    """
    refused = [typed(tiers.lab, f"probe api database:81{protocol}") for protocol in ("", "/udp")]
    served = [
        typed(tiers.lab, f"probe api database:81{protocol} --listen") for protocol in ("", "/udp")
    ]

    assert [status for status, _ in refused] == [1, 1]
    assert "refused: nobody listens on 81/tcp of database, ttl=64" in refused[0][1]
    assert "refused, says 172.20.0.2: nobody listens on 81/udp of database" in refused[1][1]
    assert [(status, *without_times(text)) for status, text in served] == [
        (
            0,
            (
                f"database   172.20.0.2:81/{kind}   answered, time=T, ttl=64 (0 hops),"
                " seen as 172.20.0.3"
            ),
        )
        for kind in ("tcp", "udp")
    ]


def test_a_datagram_that_arrives_and_is_not_answered(tiers: Site, typed: Typed) -> None:
    """Who listens need not answer: it is told that it arrived, and who has the port."""
    with entered(tiers.ns("database")):
        silent = socket.socket(type=socket.SOCK_DGRAM)
    with silent:
        silent.bind(("0.0.0.0", 82))
        status, text = typed(tiers.lab, "probe api database:82/udp -W 0.3")

    assert status == 1
    assert "it arrived at database, where" in text
    assert "listens at 0.0.0.0, seen as 172.20.0.3" in text


def test_a_published_port_from_outside(tiers: Site, typed: Typed) -> None:
    """By the host's address, from a namespace that is named by its file.

    The container sees the client itself, over one router.
    """
    status, text = typed(tiers.lab, "probe $LAN 192.0.2.10:8080 --listen")
    hung_up, words = typed(tiers.lab, "probe frontend 192.0.2.10:8080")

    assert (status, without_times(text)) == (
        0,
        ["192.0.2.10:8080/tcp   answered, time=T, ttl=63 (1 hop), seen as 192.0.2.1"],
    )
    assert hung_up == 1
    assert "the proxy hung up: nobody listens on 80/tcp of frontend" in words


def test_a_name_is_asked_of_ones_own_resolver(tiers: Site, typed: Typed) -> None:
    """What it means, and who says so; and whom one reaches by it."""
    status, text = typed(tiers.lab, "probe frontend api/dns")
    unknown, _ = typed(tiers.lab, "probe frontend database/dns -W 0.2")
    server, words = typed(tiers.lab, "probe frontend 127.0.0.11/dns -W 0.2")

    assert (status, without_times(text)) == (
        0,
        ["api   by 127.0.0.11   172.19.0.2, answered, time=T"],
    )
    assert unknown == 1
    assert "127.0.0.11" in words
    assert server in (0, 1)  # it asks the host's server, which is not there


def test_who_claims_an_address(tiers: Site, typed: Typed) -> None:
    """By ARP: one MAC is well, none and two are not."""
    alone, one = typed(tiers.lab, "probe host database/arp")
    none, nobody = typed(tiers.lab, "probe host 172.20.0.99/arp")
    tiers.inside("api", "ip addr add 172.20.0.2/32 dev eth1")
    both, two = typed(tiers.lab, "probe host database/arp")
    tiers.inside("api", "ip addr del 172.20.0.2/32 dev eth1")

    assert (alone, none, both) == (0, 1, 1)
    assert len(re.findall(r"([0-9a-f]{2}:){5}", one)) == 1
    assert "nobody on br-" in nobody
    assert "2 claim it: packets go to now one, now the other" in two


def test_who_claims_an_ipv6_address(lan: Lab, typed: Typed) -> None:
    """By neighbour discovery."""
    assert typed(lan, f"probe host {labs.ROUTER6}/nd")[0] == 0
    assert typed(lan, "probe host 2001:db8:2::99/nd")[0] == 1
    assert "IPv4 has arp" in typed(lan, f"probe host {labs.ROUTER}/nd")[1]


def test_the_longest_packet(lan: Lab, typed: Typed) -> None:
    """What routers say of too long packets is believed.

    Where they are silent plumb finds the place of the loss.
    """
    with lan.host() as host:
        host.create_network("n1", subnet="172.20.0.0/24")
        host.run("c1", network="n1")
        plain = typed(lan, f"probe c1 {labs.INTERNET}/mtu")
        sh("ip link set eth0 mtu 1400")
        said = typed(lan, f"probe c1 {labs.INTERNET}/mtu")
        with rules("OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP"):
            silent = typed(lan, f"probe c1 {labs.INTERNET}/mtu -W 0.1")
        host.reset()

    assert (plain[0], without_times(plain[1])) == (0, ["198.51.100.1/mtu   mtu=1500"])
    assert (said[0], without_times(said[1])) == (
        0,
        ["198.51.100.1/mtu   mtu=1400, longer ones are too long, says 172.20.0.1"],
    )
    assert silent[0] == 1
    assert (
        "mtu=1400, longer ones, up to 1500 that leave here, vanish between 172.20.0.1 and the next"
        in silent[1]
    )


def test_one_object_for_each_address(tiers: Site, typed: Typed) -> None:
    """--json, for programs."""
    status, text = typed(tiers.lab, "probe frontend api --json -W 0.2")
    first, second = objects(text)

    assert status == 1
    assert {
        key: first[key]
        for key in ("from", "to", "address", "protocol", "ok", "ttl", "hops", "seen", "arrived")
    } == {
        "from": "frontend",
        "to": "api",
        "address": "172.19.0.2",
        "protocol": "icmp",
        "ok": True,
        "ttl": 64,
        "hops": 0,
        "seen": "172.19.0.3",
        "arrived": True,
    }
    assert (second["ok"], second["answered"], second["arrived"]) == (False, 0, False)


def test_how_it_looks_on_a_link(tiers: Site, typed: Typed) -> None:
    """--on: NAT has put the host's address into what is on the wire."""
    text = typed(tiers.lab, "probe frontend 198.51.100.1 --on eth0")[1]

    assert "    on the link: 192.0.2.10 > 198.51.100.1" in text.splitlines()
    assert "on the link: nothing of it" in typed(tiers.lab, "probe api database --on eth0")[1]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("probe nobody api", "there is no container and no network namespace nobody"),
        (
            "probe api nobody",
            "api does not know nobody: no container, no namespace, and no name that resolves there",
        ),
        ("probe api 198.51.100.1/arp", "198.51.100.1 is not on a segment of api's"),
        ("probe api 192.0.2.1:80 --listen", "cannot listen at 192.0.2.1:80/tcp"),
        ("probe api database --listen", "cannot listen at 172.20.0.2/icmp"),
    ],
)
def test_what_cannot_be_asked(tiers: Site, typed: Typed, line: str, error: str) -> None:
    """It is said, with what to try."""
    status, text = typed(tiers.lab, line)

    assert status == 1
    assert error in text


@pytest.mark.needs("sctp")
def test_an_association(tiers: Site, typed: Typed) -> None:
    """SCTP, where the kernel has it: nobody listens."""
    status, text = typed(tiers.lab, "probe api database:80/sctp")

    assert status == 1
    assert "refused" in text
