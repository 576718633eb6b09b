"""Services when nodes and managers go: others take over, and nothing runs twice for long."""

from __future__ import annotations

import time

from plumb.agent.cluster.state.nodes import LEASE
from plumb.model.service.service import Service
from plumb.model.service.spec import RestartPolicy
from plumb.model.service.task import Task, TaskState
from tests.agent.cluster.hosts import Machine, hosts
from tests.agent.cluster.test_services import Swarm
from tests.labs import within
from tests.waiting import until


def test_a_node_that_is_cut_off_is_replaced_and_ends_its_tasks_when_it_is_back() -> None:
    with hosts(2) as (manager, worker):
        worker.join(manager.init()["worker"], manager)
        swarm = Swarm(manager, worker)
        web = swarm.create("web", replicas=2)
        until(lambda: len(swarm.running(web)) == 2)
        began = time.monotonic()

        _plug(worker, "down")
        until(lambda: len({one.node for one in swarm.running(web)}) == 1)
        until(lambda: len(swarm.running(web)) == 2)

        assert time.monotonic() - began > LEASE / 2, "its lease was not waited for"
        assert TaskState.ORPHANED in {one.state for one in swarm.tasks(web)}
        assert "web.2" in worker.plumb("ps"), "it runs on where nobody can say otherwise"

        _plug(worker, "up")
        until(lambda: "web.2" not in worker.plumb("ps"))


def _plug(machine: Machine, state: str) -> None:
    within(machine.netns, f"ip link set eth0 {state}")


def test_another_manager_goes_on_where_the_leader_was_killed() -> None:
    with hosts(3) as machines:
        first, *others = machines
        token = first.init()["manager"]
        for machine in others:
            machine.join(token, first)
        swarm = Swarm(others[0], *machines)
        web = swarm.create("web", replicas=3)
        until(lambda: len(swarm.running(web)) == 3)
        leader = next(one for one in machines if "assigns the tasks now" in _log(one))
        survivors = [one for one in machines if one is not leader]
        swarm.manager = survivors[0]
        assert _leaders(leader) == [_hostname(leader)]

        leader.kill()
        until(lambda: any("assigns the tasks now" in _log(one) for one in survivors))
        heir = next(one for one in survivors if "assigns the tasks now" in _log(one))
        until(lambda: _leaders(heir) == [_hostname(heir)])
        until(lambda: [one.slot for one in _on(swarm, survivors, web)] == [1, 2, 3])

        leader.plumb("ps")  # starts its process again
        until(lambda: sum(one.plumb("ps").count("web.") for one in machines) == 3)


def _leaders(machine: Machine) -> list[str]:
    """Hostnames of the leaders that `node ls` shows."""
    lines = machine.plumb("node", "ls", "--format", "{{.ManagerStatus}} {{.Hostname}}").splitlines()
    return [
        name for status, _, name in (line.partition(" ") for line in lines) if status == "Leader"
    ]


def _hostname(machine: Machine) -> str:
    return str(machine.ask("status")["node"]["hostname"])


def _on(swarm: Swarm, machines: list[Machine], service: Service) -> list[Task]:
    """Tasks that run on some machines, in the order of their slots."""
    idents = {machine.ask("status")["node"]["id"] for machine in machines}
    found = [one for one in swarm.running(service) if one.node in idents]
    return sorted(found, key=lambda one: one.slot)


def _log(machine: Machine) -> str:
    with open(f"{machine.layout.run}/cluster/cluster.log", encoding="utf-8") as file:
        return file.read()


def test_a_command_that_dies_at_once_causes_no_storm() -> None:
    with hosts(1) as (machine,):
        machine.init()
        swarm = Swarm(machine)
        policy = RestartPolicy(delay=0.0)
        web = swarm.create("web", replicas=2, argv=("false",), restart=policy)
        made: set[str] = set()

        end = time.monotonic() + 12
        while time.monotonic() < end:
            made |= {one.id for one in swarm.tasks(web)}
            time.sleep(0.1)

        assert 2 < len(made) <= 12
        assert {one.error for one in swarm.tasks(web)} <= {"", "task: non-zero exit (1)"}
