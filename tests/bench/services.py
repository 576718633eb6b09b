"""Connections to a service of three tasks: by its virtual address and by its port.

Beside them, one task asked directly, and HAProxy in a container as Debian has it. All is on one
host. From a change of the service's tasks until the balancer has it: what a host needs of the time
from a task's death until nobody is sent there, and from `scale` to a new task's first answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from plumb.kernel.netns.namespaces import entered
from plumb.model.ports import ServicePort
from tests.bench.figures import Report, rounds, timed, warmed
from tests.bench.proxy import SHORT, greet, rate, serving
from tests.host.service_hosts import VIP, ServiceHost, service_host
from tests.labs import HOST_IP, within

DIRECT, BY_VIP, BY_PORT, HAPROXY = "one task", "virtual address", "published port", "HAProxy"
CONFIGURATION = """
defaults
    mode tcp
    timeout connect 10s
    timeout client 10s
    timeout server 10s
listen web
    bind :{port}
    balance roundrobin
{servers}
"""


def measure(report: Report, connections: int, wanted: int, seconds: float) -> None:
    """By iptables and by nftables."""
    columns = (DIRECT, BY_VIP, BY_PORT, HAPROXY)
    table = report.section("services: short connections, 32 at once", *columns, unit="per second")
    change = report.section("services: a task goes from the balancer, or comes", "goes", "comes")
    for backend in ("iptables", "nftables"):
        with ExitStack() as stack:
            made = stack.enter_context(service_host(firewall_backend=backend))
            ways = _ways(stack, made)
            for number in warmed(wanted, seconds / 2):
                for way, (place, address) in ways.items():
                    with entered(place):
                        found = rate(address, connections)
                    if number:
                        table.add(backend, way, found)
            every = made.backends("n1")
            for _ in rounds(wanted, seconds / 2):
                less, more = made.service(backends=every[1:]), made.service(backends=every)
                change.add(backend, "goes", timed(lambda: made.balance(less)))  # noqa: B023
                change.add(backend, "comes", timed(lambda: made.balance(more)))  # noqa: B023


def _ways(stack: ExitStack, made: ServiceHost) -> dict[str, tuple[str, str]]:
    """Build the service; the namespaces and the addresses to ask from and for."""
    made.join()
    made.start(3, "ingress", "n1", ports=(ServicePort(SHORT, SHORT),))
    for name in made.tasks:
        stack.enter_context(serving(made.inside(name), SHORT, greet))
    for name in ("c1", "edge"):
        made.run(name, "n1")
    made.balance(made.service())
    made.balance(made.published(ports=(ServicePort(SHORT, SHORT),)))
    client = made.inside("c1")
    ways = {
        DIRECT: (client, str(made.backends("n1")[0].ip.ip)),
        BY_VIP: (client, str(VIP.ip)),
        BY_PORT: (made.lab.lan, HOST_IP),
    }
    if shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin"):
        stack.enter_context(_haproxy(made))
        edge = made.host.endpoints(made.host.container("edge"))[0].ip
        assert edge is not None
        ways[HAPROXY] = client, str(edge.ip)
    return ways


@contextmanager
def _haproxy(made: ServiceHost) -> Iterator[None]:
    """HAProxy in the container edge, in front of the tasks."""
    servers = "\n".join(f"    server {end.name} {end.ip.ip}:{SHORT}" for end in made.backends("n1"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "haproxy.cfg")
        file.write_text(CONFIGURATION.format(port=SHORT, servers=servers))
        inside = f"--net={made.inside('edge')}"
        path = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        words = ["nsenter", inside, "haproxy", "-q", "-db", "-f", str(file)]
        with subprocess.Popen(words, env=path) as running:
            try:
                listens = f"until ss -Hltn 'sport = :{SHORT}' | grep -q .; do sleep 0.05; done"
                within(made.inside("edge"), listens)
                yield
            finally:
                running.kill()
