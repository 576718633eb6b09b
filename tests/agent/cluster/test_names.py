"""Names of a host's own networks that its part in a cluster needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from plumb.kernel.cluster import places
from tests.agent.cluster.hosts import Machine

GATEWAY = ("network", "create", "--internal", "plumb_gwbridge")


def init(machine: Machine, status: int = 0) -> str:
    """Make a swarm there; what it printed, or its error."""
    return machine.plumb("swarm", "init", "--advertise-addr", str(machine.address), status=status)


def test_a_local_network_called_ingress_is_named_before_etcd_starts(
    machines: list[Machine],
) -> None:
    machine = machines[0]
    machine.plumb("network", "create", "ingress")
    said = init(machine, status=1)
    assert "network with name ingress already exists on this host" in said
    assert "'plumb network rm ingress' here" in said
    log = Path(places.folder(machine.layout), "cluster.log").read_text()
    assert "assigns the tasks" not in log, "no etcd was there to elect a leader"

    machine.plumb("network", "rm", "ingress")
    init(machine)


def test_a_way_out_that_leads_nowhere_is_named_where_a_host_joins(machines: list[Machine]) -> None:
    manager, worker, _ = machines
    manager.plumb(*GATEWAY)
    assert "network plumb_gwbridge of this host does not lead out" in init(manager, status=1)
    manager.plumb("network", "rm", "plumb_gwbridge")
    init(manager)

    worker.plumb(*GATEWAY)
    token = manager.plumb("swarm", "join-token", "-q", "worker").strip()
    words = ("swarm", "join", "--advertise-addr", str(worker.address), "--token", token)
    said = worker.plumb(*words, f"{manager.address}:2377", status=1)
    assert "'plumb network rm plumb_gwbridge'" in said
    assert len(manager.nodes()) == 1, "no manager was asked"


@pytest.mark.parametrize(
    "options",
    [("--config-only",), ("-d", "macvlan", "-o", "parent=eth0")],
    ids=["configuration", "macvlan"],
)
def test_a_way_out_has_a_gateway_on_the_host(
    machines: list[Machine], options: tuple[str, ...]
) -> None:
    machines[0].plumb("network", "create", *options, "plumb_gwbridge")
    assert "'plumb network rm plumb_gwbridge'" in init(machines[0], status=1)


def test_a_way_out_may_be_one_that_the_user_has_made(machines: list[Machine]) -> None:
    machine = machines[0]
    machine.plumb("network", "create", "--subnet", "172.31.0.0/16", "plumb_gwbridge")
    init(machine)
    assert machine.plumb("check") == ""
