"""`plumb check --peers` on two hosts: one thing is blocked at a time, and is the one it names."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from plumb.lab.hosts import Hosts, LabHost
from plumb.model.cluster import Node
from plumb.model.cnm import Network, Pool
from plumb.model.driver_options import OverlayOptions
from plumb.model.paths import Layout
from plumb.probes.path_mtu import Prober
from plumb.probes.peers import managers, tunnel
from plumb.probes.peers.finding import Cause
from plumb.probes.peers.packet_tap import Observed
from plumb.probes.peers.tunnel import Tunnel
from tests.waiting import until


@pytest.fixture(scope="module")
def pair() -> Iterator[Hosts]:
    """A manager h1 and a worker h2, which the tests leave as they were."""
    with Hosts(2) as hosts:
        one, two = hosts
        one.plumb("swarm", "init", "--advertise-addr", one.address)
        token = one.plumb("swarm", "join-token", "-q", "worker").stdout.strip()
        own = ("--advertise-addr", two.address)
        two.plumb("swarm", "join", *own, "--token", token, f"{one.address}:2377")
        yield hosts


def check(host: LabHost) -> list[Any]:
    """Each JSON object that the check prints."""
    ran = host.plumb("check", "--peers", "--json", check=False)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == bool([fault for row in rows for fault in row["Faults"]]), ran.stderr
    return rows


def faults(host: LabHost) -> list[tuple[str, str]]:
    """Causes and texts of all faults."""
    return [(each["Cause"], each["Text"]) for row in check(host) for each in row["Faults"]]


@contextmanager
def blocked(host: LabHost, rule: str) -> Iterator[None]:
    """Have a rule of iptables on a host."""
    host.run("iptables", "-I", *rule.split())
    try:
        yield
    finally:
        host.run("iptables", "-D", *rule.split())


def test_two_nodes_that_reach_each_other(pair: Hosts) -> None:
    assert faults(pair["h1"]) == faults(pair["h2"]) == []
    assert ["TCP 2377" in str(check(host)[0]["Good"]) for host in pair] == [False, True]
    assert all("UDP 4789 (VNI 4096, network ingress)" in str(check(host)) for host in pair)


def test_the_port_of_dockers_gossip_need_not_be_open(pair: Hosts) -> None:
    assert "7946 need not be open" in pair["h1"].plumb("check", "--peers").stdout


@pytest.mark.parametrize(
    ("where", "rule", "words"),
    [
        ("h2", "INPUT -p udp --dport 4789 -j DROP", "is blocked: it leaves this host"),
        ("h2", "INPUT -p udp --dport 4789 -j REJECT", "refused: nobody listens"),
        ("h2", "OUTPUT -p udp --dport 4789 -j DROP", "is blocked: it leaves this host"),
        ("h1", "INPUT -p udp --dport 4789 -j DROP", "this host's firewall drops them"),
        ("h1", "OUTPUT -p udp --dport 4789 -j DROP", "does not leave this host"),
    ],
)
def test_the_data_path_port_is_blocked(pair: Hosts, where: str, rule: str, words: str) -> None:
    with blocked(pair[where], rule):
        [(cause, text)] = faults(pair["h1"])

    assert cause == Cause.DATA_PATH_PORT
    assert "UDP 4789" in text
    assert words in text


@pytest.mark.parametrize(
    ("verdict", "words"), [("DROP", "timed out"), ("REJECT --reject-with tcp-reset", "refused")]
)
def test_a_managers_port_is_blocked(pair: Hosts, verdict: str, words: str) -> None:
    with blocked(pair["h1"], f"INPUT -p tcp --dport 2377 -j {verdict}"):
        found = dict(faults(pair["h2"]))

    assert words in found[Cause.MANAGER_PORT]
    assert Cause.DATA_PATH_PORT not in found


def test_a_path_mtu_that_does_not_fit(pair: Hosts) -> None:
    pair["h1"].run("ip", "link", "set", "eth0", "mtu", "1400")
    try:
        # A lease that the test before has cost comes back; then one thing alone is wrong.
        until(lambda: list(dict(faults(pair["h1"]))) == [Cause.MTU], lambda: faults(pair["h1"]))
        [(_, text)] = faults(pair["h1"])
    finally:
        pair["h1"].run("ip", "link", "set", "eth0", "mtu", "1500")

    assert "at most 1400 bytes" in text
    assert "MTU 1450 and needs 1500" in text


def test_a_vxlan_link_that_is_gone(pair: Hosts) -> None:
    netns = "$(echo /run/plumb-lab/root/netns/1-*)"
    pair["h2"].run("sh", "-c", f"nsenter --net={netns} ip link del vxlan0")
    try:
        there, here = faults(pair["h1"]), faults(pair["h2"])
    finally:
        pair["h2"].plumb("repair")

    assert [cause for cause, _ in there] == [Cause.DATA_PATH_PORT]
    assert Cause.MISMATCH in [cause for cause, _ in here]
    assert faults(pair["h1"]) == []


def test_an_answer_counts_that_came_while_the_process_had_no_turn(pair: Hosts) -> None:
    """A process that is late finds the time to be over, and the answer beside it."""
    prober = Prober(pair["h1"].netns, ip_address(pair["h2"].address), seconds=0.0)
    try:
        until(lambda: prober.send(100) is True, "an answer is found without waiting for it")
    finally:
        prober.close()


def test_a_host_that_is_cut_off(pair: Hosts) -> None:
    pair["h2"].cut()
    try:
        causes = [cause for cause, _ in faults(pair["h1"])]
    finally:
        pair["h2"].mend()

    assert causes[-1] == Cause.UNREACHABLE
    assert causes in ([Cause.UNREACHABLE], [Cause.LEASE, Cause.UNREACHABLE])


def test_etcds_port_between_managers() -> None:
    with Hosts(2) as (one, two):
        one.plumb("swarm", "init", "--advertise-addr", one.address)
        token = one.plumb("swarm", "join-token", "-q", "manager").stdout.strip()
        own = ("--advertise-addr", two.address)
        two.plumb("swarm", "join", *own, "--token", token, f"{one.address}:2377")
        assert faults(one) == []
        with blocked(two, "INPUT -p tcp --dport 2380 --syn -j DROP"):
            [(cause, text)] = faults(one)

    assert cause == Cause.ETCD_PORT
    assert "TCP 2380 of 192.0.2.11 (etcd between managers): timed out" in text


def test_outside_of_a_swarm_there_are_no_peers() -> None:
    with Hosts(1) as [host]:
        ran = host.plumb("check", "--peers", check=False)

    assert ran.returncode == 1
    assert "not part of a swarm" in ran.stderr


# -- what needs another kernel, or another clock -----------------------------------------


def way(encrypted: bool = False) -> Tunnel:
    """A way to 192.0.2.11 through a network of VNI 4097."""
    ip = ip_address
    options = OverlayOptions(vnis=(4097,), encrypted=encrypted)
    net = Network(
        "n" * 64, "n1", "overlay", pools=(Pool(ip_network("10.50.0.0/24")),), overlay=options
    )
    return Tunnel(net, "", ip("10.50.0.3"), ip("192.0.2.10"), ip("192.0.2.11"))


def test_answers_of_another_vni_are_a_mismatch() -> None:
    sent, came = Observed(True, False, 4789, 4097), Observed(False, False, 4789, 4098)
    found = tunnel.explained(way(), [sent, came])

    assert found is not None
    assert found.cause is Cause.MISMATCH
    assert "VNI 4098, and not to UDP 4789 with VNI 4097" in found.text


def test_esp_that_does_not_leave_is_named() -> None:
    found = tunnel.explained(way(encrypted=True), [])

    assert found is not None
    assert found.cause is Cause.ESP


@pytest.mark.parametrize(
    ("first", "last", "words"), [(1, 2, "is not valid yet"), (-2, -1, "has expired")]
)
def test_a_clock_that_breaks_tls(tmp_path: Path, first: int, last: int, words: str) -> None:
    layout = Layout(str(tmp_path))
    with manager(layout, first, last) as port:
        node = Node("n", "h1", ip_address("127.0.0.1"), ip_address("127.0.0.1"), port=port)
        found = managers.tls_fault(node, layout)

    assert found is not None
    assert found.cause is Cause.CLOCK
    assert words in found.text


@contextmanager
def manager(layout: Layout, first: int, last: int) -> Iterator[int]:
    """Listen with a certificate that is valid from one day to another, counted from today."""
    folder = Path(layout.cluster)
    folder.mkdir(parents=True)
    certify(folder, first, last)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "node.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, context), daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])


def serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Take connections, and answer nothing, until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
            context.wrap_socket(connection, server_side=True).close()
        except ssl.SSLError:
            continue
        except OSError:
            return


def certify(folder: Path, first: int, last: int) -> None:
    """Write a key with a certificate that it has signed itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, managers.MANAGER)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=first))
        .not_valid_after(now + datetime.timedelta(days=last))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(managers.MANAGER)]), False)
        .sign(key, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(text)
    (folder / "node.pem").write_bytes(private + text)
