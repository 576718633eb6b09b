"""Host ports: really taken, silent while they are shut, and whoever has one is named."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from plumb.kernel.ports import host_ports
from tests.labs import Lab, sh
from tests.programs import line, running

ADDRESSES = ["127.0.0.1", "0.0.0.0", "::1", "::"]
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
NO_SCTP = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)

pytestmark = pytest.mark.usefixtures("lab")


def free() -> int:
    """A port that nobody has."""
    with closing(socket.create_server(("", 0))) as sock:
        return int(sock.getsockname()[1])


def family(ip: str) -> socket.AddressFamily:
    """The family of an address."""
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


@contextmanager
def program(code: str) -> Iterator[int]:
    """A program of the host's that has bound something; its pid."""
    with running(
        [sys.executable, "-c", f"import socket; {code}; print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        line(child)
        yield child.pid


@pytest.mark.parametrize("ip", ADDRESSES)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_what_is_bound_is_nobody_elses(protocol: str, ip: str) -> None:
    """Another program gets "address already in use", with SO_REUSEADDR too."""
    with closing(host_ports.bind(protocol, ip, free())) as held:
        other = socket.socket(family(ip), held.type)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with closing(other), pytest.raises(OSError, match="already in use"):
            other.bind((ip, held.getsockname()[1]))


def test_ipv4_and_ipv6_are_bound_apart() -> None:
    """:: is IPv6 alone: 0.0.0.0 can be bound beside it."""
    port = free()
    with (
        closing(host_ports.bind("tcp", "::", port)),
        closing(host_ports.bind("tcp", "0.0.0.0", port)),
    ):
        pass


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_tcp_is_silent_until_it_is_opened_up(ip: str) -> None:
    """While it is shut a client is neither taken nor refused.

    The same attempt succeeds once it is opened.
    """
    with (
        closing(host_ports.bind("tcp", ip, free())) as held,
        closing(socket.socket(family(ip))) as client,
    ):
        client.setblocking(False)
        assert client.connect_ex(held.getsockname()[:2]) == errno.EINPROGRESS
        with pytest.raises(BlockingIOError):
            held.accept()
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        host_ports.accept_packets(held)
        held.settimeout(30)
        held.accept()[0].close()  # by its next SYN, after a second
        assert client.getpeername()[:2] == held.getsockname()[:2]


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_udp_drops_until_it_is_opened_up_and_when_it_is_shut_again(ip: str) -> None:
    """Nothing that came meanwhile is there afterwards."""
    with (
        closing(host_ports.bind("udp", ip, free())) as held,
        closing(socket.socket(family(ip), socket.SOCK_DGRAM)) as client,
    ):
        client.connect(held.getsockname()[:2])
        client.send(b"too early")
        host_ports.accept_packets(held)
        client.send(b"in time")
        host_ports.drop_packets(held)
        client.send(b"too late")
        assert held.recv(100) == b"in time"
        with pytest.raises(BlockingIOError):
            held.recv(100)


def test_udp_tells_where_a_datagram_was_sent() -> None:
    """By a control message with the host's own address in it."""
    for ip in LOOPBACK.values():
        with closing(host_ports.bind("udp", "::" if ":" in ip else "0.0.0.0", free())) as held:
            host_ports.accept_packets(held)
            with closing(socket.socket(family(ip), socket.SOCK_DGRAM)) as client:
                client.sendto(b"?", (ip, held.getsockname()[1]))
            told = held.recvmsg(100, 100)[1]
            assert any(socket.inet_pton(family(ip), ip) in data for _, _, data in told)


@pytest.mark.needs("sctp")
def test_sctp_is_bound() -> None:
    """SCTP's ports are taken as well."""
    port = free()
    with closing(host_ports.bind("sctp", "127.0.0.1", port)):
        assert host_ports.trial("sctp", ip_address("127.0.0.1"), port) == errno.EADDRINUSE


@pytest.mark.skipif(
    host_ports.trial("sctp", ip_address("127.0.0.1"), 9) not in NO_SCTP,
    reason="this kernel has SCTP",
)
def test_without_sctp_trial_says_so() -> None:
    """A kernel that does not know the protocol is no port that is taken."""
    assert host_ports.trial("sctp", ip_address("127.0.0.1"), 9) in NO_SCTP


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_trial_finds_out_by_doing_it(protocol: str) -> None:
    """0 where the port is free, the errno where it is not; and it is free afterwards."""
    port = free()
    ip = ip_address("127.0.0.1")
    assert (host_ports.trial(protocol, ip, port), host_ports.trial(protocol, ip, port)) == (0, 0)
    with closing(host_ports.bind(protocol, "0.0.0.0", port)):
        assert host_ports.trial(protocol, ip, port) == errno.EADDRINUSE
    assert host_ports.trial(protocol, ip_address("192.0.2.99"), port) == errno.EADDRNOTAVAIL


def test_time_wait_is_not_in_the_way() -> None:
    """A connection of a server that has closed first lingers on its port for a minute.

    The port can be bound all the same.
    """
    with closing(socket.create_server(("127.0.0.1", free()))) as server:
        port = server.getsockname()[1]
        with closing(socket.create_connection(("127.0.0.1", port))) as client:
            server.accept()[0].close()
            client.recv(1)
    assert f":{port}" in sh("ss -Htan state time-wait")
    assert host_ports.trial("tcp", ip_address("127.0.0.1"), port) == 0


# -- who has it ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("a = socket.create_server(('127.0.0.1', {port}))", "127.0.0.1"),
        ("a = socket.create_server(('127.0.0.1', {port}))", "0.0.0.0"),
        ("a = socket.create_server(('0.0.0.0', {port}))", "127.0.0.1"),
        (
            "a = socket.create_server(('::', {port}), family=socket.AF_INET6, dualstack_ipv6=True)",
            "0.0.0.0",
        ),
        ("a = socket.create_server(('::1', {port}), family=socket.AF_INET6)", "::"),
    ],
)
def test_who_listens_is_named(code: str, wanted: str) -> None:
    """By its name and pid, on whichever address it is in the way.

    One that listens on :: has IPv4's port too.
    """
    port = free()
    with program(code.format(port=port)) as pid:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        assert host_ports.trial("tcp", ip_address(wanted), port) == errno.EADDRINUSE
        assert host_ports.holder_of("tcp", ip_address(wanted), port) == f"{name} (pid {pid})"


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_who_has_a_udp_port_is_named(ip: str) -> None:
    """The same for UDP."""
    port = free()
    with program(
        f"a = socket.socket(socket.{family(ip).name}, socket.SOCK_DGRAM); a.bind(('{ip}', {port}))"
    ) as pid:
        assert host_ports.holder_of("udp", ip_address(ip), port).endswith(f" (pid {pid})")


