"""Where a cluster's state lies: with a manager that is left alone, and in an etcd of others."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from plumb.agent.cluster.certificates import pki
from plumb.kernel.netns.namespaces import entered
from plumb.model.cluster import NodeRole
from tests.agent.cluster.hosts import Machine, hosts
from tests.agent.cluster.state.etcd_process import require_etcd
from tests.waiting import until

FORCE = ("swarm", "init", "--force-new-cluster", "--advertise-addr")


# -- one manager of three is left ----------------------------------------------------------


@pytest.fixture
def managers() -> Iterator[list[Machine]]:
    """Three managers, and a network in their store."""
    with hosts(3) as made:
        token = made[0].init()["manager"]
        for other in made[1:]:
            other.join(token, made[0])
        made[0].plumb("network", "create", "-d", "overlay", "--subnet", "10.70.0.0/24", "n1")
        yield made


def unplug(others: Sequence[Machine]) -> None:
    """Cut hosts off for good."""
    for machine in others:
        machine.within("ip link set eth0 down")


def test_a_manager_goes_on_alone_with_its_state(managers: list[Machine]) -> None:
    """It has the network and the nodes still, gives both roles' old tokens, and takes a manager."""
    first, *others = managers
    before = first.ask("tokens")
    unplug(others)

    said = first.plumb(*FORCE, str(first.address))

    assert "is now a manager" in said
    assert "10.70.0.0/24" in first.plumb("network", "inspect", "n1")
    roles = {name: node.role for name, node in first.nodes().items()}
    assert roles == {"h1": NodeRole.MANAGER, "h2": NodeRole.WORKER, "h3": NodeRole.WORKER}
    assert first.ask("tokens") == before
    others[0].plumb("swarm", "leave", "--force")
    others[0].within("ip link set eth0 up")
    others[0].join(before["manager"], first)
    assert "10.70.0.0/24" in others[0].plumb("network", "inspect", "n1")


def test_it_is_not_told_to_forget_its_members_again(managers: list[Machine]) -> None:
    """After a restart the state and the other managers are there: etcd is told so once."""
    first, second, third = managers
    unplug([second, third])
    first.plumb(*FORCE, str(first.address))
    second.plumb("swarm", "leave", "--force")
    second.within("ip link set eth0 up")
    second.join(first.ask("tokens")["manager"], first)

    first.kill()

    until(lambda: first.nodes() and first.ask("status")["connected"])
    roles = [node.get("role", "worker") for node in first.ask("nodes")]
    assert sorted(roles) == ["manager", "manager", "worker", "worker"]
    assert "--force-new-cluster" not in first.within(f"tr '\\0' ' ' < /proc/{first.etcd}/cmdline")


def test_outside_of_a_swarm_it_makes_one(managers: list[Machine]) -> None:
    """As Docker's; a worker has no state to go on with."""
    first, second, third = managers
    third.plumb("swarm", "leave", "--force")
    assert "is now a manager" in third.plumb(*FORCE, str(third.address))
    first.plumb("node", "demote", "h2")
    until(lambda: second.ask("status")["role"] == "worker")
    assert "none of its own" in second.plumb(*FORCE, str(second.address), status=1)


# -- an etcd that is there already ---------------------------------------------------------


@contextmanager
def store(machine: Machine, folder: Path) -> Iterator[tuple[str, ...]]:
    """An etcd on that host with TLS for clients; the options of `swarm init` for it."""
    require_etcd()
    authority, key = pki.new_authority("store-ca"), pki.new_key()
    certificate = pki.sign_peer(authority, pki.request(key), "store", machine.address)
    paths = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    for path, text in zip(paths.values(), (authority.certificate, certificate, key), strict=True):
        path.write_text(text)
    url = f"https://{machine.address}:12379"
    argv = [
        *("etcd", "--data-dir", str(folder / "data"), "--log-level", "error"),
        *("--listen-client-urls", url, "--advertise-client-urls", url, "--client-cert-auth"),
        *("--trusted-ca-file", str(paths["ca"]), "--cert-file", str(paths["cert"])),
        *("--key-file", str(paths["key"])),
    ]
    with entered(machine.netns), (folder / "log").open("wb") as log:
        etcd = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        until(lambda: ":12379" in machine.within("ss -Hltn"))
        yield (
            *("--store", url, "--store-ca", str(paths["ca"])),
            *("--store-cert", str(paths["cert"]), "--store-key", str(paths["key"])),
        )
    finally:
        etcd.kill()
        etcd.wait()


def test_an_existing_etcd_holds_the_state(machines: list[Machine], tmp_path: Path) -> None:
    """Of two managers, of which neither has an etcd; the last one to leave takes it all away."""
    first, second, third = machines
    with store(third, tmp_path) as words:
        first.plumb("swarm", "init", "--advertise-addr", str(first.address), *words)
        second.join(first.ask("tokens")["manager"], first)
        first.plumb("network", "create", "-d", "overlay", "--subnet", "10.70.0.0/24", "n1")
        first.kill()

        assert "10.70.0.0/24" in second.plumb("network", "inspect", "n1")
        assert (first.etcd, second.etcd) == (0, 0)
        second.plumb("swarm", "leave", "--force")
        first.plumb("swarm", "leave", "--force")
        first.plumb("swarm", "init", "--advertise-addr", str(first.address), *words)
        assert "10.70.0.0/24" not in first.plumb("network", "ls")


def test_another_swarm_s_etcd_is_left_alone(machines: list[Machine], tmp_path: Path) -> None:
    first, second, third = machines
    with store(third, tmp_path) as words:
        first.plumb("swarm", "init", "--advertise-addr", str(first.address), *words)
        own = ("swarm", "init", "--advertise-addr", str(second.address))
        said = second.plumb(*own, *words, status=1)

        assert "there is one already in the store" in said
        assert len(first.ask("nodes")) == 1


def test_an_etcd_is_used_by_tls_alone(machines: list[Machine]) -> None:
    """Without papers, and with a URL in the clear."""
    own = ("swarm", "init", "--advertise-addr", str(machines[0].address))
    url = "http://192.0.2.12:2379"
    assert "needs --store-cert" in machines[0].plumb(*own, "--store", url, status=1)
