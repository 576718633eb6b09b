"""Services on hosts: containers come up, change places, and end."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from plumb.frozen import replace
from plumb.model.cnm import Network, Pool
from plumb.model.driver_options import OverlayOptions
from plumb.model.ports import PublishMode, ServicePort
from plumb.model.service.service import Service
from plumb.model.service.spec import (
    Health,
    RestartPolicy,
    ServiceMode,
    ServiceNetwork,
    ServiceSpec,
    UpdatePolicy,
)
from plumb.model.service.task import Task, TaskState
from plumb.store import codec
from tests.agent.cluster.hosts import Machine, hosts
from tests.waiting import until


class Swarm:
    """Hosts in a swarm, and its services by the requests of a manager."""

    def __init__(self, manager: Machine, *workers: Machine) -> None:
        self.manager, self.machines = manager, (manager, *workers)

    def create(self, name: str, *nets: str, **more: Any) -> Service:
        """Create a service."""
        on = tuple(ServiceNetwork(net) for net in nets)
        spec = ServiceSpec(name, networks=on, **{"argv": ("sleep", "1000"), **more})
        return codec.decode(Service, self.manager.ask("service-create", spec=codec.plain(spec)))

    def update(self, service: Service, spec: ServiceSpec) -> Service:
        """Give a service another specification."""
        now = self.manager.ask("service", reference=service.id)
        version = codec.decode(Service, now).version
        body = {"id": service.id, "version": version, "spec": codec.plain(spec)}
        return codec.decode(Service, self.manager.ask("service-update", **body))

    def tasks(self, service: Service) -> list[Task]:
        """Tasks of a service, those that have ended too."""
        found = self.manager.ask("tasks", service=service.id)
        return [codec.decode(Task, one) for one in found]

    def running(self, service: Service) -> list[Task]:
        """Tasks of a service that run, and are to."""
        found = [one for one in self.tasks(service) if one.stands]
        return [one for one in found if one.state is TaskState.RUNNING]

    def containers(self) -> dict[str, list[str]]:
        """Names of containers by host."""
        return {
            machine.name: machine.plumb("ps", "-a", "--format", "{{.Names}}").split()
            for machine in self.machines
        }

    def remove(self, service: Service) -> None:
        """Remove a service, and wait until nothing of it is left."""
        self.manager.ask("service-remove", id=service.id)
        until(lambda: not self.tasks(service))


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    """Two hosts in a swarm with a network n1; each test removes its services."""
    with hosts(2) as (manager, worker):
        tokens = manager.init()
        worker.join(tokens["worker"], manager)
        manager.plumb("network", "create", "-d", "overlay", "--subnet", "10.50.0.0/24", "n1")
        yield Swarm(manager, worker)


def test_tasks_are_containers_that_reach_each_other(swarm: Swarm) -> None:
    web = swarm.create("web", "n1", replicas=2)
    until(lambda: len(swarm.running(web)) == 2)

    one, two = swarm.running(web)
    assert swarm.containers() == {
        machine.name: [task.name("web") for task in (one, two) if _is_on(task, machine)]
        for machine in swarm.machines
    }
    here = next(task for task in (one, two) if _is_on(task, swarm.manager))
    there = next(task for task in (one, two) if task is not here)
    swarm.manager.plumb("exec", here.name("web"), "ping", "-c1", "-W5", str(there.places[0].ip.ip))
    assert [machine.plumb("check") for machine in swarm.machines] == ["", ""]

    swarm.remove(web)
    until(lambda: swarm.containers() == {"h1": [], "h2": []})
    assert swarm.manager.ask("reservations") == []


def _is_on(task: Task, machine: Machine) -> bool:
    return bool(task.node == machine.ask("status")["node"]["id"])


def test_a_command_that_was_killed_is_started_anew_elsewhere_or_here(swarm: Swarm) -> None:
    web = swarm.create("web", "n1", replicas=1, restart=RestartPolicy(delay=0.5))
    until(lambda: len(swarm.running(web)) == 1)
    (first,) = swarm.running(web)
    machine = next(one for one in swarm.machines if _is_on(first, one))

    pid = machine.plumb("inspect", "-f", "{{.State.Pid}}", first.name("web"))
    os.kill(int(pid), signal.SIGKILL)

    until(lambda: [one.id for one in swarm.running(web)] not in ([], [first.id]))
    failed = next(one for one in swarm.tasks(web) if one.id == first.id)
    assert (failed.state, failed.error) == (TaskState.FAILED, "task: non-zero exit (137)")
    swarm.remove(web)


def test_a_command_that_there_is_not_is_rejected_with_the_reason(swarm: Swarm) -> None:
    web = swarm.create("web", "n1", argv=("/no/such/command",))

    until(lambda: any(one.state is TaskState.REJECTED for one in swarm.tasks(web)))

    rejected = [one for one in swarm.tasks(web) if one.state is TaskState.REJECTED]
    assert "cannot start the command" in rejected[0].error
    swarm.remove(web)


def test_a_rolling_update_replaces_all(swarm: Swarm) -> None:
    quick = UpdatePolicy(monitor=0.5)
    web = swarm.create("web", "n1", replicas=2, update=quick)
    until(lambda: len(swarm.running(web)) == 2)
    before = {one.id for one in swarm.running(web)}

    swarm.update(web, replace(web.spec, argv=("sleep", "2000")))

    until(lambda: _status(swarm, web) == "completed")
    after = {one.id for one in swarm.running(web)}
    assert len(after) == 2
    assert before.isdisjoint(after)
    swarm.remove(web)


def _status(swarm: Swarm, service: Service) -> str:
    found = codec.decode(Service, swarm.manager.ask("service", reference=service.id))
    return found.update.state.value


def test_a_drained_node_has_no_tasks(swarm: Swarm) -> None:
    web = swarm.create("web", "n1", replicas=2)
    until(lambda: len(swarm.running(web)) == 2)

    swarm.manager.ask("node-update", node="h2", availability="drain")

    here = swarm.manager.ask("status")["node"]["id"]
    until(lambda: [one.node for one in swarm.running(web)] == [here, here])
    swarm.manager.ask("node-update", node="h2", availability="active")
    swarm.remove(web)


def test_a_killed_process_takes_its_tasks_up_again(swarm: Swarm) -> None:
    web = swarm.create("web", "n1", replicas=2)
    until(lambda: len(swarm.running(web)) == 2)
    before = {one.id for one in swarm.running(web)}
    worker = swarm.machines[1]

    worker.kill()
    worker.plumb("ps")  # the next command starts it again
    worker.ask("status")

    swarm.update(web, _with_replicas(web, 4))
    until(lambda: len(swarm.running(web)) == 4)
    running = swarm.running(web)
    assert before < {one.id for one in running}
    assert Counter(one.node for one in running).most_common(1)[0][1] == 2
    swarm.remove(web)


def _with_replicas(service: Service, count: int) -> ServiceSpec:
    return replace(service.spec, replicas=count)


def test_placeholders_are_filled_in(swarm: Swarm) -> None:
    variable = "WHO={{.Task.Name}} on {{.Node.Hostname}}"
    web = swarm.create(
        "web", "n1", hostname="{{.Service.Name}}-{{.Task.Slot}}", environment=(variable,)
    )
    until(lambda: len(swarm.running(web)) == 1)
    (task,) = swarm.running(web)
    machine = next(one for one in swarm.machines if _is_on(task, one))

    said = machine.plumb("exec", task.name("web"), "sh", "-c", "echo $HOSTNAME $WHO")

    assert said.split() == ["web-1", task.name("web"), "on", machine.name]
    swarm.remove(web)


def test_what_a_task_has_printed_is_asked_of_its_node(swarm: Swarm) -> None:
    web = swarm.create("web", replicas=2, argv=("sh", "-c", "echo hello; sleep 1000"))
    until(lambda: len(swarm.running(web)) == 2)

    for task in swarm.running(web):
        until(lambda: _printed(swarm, task) == ["hello\n"])  # noqa: B023

    swarm.remove(web)


def _printed(swarm: Swarm, task: Task) -> list[Any]:
    found = swarm.manager.ask("task-logs", task=task.id, tail=1, offset=0)
    return [json.loads(line)["log"] for line in found["text"].splitlines()]


def test_ports_of_mode_host_and_the_hosts_own_network(swarm: Swarm) -> None:
    ports = (ServicePort(80, 8081, mode=PublishMode.HOST), ServicePort(81, mode=PublishMode.HOST))
    web = swarm.create("web", mode=ServiceMode.GLOBAL, ports=ports)
    own = swarm.create("own", "host", mode=ServiceMode.GLOBAL)
    until(lambda: len(swarm.running(web)) == len(swarm.running(own)) == 2)

    for task in swarm.running(web):
        fixed, chosen = task.ports
        assert fixed.published == 8081
        assert chosen.published >= 32768
        assert task.places == ()
    assert swarm.manager.within("ss -Hltn sport = :8081")

    swarm.remove(web)
    swarm.remove(own)


def test_an_ingress_network_made_anew_is_on_every_node_at_once(swarm: Swarm) -> None:
    old = swarm.manager.ask("network", reference="ingress")
    swarm.manager.ask("network-remove", network=old["id"])
    until(lambda: not any(map(_ingress_address, swarm.machines)))

    options = OverlayOptions(ingress=True)
    door = Network(
        "d" * 64, "door", "overlay", (Pool(ip_network("10.77.0.0/24")),), overlay=options
    )
    swarm.manager.ask("network-create", network=codec.plain(door))

    until(lambda: all("10.77.0." in _ingress_address(machine) for machine in swarm.machines))
    assert [machine.plumb("check") for machine in swarm.machines] == ["", ""]


def _ingress_address(machine: Machine) -> str:
    """Addresses in a host's ingress namespace, empty without one."""
    path = f"{machine.layout.run}/netns/ingress_sbox"
    return machine.within(f"nsenter --net={path} ip -4 -br addr 2>/dev/null || true")


