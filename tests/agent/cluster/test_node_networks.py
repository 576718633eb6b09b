"""Networks of the cluster that each node builds for itself, and services on them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from plumb.model.service.service import Service
from plumb.model.service.spec import RestartPolicy, ServiceMode
from plumb.model.service.task import Task
from tests.agent.cluster.hosts import Machine, hosts
from tests.agent.cluster.test_services import Swarm
from tests.waiting import until

LAN = ["--config-only", "--subnet", "198.51.100.0/24", "-o", "parent=eth0"]
RANGES = {"h1": "198.51.100.64/28", "h2": "198.51.100.80/28"}


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    """Two hosts, each with a configuration lan of its own, and the network wire on them."""
    with hosts(2) as (manager, worker):
        worker.join(manager.init()["worker"], manager)
        for machine in (manager, worker):
            configure(machine)
        create = "network create -d macvlan --scope swarm --attachable --config-from lan wire"
        manager.plumb(*create.split())
        yield Swarm(manager, worker)


def configure(machine: Machine) -> None:
    """Give a host its part of the LAN's addresses."""
    machine.plumb("network", "create", *LAN, "--ip-range", RANGES[machine.name], "lan")


def addresses(swarm: Swarm, service: Service) -> dict[str, str]:
    """Addresses of a service's tasks on wire, by host."""
    return {
        machine.name: str(shown["NetworkSettings"]["Networks"]["wire"]["IPAddress"])
        for machine in swarm.machines
        for task in swarm.running(service)
        if (shown := inspected(machine, task))
    }


def inspected(machine: Machine, task: Task) -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    """A task's container as `inspect` shows it; empty on another host."""
    name = task.name("web")
    if name not in machine.plumb("ps", "--format", "{{.Names}}"):
        return {}
    (shown,) = json.loads(machine.plumb("inspect", name))
    return dict(shown)


def test_tasks_have_addresses_of_their_nodes_and_reach_each_other(swarm: Swarm) -> None:
    web = swarm.create("web", "wire", mode=ServiceMode.GLOBAL)
    until(lambda: len(swarm.running(web)) == 2)
    assert addresses(swarm, web) == {"h1": "198.51.100.64", "h2": "198.51.100.80"}
    assert web.addresses == ()

    here = next(task for task in swarm.running(web) if inspected(swarm.manager, task))
    swarm.manager.plumb("exec", here.name("web"), "ping", "-c1", "-W5", "198.51.100.80")
    assert [machine.plumb("check") for machine in swarm.machines] == ["", ""]
    refused = swarm.manager.plumb("network", "rm", "wire", status=1)
    assert f"is in use by service {web.id}" in refused

    swarm.remove(web)
    until(lambda: swarm.containers() == {"h1": [], "h2": []})
    for machine in swarm.machines:
        assert "macvlan" not in machine.within("ip -d link")


def test_a_container_of_any_node_may_join_an_attachable_one(swarm: Swarm) -> None:
    worker = swarm.machines[1]
    worker.plumb("run", "-d", "--name", "c1", "--network", "wire", "sleep", "1000")
    listed = worker.plumb("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}")
    assert "wire macvlan swarm" in listed
    assert "lan null local" in listed
    worker.plumb("rm", "-f", "c1")


def test_a_network_that_a_container_of_another_node_is_on_stays(swarm: Swarm) -> None:
    """While it runs, and while it is stopped: it may start again."""
    manager, worker = swarm.machines
    create = "network create --scope swarm --attachable --label of=test n1"
    manager.plumb(*create.split())
    worker.plumb("run", "-d", "--name", "c1", "--network", "n1", "sleep", "1000")
    assert "is in use on node h2" in manager.plumb("network", "rm", "n1", status=1)
    assert "n1" not in manager.plumb("network", "prune", "-f", "--filter", "label=of=test")
    worker.plumb("restart", "-t", "0", "c1")
    worker.plumb("stop", "-t", "0", "c1")
    assert "is in use on node h2" in manager.plumb("network", "rm", "n1", status=1)
    worker.plumb("rm", "c1")
    manager.plumb("network", "rm", "n1")


def test_a_node_without_the_configuration_rejects_the_task(swarm: Swarm) -> None:
    worker = swarm.machines[1]
    worker.plumb("network", "rm", "lan")
    web = swarm.create(
        "web", "wire", mode=ServiceMode.GLOBAL, restart=RestartPolicy(delay=1.0, attempts=1)
    )
    words = 'configuration network "lan" does not exist'
    until(lambda: any(words in task.error for task in swarm.tasks(web)))
    until(lambda: len(swarm.running(web)) == 1)
    swarm.remove(web)
    configure(worker)


def test_the_default_network_is_every_nodes(swarm: Swarm) -> None:
    web = swarm.create("web", "bridge", "wire", mode=ServiceMode.GLOBAL)
    until(lambda: len(swarm.running(web)) == 2)
    shown = [inspected(machine, task) for machine in swarm.machines for task in swarm.running(web)]
    nets = [sorted(one["NetworkSettings"]["Networks"]) for one in shown if one]
    assert nets == [["bridge", "wire"]] * 2
    swarm.remove(web)
