"""Command lines of courses on services, word for word, on three hosts.

A command is added to each, where Docker has an image."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from plumb.lab.hosts import Hosts
from tests import REPOSITORY
from tests.host.swarm_hosts import swarm
from tests.waiting import until

pytestmark = pytest.mark.needs("vxlan")
HELLO = "cd $(mktemp -d) && hostname >index.html && exec python3 -m http.server -b 0.0.0.0 {port}"


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """Three nodes."""
    with swarm(3) as made:
        yield made


Create = Callable[..., str]


@pytest.fixture
def create(hosts: Hosts) -> Iterator[Create]:
    """A function that types a command line of the course, and adds a command that answers."""
    made: list[str] = []

    def typed(line: str, port: int = 80) -> str:
        command = ("sh", "-c", HELLO.format(port=port))
        said = hosts["h1"].plumb(*line.split(), *command).stdout.split()
        made.append(said[0])
        return said[0]

    yield typed
    for ident in made:
        hosts["h1"].plumb("service", "rm", ident)
    until(lambda: not hosts["h1"].plumb("ps", "-q").stdout)


def asked(hosts: Hosts, target: str, times: int = 1, source: str = "h1") -> Counter[str]:
    """Answers to so many requests from a host to port 8080 of another one."""
    curl = f"for n in $(seq {times}); do curl -s -m 10 http://{hosts[target].address}:8080/; done"
    return Counter(hosts[source].run("sh", "-c", curl, check=False).stdout.split())


def test_three_replicas_share_a_port_of_every_node(hosts: Hosts, create: Create) -> None:
    """Thirty requests to each node; docs/services.md has the table."""
    create("service create --name myapp --replicas 3 --publish published=8080,target=80")
    until(lambda: all(len(asked(hosts, host.name, 3)) == 3 for host in hosts))
    found = {host.name: sorted(asked(hosts, host.name, 30).values()) for host in hosts}
    assert found == {"h1": [10, 10, 10], "h2": [10, 10, 10], "h3": [10, 10, 10]}
    page = (REPOSITORY / "docs/services.md").read_text()
    table = re.findall(r"^\| (h\d) \| (\d+) \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert {name: [int(n) for n in counts] for name, *counts in table} == found


def test_a_global_service_publishes_on_its_own_node(hosts: Hosts, create: Create) -> None:
    """Past the mesh: each node answers by its own task."""
    create("service create --mode global --publish mode=host,target=80,published=8080 --name=nginx")
    until(lambda: all(asked(hosts, host.name) for host in hosts))
    answers = {host.name: set(asked(hosts, host.name, 6)) for host in hosts}
    assert all(len(each) == 1 for each in answers.values())
    assert len(set.union(*answers.values())) == 3


def test_a_service_on_the_hosts_own_network(hosts: Hosts, create: Create) -> None:
    """Its task is a program of the host."""
    ident = create("service create --network host", port=8080)
    node = hosts["h1"].plumb("service", "ps", "--format", "{{.Node}}", ident).stdout.strip()
    until(lambda: asked(hosts, node) == {node: 1})
    assert [host.name for host in hosts if asked(hosts, host.name)] == [node]


def test_a_service_without_an_address_of_its_own(hosts: Hosts, create: Create) -> None:
    """Its name stands for all tasks, in any order."""
    create("service create --endpoint-mode dnsrr --name rr --replicas 3 --network n1")
    hosts["h2"].plumb("run", "-d", "--name", "c1", "--network", "n1", "sleep", "1000")
    ask = "import socket; print(*socket.gethostbyname_ex('rr')[2])"
    said = hosts["h2"].plumb("exec", "c1", "python3", "-c", ask).stdout.split()
    hosts["h2"].plumb("rm", "-f", "c1")
    assert len(set(said)) == 3