def test_a_container_that_comes_later_finds_the_services_that_are_there(swarm: Swarm) -> None:
    """Its host has no part in the network before; nothing of the service changes afterwards."""
    swarm.manager.plumb("network", "create", "-d", "overlay", "--attachable", "n2")
    web = swarm.create("web", "n2", constraints=("node.hostname==h2",))
    until(lambda: len(swarm.running(web)) == 1)
    vip = str(next(iter(web.addresses)).ip.ip)

    swarm.manager.plumb("run", "-d", "--name", "c1", "--network", "n2", "sleep", "1000")

    until(lambda: vip in swarm.manager.plumb("exec", "c1", "getent", "ahosts", "web"))
    own = swarm.running(web)[0].places[0].ip.ip
    ident = swarm.manager.plumb("inspect", "--format", "{{.Id}}", "c1").strip()
    there = f"nsenter --net={swarm.manager.layout.namespace(ident)} ping -nc1 -W2 {own} || true"
    until(lambda: " 0% packet loss" in swarm.manager.within(there))
    swarm.manager.plumb("rm", "-f", "c1")
    swarm.remove(web)
    until(lambda: "n2" in swarm.manager.plumb("network", "rm", "n2"))


TELL = """\
import socket
server = socket.create_server(("::", 80), family=socket.AF_INET6)
while True:
    client = server.accept()[0]
    client.sendall(socket.gethostname().encode())
    client.close()
"""
ASK = "import socket, sys; print(socket.create_connection((sys.argv[1], 80), 5).recv(9).decode())"


