"""Services under load: two hundred connections a second by the published port, and by the VIP."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query
import pytest

from plumb.frozen import replace
from plumb.kernel.netns.namespaces import entered
from plumb.model.cluster import balancer_sandbox
from plumb.model.ports import ServicePort
from plumb.model.service.service import Service, UpdateState
from plumb.model.service.spec import Health, Order, RestartPolicy, UpdatePolicy
from plumb.model.service.task import Task, TaskState
from plumb.store import codec
from tests.agent.cluster.hosts import hosts
from tests.agent.cluster.test_services import Swarm
from tests.host.load import PATIENCE, Load, load
from tests.host.service_hosts import ask
from tests.labs import within
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.needs("vxlan")]
N1 = "10.50.0."
SERVER = """
import socket
name = socket.gethostname()
with socket.create_server(("0.0.0.0", 80), backlog=4096) as server:
    while True:
        client = server.accept()[0]
        client.sendall(name.encode())
        client.close()
"""
WEB = {
    "argv": ("python3", "-S", "-c", SERVER),
    "hostname": "{{.Task.ID}}",
    "ports": (ServicePort(80, 8080),),
    "restart": RestartPolicy(delay=0.5),
    "health": Health("ss -Hltn 'sport = :80' | grep -q .", interval=0.3, timeout=10.0, retries=3),
}
"""A service that tells which task answers; tasks count as soon as they listen."""


BY_EITHER = pytest.mark.parametrize(
    "site",
    ["iptables", pytest.param("nftables", marks=pytest.mark.needs("nft_numgen"))],
    indirect=True,
)
"""By rules of either firewall; which one, `Site.chooses_by` tells."""
REFUSED = {
    *("Connection refused", "Connection reset by peer", "closed without an answer"),
    "No route to host",
}
"""Answers of a host whose program is gone; the last one where its address has gone with it."""


@dataclass
class Site:
    """Two nodes, the service web on n1, and two places to ask from."""

    swarm: Swarm
    web: Service
    outside: str
    inside: str

    def now(self) -> Service:
        """The service as it is now."""
        return codec.decode(Service, self.swarm.manager.ask("service", reference=self.web.id))

    @property
    def vip(self) -> str:
        """Its virtual address on n1."""
        return str(next(one.ip for one in self.web.addresses if one.network == self._n1).ip)

    @property
    def _n1(self) -> str:
        return self.web.spec.networks[0].network

    def answering(self) -> set[str]:
        """Tasks that answer to whoever asks at either place, as often as there are tasks."""
        times = range(len(self.swarm.running(self.web)))
        door = self.swarm.machines[1].address
        with suppress(OSError):
            doors = {ask(self.outside, door, 8080, seconds=2.0) for _ in times}
            return doors & {ask(self.inside, self.vip, seconds=2.0) for _ in times}
        return set()

    def chooses_by(self) -> str:
        """The firewall by whose rules the first host's balancer of n1 chooses a task."""
        layout = self.swarm.machines[0].layout
        place = layout.namespace(balancer_sandbox(self._n1, False))
        rules = within(place, "iptables-save")
        return "iptables" if "-m statistic" in rules else "nftables"

    def meet(self, count: int) -> None:
        """Ask at each place until so many tasks have answered there."""
        doors = ((self.outside, self.swarm.machines[1].address, 8080), (self.inside, self.vip, 80))
        for place, ip, port in doors:
            met: set[str] = set()
            end = time.monotonic() + PATIENCE
            while len(met) < count:
                met.add(ask(place, ip, port, seconds=PATIENCE))
                assert time.monotonic() < end, f"only {met} have answered at {ip}:{port}"

    @contextmanager
    def under_load(self) -> Iterator[tuple[Load, Load]]:
        """Connections to the port of the second node, and to the virtual address on the first."""
        with (
            load(self.outside, self.swarm.machines[1].address, 8080) as door,
            load(self.inside, self.vip, 80) as vip,
        ):
            yield door, vip


