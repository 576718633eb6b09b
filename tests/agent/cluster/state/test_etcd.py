"""The client: what etcd answers, and what it says when it does not."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from plumb.agent.cluster.state.etcd import Etcd, TlsUrls, UnixSocket, membership
from plumb.agent.cluster.state.etcd.operations import (
    Compare,
    Delete,
    Get,
    Put,
    absent,
    after,
    below,
    none_but,
    present,
    unchanged,
)
from plumb.agent.cluster.state.etcd.refusals import (
    Compacted,
    EtcdAway,
    EtcdRefused,
    LeaseGone,
    NoQuorum,
)
from plumb.errors import Invalid, KernelRefused
from tests.agent.cluster.state.etcd_process import Members

KEY = "/plumb/x"


def conditions_hold(etcd: Etcd, *compares: Compare) -> bool:
    return etcd.txn(list(compares), [Get(KEY)]).succeeded


# -- keys -----------------------------------------------------------------------------


def test_what_is_put_is_got(etcd: Etcd) -> None:
    etcd.put(KEY, "größer")
    found = etcd.get(KEY)
    assert found is not None
    assert found.value == "größer"


def test_what_is_not_there_is_none(etcd: Etcd) -> None:
    assert etcd.get(KEY) is None


def test_a_range_is_read_in_the_order_of_keys(etcd: Etcd) -> None:
    for name in ("b", "c", "a"):
        etcd.put(KEY + name, name)
    assert [one.value for one in etcd.range(below(KEY)).keys] == ["a", "b", "c"]


def test_a_limit_cuts_a_range_and_the_count_tells(etcd: Etcd) -> None:
    for name in ("b", "c", "a"):
        etcd.put(KEY + name, name)
    found = etcd.range(Get(KEY, after(KEY), limit=2))
    assert (len(found.keys), found.count) == (2, 3)


def test_a_revision_is_read_as_it_was(etcd: Etcd) -> None:
    before = etcd.put(KEY, "1")
    etcd.put(KEY, "2")
    found = etcd.get(KEY, before)
    assert found is not None
    assert found.value == "1"


def test_several_ranges_are_read_at_one_revision(etcd: Etcd) -> None:
    etcd.put(KEY, "1")
    answer = etcd.read_all([Get(KEY), Get(KEY + "2")])
    assert [listing.count for listing in answer.listings] == [1, 0]


def test_deletion_says_how_many_there_were(etcd: Etcd) -> None:
    etcd.put(KEY, "1")
    assert [etcd.delete(Delete(KEY)), etcd.delete(Delete(KEY))] == [1, 0]


# -- transactions ---------------------------------------------------------------------


def test_of_two_that_create_the_same_key_one_succeeds(etcd: Etcd) -> None:
    put = [Put(KEY, "1")]
    assert [etcd.txn([absent(KEY)], put).succeeded for _ in range(2)] == [True, False]


def test_a_refused_transaction_reads_instead(etcd: Etcd) -> None:
    etcd.put(KEY, "1")
    answer = etcd.txn([absent(KEY)], [Put(KEY, "2")], [Get(KEY)])
    assert [one.value for one in answer.listings[0].keys] == ["1"]


def test_presence(etcd: Etcd) -> None:
    etcd.put(KEY, "1")
    assert conditions_hold(etcd, present(KEY))
    assert not conditions_hold(etcd, present(KEY + "2"))


def test_a_key_is_unchanged_until_it_is_written(etcd: Etcd) -> None:
    etcd.put(KEY, "1")
    found = etcd.get(KEY)
    assert conditions_hold(etcd, unchanged(KEY, found))
    etcd.put(KEY, "1")
    assert not conditions_hold(etcd, unchanged(KEY, found))


def test_a_key_that_is_not_there_is_unchanged_until_it_is(etcd: Etcd) -> None:
    assert conditions_hold(etcd, unchanged(KEY, None))
    etcd.put(KEY, "1")
    assert not conditions_hold(etcd, unchanged(KEY, None))


def test_none_but_those_named(etcd: Etcd) -> None:
    for name in ("/a", "/c"):
        etcd.put(KEY + name, "1")
    assert conditions_hold(etcd, *none_but(KEY + "/", ["c", "a"]))
    etcd.put(KEY + "/b", "1")
    assert not conditions_hold(etcd, *none_but(KEY + "/", ["c", "a"]))


# -- leases ---------------------------------------------------------------------------


def test_a_revoked_lease_takes_its_keys_along(etcd: Etcd) -> None:
    lease = etcd.lease_grant(60)
    etcd.put(KEY, "1", lease)
    etcd.lease_revoke(lease)
    assert etcd.get(KEY) is None


def test_a_lease_is_renewed(etcd: Etcd) -> None:
    assert etcd.lease_keepalive(etcd.lease_grant(60)) == 60


def test_a_lease_that_is_gone_cannot_be_renewed(etcd: Etcd) -> None:
    lease = etcd.lease_grant(60)
    etcd.lease_revoke(lease)
    with pytest.raises(LeaseGone):
        etcd.lease_keepalive(lease)


def test_nothing_is_put_under_a_lease_that_is_gone(etcd: Etcd) -> None:
    lease = etcd.lease_grant(60)
    etcd.lease_revoke(lease)
    with pytest.raises(LeaseGone):
        etcd.put(KEY, "1", lease)


def test_revoking_twice_is_no_error(etcd: Etcd) -> None:
    lease = etcd.lease_grant(60)
    etcd.lease_revoke(lease)
    etcd.lease_revoke(lease)
    assert etcd.lease_ttl(lease) <= 0


# -- connections ----------------------------------------------------------------------


def test_threads_share_a_client(etcd: Etcd) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: etcd.put(f"{KEY}/{n}", str(n)), range(80)))
    assert len(etcd.range(below(KEY + "/")).keys) == 80


def test_requests_are_counted(etcd: Etcd) -> None:
    before = etcd.traffic.requests
    etcd.put(KEY, "1")
    assert (etcd.traffic.requests - before, etcd.traffic.sent > 0) == (1, True)


def test_a_url_without_tls_is_no_store() -> None:
    with pytest.raises(Invalid, match="http://192"):
        TlsUrls(("http://192.0.2.1:2379",), "ca", "certificate", "key")


# -- refusals -------------------------------------------------------------------------


def test_a_compacted_revision_is_told(etcd: Etcd) -> None:
    old = etcd.put(KEY, "1")
    etcd.put(KEY, "2")
    etcd.compact(etcd.put(KEY, "3"))
    with pytest.raises(Compacted):
        etcd.get(KEY, old)


def test_a_refusal_has_etcd_s_words(etcd: Etcd) -> None:
    with pytest.raises(EtcdRefused, match=f"cannot read {KEY} .*future revision"):
        etcd.get(KEY, 10**9)


def test_a_dead_process_is_told() -> None:
    with (
        closing(Etcd(UnixSocket("/nowhere/etcd:0"), patience=0)) as etcd,
        pytest.raises(EtcdAway, match="etcd does not run at /nowhere/etcd:0"),
    ):
        etcd.get(KEY)


def test_a_killed_etcd_is_waited_for(own: Members) -> None:
    member = own.each[0]
    with closing(member.client(patience=60)) as etcd:
        etcd.put(KEY, "1")
        member.kill()
        starting = threading.Timer(0.3, member.start)
        starting.start()
        found = etcd.get(KEY)
        starting.join()
    assert found is not None
    assert found.value == "1"


def test_a_silent_etcd_is_not_waited_for_long(own: Members) -> None:
    member = own.each[0]
    with closing(member.client(timeout=0.5)) as etcd:
        etcd.put(KEY, "1")
        member.signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(EtcdAway, match="gave no answer"):
            etcd.put(KEY, "2")
        member.signal(signal.SIGCONT)
    assert time.monotonic() - began < 10


# -- several members ------------------------------------------------------------------


def test_a_member_is_added_and_removed(own: Members) -> None:
    with closing(own.each[0].client()) as etcd:
        second = own.add()
        names = [one.name for one in membership.add(etcd, [second.peer])]
        assert sorted(names) == ["", "m0"]
        second.start()
        second.wait()
        found = {one.name: one.id for one in membership.members(etcd)}
        assert set(found) == {"m0", "m1"}
        left = membership.remove(etcd, found["m1"])
    assert [one.name for one in left] == ["m0"]


def test_what_one_member_writes_the_other_reads(own: Members) -> None:
    with closing(own.each[0].client()) as etcd:
        second = own.add()
        membership.add(etcd, [second.peer])
        second.start()
        second.wait()
        etcd.put(KEY, "1")
    with closing(second.client()) as other:
        found = other.get(KEY)
    assert found is not None
    assert found.value == "1"


def test_a_lost_quorum_is_told_from_a_dead_process_and_comes_back(own: Members) -> None:
    with closing(own.each[0].client(timeout=15)) as etcd:
        for _ in range(2):
            added = own.add()
            membership.add(etcd, [added.peer])
            added.start()
            added.wait()
        own.each[1].kill()
        etcd.put(KEY, "two of three")
        own.each[2].kill()
        with pytest.raises(NoQuorum, match="too few managers"):
            etcd.put(KEY, "one of three")
        own.each[1].start()
        own.each[1].wait()
        assert etcd.put(KEY, "two of three again")


def test_errors_of_the_store_are_plumb_s() -> None:
    assert issubclass(EtcdAway, KernelRefused)
    assert issubclass(NoQuorum, EtcdAway)
