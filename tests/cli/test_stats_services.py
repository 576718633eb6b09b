"""plumb stats --services: connections of each task, as the balancer of this host counts them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from plumb.kernel.netns.namespaces import entered
from tests.host.service_hosts import VIP, ServiceHost
from tests.host.test_services import MEANS, balanced
from tests.waiting import until

pytestmark = pytest.mark.needs("vxlan")


@pytest.fixture(params=MEANS)
def means(request: pytest.FixtureRequest) -> str:
    """A way of balancing."""
    return str(request.param)


@pytest.fixture
def here(means: str) -> Iterator[ServiceHost]:
    """A host with two tasks of web on n1, and a client c1."""
    with balanced(means) as made:
        made.start(2)
        made.run("c1", "n1")
        made.balance(made.service())
        yield made


@contextmanager
def connected(here: ServiceHost, count: int) -> Iterator[None]:
    """So many connections to the service, each of which has heard from its task."""
    with ExitStack() as stack, entered(here.inside("c1")):
        for _ in range(count):
            client = stack.enter_context(socket.create_connection((str(VIP.ip), 80), 10))
            assert client.recv(64)
        yield


def rows(here: ServiceHost, *words: str) -> list[Any]:
    """What `stats` says of services, for programs."""
    text = here.lab.plumb("stats", "--services", "--json", *words).stdout
    return [json.loads(line) for line in text.splitlines()]


def test_each_task_has_its_connections(here: ServiceHost) -> None:
    """Six open ones, three for each."""
    with connected(here, 6):
        found = [(row["Task"], row["Network"], row["Active"]) for row in rows(here, "web")]
    assert found == [("web1", "n1", 3), ("web2", "n1", 3)]


def test_only_ipvs_counts_what_there_was(here: ServiceHost, means: str) -> None:
    """Its kernel thread adds up what each processor has counted, every two seconds."""
    with connected(here, 6):
        pass
    counted = [3, 3] if means == "ipvs" else [None, None]
    until(lambda: [row["Connections"] for row in rows(here, "web")] == counted, "they are counted")


def test_a_task_without_weight_gets_none(here: ServiceHost) -> None:
    here.balance(here.service(backends=here.backends("n1", web1=0)))
    with connected(here, 4):
        found = {row["Task"]: (row["Weight"], row["Active"]) for row in rows(here)}
    assert found == {"web1": (0, 0), "web2": (1, 4)}


def test_the_table_has_a_line_for_each_task(here: ServiceHost) -> None:
    lines = here.lab.plumb("stats", "--services").stdout.splitlines()
    assert lines[0].split()[:5] == ["SERVICE", "NETWORK", "TASK", "ADDRESS", "WEIGHT"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["web", "n1", "web1"],
        ["web", "n1", "web2"],
    ]


def test_an_unknown_service_is_no_empty_answer(here: ServiceHost) -> None:
    refused = here.lab.plumb("stats", "--services", "shop", status=1).stderr
    assert refused.startswith("plumb: no balancer of this host has a service shop; ")
