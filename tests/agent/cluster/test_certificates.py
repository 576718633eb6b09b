"""Certificates: made in a process of their own, read without a library."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest

from plumb.agent.cluster.certificates import der, pki, signing
from plumb.errors import Invalid
from plumb.lab.hosts import Hosts, LabHost
from plumb.model.cluster import NodeRole
from tests.host.swarm_hosts import pid
from tests.labs import processes
from tests.waiting import until


@pytest.fixture(scope="module")
def certificate() -> str:
    """A node's, PEM."""
    issuer = signing.new_authority("swarm-ca")
    asked = signing.request(signing.new_key())
    return signing.sign_node(issuer, asked, "n" * 25, NodeRole.MANAGER, "s" * 25)


def test_a_node_has_no_library_for_certificates_in_memory() -> None:
    """It stays in the memory of a process that has loaded it; with the agent's it was too much."""
    with Hosts(1) as hosts:
        one = hosts["h1"]
        one.plumb("swarm", "init", "--advertise-addr", one.address)
        one.plumb("network", "create", "named")
        one.plumb("run", "-d", "--network", "named", "sleep", "1000")
        assert "cryptography" not in one.run("cat", f"/proc/{pid(one, 'cluster')}/maps").stdout
        assert sum(resident(one, process) for process in ("agent", "cluster")) < 60 << 20


def resident(host: LabHost, process: str) -> int:
    """Memory of a process (RSS), bytes."""
    said = host.run("grep", "VmRSS", f"/proc/{pid(host, process)}/status").stdout
    return int(said.split()[1]) << 10


def test_the_process_that_makes_certificates_ends(certificate: str) -> None:
    signing.new_key()
    until(lambda: not any("signing" in line for line in processes()), "it is idle")
    assert "PRIVATE KEY" in signing.new_key()


def test_a_refusal_comes_through(certificate: str) -> None:
    with pytest.raises(Invalid, match="signing request"):
        signing.request_key_hash("nonsense")


def test_a_key_is_known_by_its_hash_in_request_and_certificate() -> None:
    issuer, key = signing.new_authority("swarm-ca"), signing.new_key()
    asked = signing.request(key)
    signed = signing.sign_node(issuer, asked, "n" * 25, NodeRole.WORKER, "s" * 25)
    assert der.key_hash(ssl.PEM_cert_to_DER_cert(signed)) == pki.request_key_hash(asked)


def test_a_certificate_says_how_long_it_is_valid(certificate: str) -> None:
    begin, end = der.validity(certificate)
    assert begin < datetime.now(UTC) < end
    assert end - begin == pki.LIFETIME + pki.SKEW


@pytest.mark.parametrize("text", [b"", b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x30\x00"])
def test_what_is_no_certificate_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        der.key_hash(text)
