"""What a cluster gives to whom: certificates, roles, secrets."""

from __future__ import annotations

import json
import os
import ssl
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plumb.agent.cluster.certificates import pki, tls
from plumb.errors import Unsupported
from plumb.kernel.netns.namespaces import entered
from plumb.model.cluster import NodeRole
from tests.agent.cluster.hosts import Machine, hosts
from tests.waiting import until

Pair = tuple[Machine, Machine]


def raw(machine: Machine, context: ssl.SSLContext, name: str, body: Any = None) -> Any:
    """Ask the first manager over TLS, as anybody could."""
    with entered(machine.netns):
        connection = tls.Connection("192.0.2.10:2377", context, 10)
        try:
            response = connection.ask("POST", f"/v1/{name}", json.dumps(body or {}).encode())
            return json.loads(response.read())
        finally:
            connection.close()


def papers(machine: Machine, name: str) -> str:
    return f"{machine.layout.root}/cluster/{name}"


def trusted(machine: Machine) -> str:
    return Path(papers(machine, "ca.pem")).read_text(encoding="ascii")


REQUESTS = (
    "tokens", "nodes", "node-update", "node-remove", "manage", "vote", "rotate-ca", "networks",
    "network-create", "network-remove", "rotate-token",
)  # fmt: skip


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_worker_gets_nothing_of_a_manager(pair: Pair, request_: str) -> None:
    _, worker = pair

    with pytest.raises(Unsupported, match="This node is not a swarm manager"):
        worker.ask(request_, node="self", role="manager")


@pytest.mark.parametrize(
    "request_", ["heartbeat", "attach", "publish", "swarm", "watch", *REQUESTS]
)
def test_nothing_is_told_without_a_certificate(pair: Pair, request_: str) -> None:
    manager, _ = pair

    answer = raw(manager, tls.client(trusted(manager)), request_)
    assert "needs a certificate" in answer["error"]


def test_a_certificate_of_another_authority_is_refused(pair: Pair, tmp_path: Path) -> None:
    manager, _ = pair
    other, key = pki.new_authority("swarm-ca"), pki.new_key()
    node = manager.ask("status")["node"]["id"]
    forged = pki.sign_node(other, pki.request(key), node, NodeRole.MANAGER, "s" * 25)
    (tmp_path / "forged.pem").write_text(key + forged)

    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        raw(manager, tls.client(trusted(manager), str(tmp_path / "forged.pem")), "nodes")


def test_a_worker_cannot_play_the_manager(pair: Pair) -> None:
    """Its certificate is of the right authority, and no server's."""
    _, worker = pair
    text = Path(papers(worker, "node.pem")).read_text(encoding="ascii")

    shown = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERT") :])
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(shown)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert "swarm-manager" not in names.get_values_for_type(x509.DNSName)
    assert x509.oid.ExtendedKeyUsageOID.SERVER_AUTH not in usage


def test_tls_is_of_version_1_3(pair: Pair) -> None:
    manager, _ = pair
    old = tls.unverified()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises((ssl.SSLError, ConnectionError)):
        raw(manager, old, "swarm")


def test_a_node_publishes_what_it_has_reserved_alone(pair: Pair) -> None:
    _, worker = pair
    end = {"id": "a" * 64, "network": "b" * 64, "mac": "02:42:0a:00:00:01", "ip": "10.0.0.1/24"}

    with pytest.raises(Exception, match="has no addresses in the cluster"):
        worker.ask("publish", endpoints=[end])
    assert "a" * 64 not in {row["id"] for row in worker.ask("published")}


def test_etcd_is_reached_by_its_socket_and_its_peers_alone(pair: Pair) -> None:
    manager, worker = pair
    listening = manager.within("ss -ltnHp").splitlines()

    ports = {line.split()[3].rpartition(":")[2] for line in listening if "etcd" in line}
    assert ports == {"2380"}
    context = tls.unverified()
    context.load_cert_chain(papers(worker, "node.pem"))
    connection = tls.Connection("192.0.2.10:2380", context, 10)
    refused = pytest.raises((ssl.SSLError, ConnectionError))
    with entered(worker.netns), closing(connection), refused:
        _read(connection, "/version")


def _read(connection: tls.Connection, path: str) -> bytes:
    with closing(connection.ask("GET", path)) as answer:
        return answer.read()


def test_secrets_are_where_root_alone_reads_them() -> None:
    with hosts(2) as (manager, worker):
        tokens = manager.init()
        worker.join(tokens["worker"], manager)
        secrets = [text.rpartition("-")[2] for text in tokens.values()]
        until(lambda: worker.client.node() is not None)
        for machine in (manager, worker):
            key = Path(papers(machine, "node.pem")).read_text(encoding="ascii").splitlines()[1]
            shared = [secret for _, secret in machine.ask("encryption")["keys"]]
            _nothing_leaks(machine, [*secrets, *shared, key])


def _nothing_leaks(machine: Machine, secrets: list[str]) -> None:
    """Look through files that others may read, logs, arguments and environments."""
    etcd = machine.ask("status")["etcd"]
    for process in filter(None, (machine.pid, etcd)):
        for name in ("cmdline", "environ"):
            text = Path(f"/proc/{process}/{name}").read_bytes().decode(errors="replace")
            assert not any(secret in text for secret in secrets)
    for folder, _, names in os.walk(machine.layout.root):
        for path in (Path(folder, name) for name in names):
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or os.path.ismount(path):
                continue
            private = stat.S_IMODE(found.st_mode) & 0o077 == 0
            text = path.read_bytes().decode(errors="replace")
            if not private or path.suffix == ".log":
                assert not any(secret in text for secret in secrets), path
    kept = Path(machine.layout.root, "cluster")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept.glob("*.pem"))
