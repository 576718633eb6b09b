"""The name server in a lab's internet."""

from __future__ import annotations

from collections.abc import Iterator

import dns.message
import dns.rcode
import pytest

from plumb.lab import Hosts, name_server


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """Two hosts behind a router, with names."""
    with Hosts(2, "router", names=True) as made:
        yield made


def asked(name: str, kind: str) -> dns.message.Message:
    """What the server answers."""
    wire = dns.message.make_query(name, kind).to_wire()
    return dns.message.from_wire(name_server.answer(wire))


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("example.com", "A", "198.51.100.1"),
        ("WWW.Example.ORG", "AAAA", "2001:db8:64::1"),
        ("1.100.51.198.in-addr.arpa", "PTR", "example.com."),
    ],
)
def test_a_name_that_it_knows_is_answered(name: str, kind: str, found: str) -> None:
    """With authority; in whatever case it is asked."""
    (answer,) = asked(name, kind).answer
    assert [str(each) for each in answer] == [found]


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [("example.com", "MX", dns.rcode.NOERROR), ("docker.io", "A", dns.rcode.NXDOMAIN)],
)
def test_what_is_not_there_is_said_with_authority(name: str, kind: str, code: int) -> None:
    """A resolver may keep it for as long as the SOA record says (RFC 2308)."""
    said = asked(name, kind)
    assert (said.rcode(), said.answer) == (code, [])
    assert said.authority[0].ttl == name_server.TTL


ANSWER = dns.message.make_response(dns.message.make_query("example.com", "A", id=1)).to_wire()


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"x" * 11, id="too short"),
        pytest.param(bytes(12), id="no question"),
        pytest.param(ANSWER, id="an answer"),
    ],
)
def test_what_is_no_question_has_no_answer(wire: bytes) -> None:
    assert name_server.answer(wire) == b""


@pytest.mark.parametrize("host", ["h1", "h2"])
def test_a_host_resolves_a_public_name(hosts: Hosts, host: str) -> None:
    """On either segment; a name that nobody has is none."""
    assert (
        hosts[host].run("getent", "ahostsv4", "www.example.com").stdout.startswith("198.51.100.1")
    )
    assert hosts[host].run("getent", "hosts", "nosuch.test", check=False).returncode == 2


def test_a_container_does_too(hosts: Hosts) -> None:
    """By the server that answers at 127.0.0.11, which asks the host's."""
    host = hosts["h1"]
    host.plumb("network", "create", "shop")
    ran = host.plumb("run", "--rm", "--network", "shop", "getent", "ahostsv4", "example.net")
    assert ran.stdout.startswith("198.51.100.1")