@pytest.fixture(params=["iptables"])
def site(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """The site, whose hosts have the firewall that the parameter names."""
    (tmp_path / "config.json").write_text(f'{{"firewall-backend": "{request.param}"}}')
    monkeypatch.setenv("PLUMB_CONFIG", str(tmp_path / "config.json"))
    with hosts(2) as (manager, worker):
        for machine in (manager, worker):
            machine.within("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        worker.join(manager.init()["worker"], manager)
        swarm = Swarm(manager, worker)
        words = f"network create -d overlay --attachable --subnet {N1}0/24 n1"
        manager.plumb(*words.split())
        manager.plumb("run", "-d", "--name", "c1", "--network", "n1", "sleep", "10000")
        ident = manager.plumb("inspect", "--format", "{{.Id}}", "c1").strip()
        inside = manager.layout.namespace(ident)
        outside = str(Path(manager.netns).with_name("switch"))
        within(outside, "ip addr add 192.0.2.1/24 dev br0")
        web = swarm.create("web", "n1", replicas=3, **WEB)
        made = Site(swarm, web, outside, inside)
        until(lambda: len(made.answering()) == 3)
        yield made


@pytest.mark.parametrize("order", list(Order))
@BY_EITHER
def test_a_rolling_update_refuses_nobody(
    site: Site, order: Order, request: pytest.FixtureRequest
) -> None:
    firewall = request.node.callspec.params["site"]
    assert site.chooses_by() == firewall
    update = UpdatePolicy(parallelism=1, delay=0.5, monitor=1.0, order=order)
    before = {one.id for one in site.swarm.running(site.web)}
    with site.under_load() as loads:
        spec = replace(site.now().spec, update=update, environment=("VERSION=2",))
        site.swarm.update(site.web, spec)
        until(lambda: site.now().update.state is UpdateState.COMPLETED)
        after = {one.id for one in site.swarm.running(site.web)}
        until(lambda: site.answering() == after)
    assert not before & after
    for one in loads:
        assert not one.errors
        assert one.answers
        assert set(one.answers) <= before | after


def test_a_task_that_is_killed_costs_what_it_had_in_hand(site: Site) -> None:
    """Connections that it would have had until its end is known; then the others have all."""
    victim = site.swarm.running(site.web)[0]
    with site.under_load() as during:
        until(lambda: victim.id in site.answering())
        _kill(site, victim)
        until(lambda: len(site.answering() - {victim.id}) == 3)
    with site.under_load() as after:
        until(lambda: len(site.answering()) == 3)
        time.sleep(1.0)  # of load: what is left of the task must not be met
    for one in during:
        assert one.errors.keys() <= REFUSED
        assert one.errors.total() <= one.total / 2
    for one in after:
        assert not one.errors
        assert victim.id not in one.answers


def _kill(site: Site, task: Task) -> None:
    """Kill a task's command, as a lack of memory does."""
    name = task.name("web")
    machine = next(one for one in site.swarm.machines if name in one.plumb("ps"))
    pid = machine.plumb("inspect", "--format", "{{.State.Pid}}", name).strip()
    os.kill(int(pid), signal.SIGKILL)


def _there(site: Site) -> list[Task]:
    """Tasks that run, those that are about to end among them."""
    return [one for one in site.swarm.tasks(site.web) if one.state is TaskState.RUNNING]


def test_a_task_that_is_killed_is_gone_from_the_names_at_once(site: Site) -> None:
    """Within a second; the deadline is a busy machine's."""
    victim = site.swarm.running(site.web)[0]
    own = str(next(place.ip.ip for place in victim.places if str(place.ip.ip).startswith(N1)))
    assert own in _named(site)
    _kill(site, victim)
    began = time.monotonic()
    until(lambda: own not in _named(site))
    assert time.monotonic() - began < 10


def _named(site: Site) -> set[str]:
    """Addresses of tasks.web, as a container of n1 is told them."""
    with entered(site.inside):
        asked = dns.message.make_query("tasks.web.", "A")
        answer = dns.query.udp(asked, "127.0.0.11", timeout=10)
    return {str(item) for found in answer.answer for item in found}


def test_a_new_task_answers_soon(site: Site) -> None:
    """Some time is its command's own: to start, and to be found healthy."""
    before = {one.id for one in site.swarm.running(site.web)}
    began = time.monotonic()
    site.swarm.update(site.web, replace(site.now().spec, replicas=4))
    until(lambda: ask(site.inside, site.vip, seconds=20.0) not in before)
    assert time.monotonic() - began < 30


def test_scaling_up_and_down_refuses_nobody(site: Site) -> None:
    few = site.now().spec
    with site.under_load() as loads:
        for count in (1, 20, 1):
            site.swarm.update(site.web, replace(few, replicas=count))
            until(lambda: len(_there(site)) == count)  # noqa: B023
            site.meet(count)
    for one in loads:
        assert not one.errors
        assert one.answers