def test_a_service_is_reached_by_ipv6_on_both_hosts(swarm: Swarm) -> None:
    """By its virtual address, from a task of the manager's host."""
    subnets = ("--ipv6", "--subnet", "10.56.0.0/24", "--subnet", "fd00:56::/64")
    swarm.manager.plumb("network", "create", "-d", "overlay", *subnets, "n6")
    argv = (sys.executable, "-c", TELL)
    web = swarm.create("web", "n6", argv=argv, replicas=2, hostname="{{.Node.Hostname}}")
    until(lambda: len(swarm.running(web)) == 2)
    (vip,) = (str(one.ip6.ip) for one in web.addresses if one.ip6)
    here = next(task for task in swarm.running(web) if _is_on(task, swarm.manager))
    client = ("exec", here.name("web"), "sh", "-c", '"$0" -c "$1" "$2" || true')

    heard = set[str]()

    def both_were_heard() -> bool:
        heard.update(swarm.manager.plumb(*client, sys.executable, ASK, vip).split())
        return heard == {"h1", "h2"}

    until(both_were_heard)
    assert [machine.plumb("check") for machine in swarm.machines] == ["", ""]
    swarm.remove(web)
    until(lambda: "n6" in swarm.manager.plumb("network", "rm", "n6"))


def test_a_task_runs_when_it_is_healthy_and_is_replaced_when_it_is_not(swarm: Swarm) -> None:
    check = Health("test -e /tmp/healthy-$HOSTNAME", interval=0.3, timeout=5.0, retries=2)
    web = swarm.create(
        "web", health=check, hostname="web-{{.Task.ID}}", restart=RestartPolicy(delay=0.0)
    )
    until(lambda: [one.state for one in swarm.tasks(web)] == [TaskState.STARTING])
    (first,) = swarm.tasks(web)
    machine = next(one for one in swarm.machines if _is_on(first, one))

    marker = f"/tmp/healthy-web-{first.id}"
    machine.within(f"touch {marker}")
    until(lambda: len(swarm.running(web)) == 1)
    machine.within(f"rm {marker}")
    until(lambda: any(one.state is TaskState.FAILED for one in swarm.tasks(web)))

    failed = next(one for one in swarm.tasks(web) if one.id == first.id)
    assert failed.error.endswith(": unhealthy container")
    until(lambda: len([one for one in swarm.tasks(web) if one.stands]) == 1)
    swarm.remove(web)
