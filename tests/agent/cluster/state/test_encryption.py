"""Keys of encrypted networks: a new one is known everywhere before it is used."""

from __future__ import annotations

import pytest

from plumb.agent.cluster.state import encryption
from plumb.errors import Conflict
from plumb.model.cluster import Encryption
from tests.agent.cluster.state.clusters import Cluster

LATER = encryption.INTERVAL + 1
"""A moment at which a rotation is due, of keys that were made at 0."""


@pytest.fixture
def keyed(cluster: Cluster) -> Cluster:
    """A cluster with keys, which both of its nodes use."""
    encryption.create(cluster.etcd, 0)
    for host in cluster.leases:
        use(cluster, host)
    return cluster


def present(cluster: Cluster) -> Encryption:
    found = encryption.load(cluster.etcd)
    assert found is not None
    return found


def use(cluster: Cluster, host: str) -> None:
    """Report that a host uses the present keys."""
    encryption.report(cluster.etcd, host, present(cluster).numbers, cluster.leases[host])


def test_a_cluster_has_three_keys_and_sends_by_the_middle_one(keyed: Cluster) -> None:
    assert present(keyed).numbers == "1,2,3/2"


def test_keys_are_made_once(keyed: Cluster) -> None:
    before = present(keyed)
    encryption.create(keyed.etcd, 100)
    assert present(keyed) == before


def test_a_rotation_begins_after_twelve_hours(keyed: Cluster) -> None:
    assert not encryption.advance(keyed.etcd, encryption.INTERVAL - 1)
    assert encryption.advance(keyed.etcd, LATER)


def test_a_rotation_goes_in_steps_that_every_node_follows(keyed: Cluster) -> None:
    steps = []
    while encryption.advance(keyed.etcd, LATER):
        steps.append(present(keyed).numbers)
        use(keyed, "h1")
        assert encryption.late(keyed.etcd) == {"h2"}
        assert not encryption.advance(keyed.etcd, LATER)
        use(keyed, "h2")
    assert steps == ["1,2,3/3,2", "1,2,3/3", "2,3,4/3"]


def test_keys_that_stay_are_the_same(keyed: Cluster) -> None:
    before = dict(present(keyed).keys)
    while encryption.advance(keyed.etcd, LATER):
        for host in keyed.leases:
            use(keyed, host)
    after = dict(present(keyed).keys)
    assert {number: after[number] for number in (2, 3)} == {n: before[n] for n in (2, 3)}
    assert after[4] not in before.values()


def test_a_node_that_is_down_holds_no_rotation_up(keyed: Cluster) -> None:
    keyed.etcd.lease_revoke(keyed.leases["h2"])
    encryption.advance(keyed.etcd, LATER)
    use(keyed, "h1")
    assert encryption.advance(keyed.etcd, LATER)


def test_a_rotation_is_begun_at_any_time(keyed: Cluster) -> None:
    encryption.rotate(keyed.etcd)
    assert present(keyed).numbers == "1,2,3/3,2"


def test_one_rotation_at_a_time(keyed: Cluster) -> None:
    encryption.rotate(keyed.etcd)
    with pytest.raises(Conflict, match="under way"):
        encryption.rotate(keyed.etcd)


def test_no_rotation_before_every_node_has_the_present_keys(keyed: Cluster) -> None:
    keyed.join("h3", 2)
    with pytest.raises(Conflict, match="no report of the present keys from h3"):
        encryption.rotate(keyed.etcd)


def test_a_node_without_a_lease_reports_nothing(keyed: Cluster) -> None:
    keyed.etcd.lease_revoke(keyed.leases["h2"])
    other = keyed.leases["h1"]
    encryption.report(keyed.etcd, "h2", "1,2,3/2", other)
    assert encryption.late(keyed.etcd) == set()
    keyed.leases["h2"] = keyed.join("h3", 2)
    assert encryption.late(keyed.etcd) == {"h3"}


def test_no_text_shows_a_key(keyed: Cluster) -> None:
    found = present(keyed)
    assert not any(key in f"{found!r} {found.numbers}" for _, key in found.keys)