def test_nobody_is_named_who_is_not_in_the_way() -> None:
    """Another address, another protocol, another port, or nobody at all."""
    port = free()
    with program(f"a = socket.create_server(('127.0.0.2', {port}))"):
        assert host_ports.holder_of("tcp", ip_address("127.0.0.1"), port) == ""
        assert host_ports.holder_of("udp", ip_address("127.0.0.2"), port) == ""
        assert host_ports.holder_of("tcp", ip_address("127.0.0.2"), port + 1) == ""
        assert host_ports.holder_of("sctp", ip_address("127.0.0.2"), port) == ""


# -- what the host has ---------------------------------------------------------------


def test_ephemeral_ports_are_the_namespaces_own() -> None:
    """First, last, and those that the kernel keeps back: single ports and spans."""
    sh(
        "sysctl -qw net.ipv4.ip_local_port_range='40000 40009' "
        "net.ipv4.ip_local_reserved_ports=8080,40002-40004"
    )
    assert host_ports.ephemeral() == (40000, 40009, frozenset({8080, 40002, 40003, 40004}))
    sh("sysctl -qw net.ipv4.ip_local_reserved_ports=")
    assert host_ports.ephemeral()[2] == frozenset()


def test_without_ipv6_nothing_listens_on_it(lab: Lab) -> None:
    """The address ::1 is missing where IPv6 is switched off."""
    assert host_ports.listens_v6() is os.path.exists("/proc/net/if_inet6")
    sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
    assert not host_ports.listens_v6()
