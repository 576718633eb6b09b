"""Fixtures: an etcd that tests share, emptied before each; one that a test may break; a cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.agent.cluster.state import swarm
from plumb.agent.cluster.state.etcd import Etcd
from tests.agent.cluster.state.clusters import Cluster
from tests.agent.cluster.state.etcd_process import Member, Members, members


@pytest.fixture(scope="session")
def shared() -> Iterator[Member]:
    """The one member of an etcd that stays, for all tests of a worker."""
    with members() as made:
        yield made.each[0]


@pytest.fixture
def etcd(shared: Member) -> Iterator[Etcd]:
    """A client of an etcd in which plumb has nothing."""
    client = shared.client()
    swarm.clear(client)
    yield client
    client.close()


@pytest.fixture
def cluster(etcd: Etcd) -> Cluster:
    """A cluster with two nodes, h1 and h2, both alive."""
    return Cluster(etcd, ("h1", "h2"))


@pytest.fixture
def own() -> Iterator[Members]:
    """An etcd of the test's own, to be killed or added to."""
    with members() as made:
        yield made
