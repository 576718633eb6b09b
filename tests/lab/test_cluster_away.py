"""A node whose managers are away goes on with networks of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from examples import two_hosts
from plumb.errors import Conflict
from plumb.lab import Hosts, LabHost
from tests.waiting import until

pytestmark = pytest.mark.needs("vxlan")


@pytest.fixture(scope="module")
def alone() -> Iterator[LabHost]:
    """A worker that has been cut off from its only manager."""
    with Hosts(2) as hosts:
        manager, worker = hosts
        two_hosts.join(manager, worker)
        worker.cut()
        yield worker


def test_a_local_network_needs_no_manager(alone: LabHost) -> None:
    alone.plumb("network", "create", "home")
    alone.plumb("run", "-d", "--name", "web", "--network", "home")

    alone.plumb("run", "--rm", "--network", "home", "ping", "-c", "1", "-w", "20", "web")


def test_a_local_network_is_made_at_once(alone: LabHost) -> None:
    """The node knows by then that no manager answers; asking them again takes ten seconds."""
    until(lambda: "no manager" in alone.plumb("check", check=False).stdout, "it is known")
    begun = time.monotonic()
    alone.plumb("network", "create", "shed")

    assert time.monotonic() - begun < 8


def test_an_overlay_network_needs_one(alone: LabHost) -> None:
    with pytest.raises(Conflict, match="not a swarm manager"):
        alone.plumb("network", "create", "-d", "overlay", "shop")


def test_a_listing_says_what_it_could_not_see() -> None:
    """On a manager without a quorum; its own networks are listed all the same."""
    with Hosts(2) as hosts:
        first, second = hosts
        first.plumb("swarm", "init", "--advertise-addr", first.address)
        token = first.plumb("swarm", "join-token", "-q", "manager").stdout.strip()
        second.plumb("swarm", "join", "--token", token, f"{first.address}:2377")
        first.plumb("network", "create", "-d", "overlay", "shop")
        second.cut()

        listed = first.plumb("network", "ls", "--format", "{{.Name}}")
        assert {"bridge", "ingress"} <= set(listed.stdout.split())
        assert "the cluster's other networks are not listed: " in listed.stderr
        first.plumb("network", "create", "unused")
        pruned = first.plumb("network", "prune", "--force")
        assert "unused" in pruned.stdout.split()
        assert "networks of the cluster stay: " in pruned.stderr
        with pytest.raises(Conflict) as refused:
            first.plumb("network", "inspect", "shop")
        assert "not found" not in str(refused.value)
