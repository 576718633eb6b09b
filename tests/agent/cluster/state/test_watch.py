"""Watches: no change is missed, whatever happens to etcd or to its history."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import chain

import pytest

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd import Etcd
from plumb.agent.cluster.state.etcd.operations import Delete, Put
from plumb.agent.cluster.state.watch import Watch
from tests.agent.cluster.state.etcd_process import Members
from tests.waiting import until

PREFIX = keys.ENDPOINTS
A, B, C = (f"{PREFIX}n1/{name}" for name in "abc")


class Mirror:
    """A reader that keeps the keys as a watch tells them."""

    def __init__(self, watch: Watch) -> None:
        self.keys: dict[str, str] = {}
        self.batches: list[list[tuple[str, str | None]]] = []
        self.revisions: list[int] = []
        self.watch = watch
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        for revision, changes in self.watch:
            self.revisions.append(revision)
            for key, value in changes:
                if value is None:
                    self.keys.pop(key, None)
                else:
                    self.keys[key] = value
            self.batches.append(changes)


@contextmanager
def mirrored(watch: Watch) -> Iterator[Mirror]:
    made = Mirror(watch)
    try:
        yield made
    finally:
        watch.close()
        made.thread.join(60)
        assert not made.thread.is_alive()


def test_a_watch_begins_with_a_listing(etcd: Etcd) -> None:
    etcd.put(A, "1")
    with mirrored(Watch(etcd, PREFIX)) as mirror:
        until(lambda: mirror.batches)
        assert mirror.batches[0] == [(A, "1")]


def test_changes_follow(etcd: Etcd) -> None:
    with mirrored(Watch(etcd, PREFIX)) as mirror:
        until(lambda: mirror.batches)
        etcd.put(A, "1")
        until(lambda: mirror.keys == {A: "1"})
        etcd.delete(Delete(A))
        until(lambda: mirror.keys == {})


def test_other_keys_are_not_told(etcd: Etcd) -> None:
    with mirrored(Watch(etcd, PREFIX)) as mirror:
        until(lambda: mirror.batches)
        etcd.put(keys.SWARM, "1")
        etcd.put(A, "1")
        until(lambda: mirror.keys)
        assert mirror.keys == {A: "1"}


def test_what_one_transaction_does_comes_in_one_batch(etcd: Etcd) -> None:
    with mirrored(Watch(etcd, PREFIX)) as mirror:
        until(lambda: mirror.batches)
        etcd.txn([], [Put(A, "1"), Put(B, "2")])
        until(lambda: len(mirror.batches) > 1)
        assert mirror.batches[1] == [(A, "1"), (B, "2")]


def test_a_revision_continues_where_the_caller_was(etcd: Etcd) -> None:
    revision = etcd.put(A, "1")
    etcd.put(B, "2")
    with mirrored(Watch(etcd, PREFIX, revision, [A])) as mirror:
        until(lambda: mirror.batches)
        assert mirror.batches[0] == [(B, "2")]


def test_a_removal_during_a_compaction_is_told(etcd: Etcd) -> None:
    revision = etcd.put(A, "1")
    etcd.delete(Delete(A))
    etcd.compact(etcd.put(B, "2"))
    with mirrored(Watch(etcd, PREFIX, revision, [A])) as mirror:
        until(lambda: [*chain(*mirror.batches)] == [(A, None), (B, "2")])


def test_an_expired_lease_is_told_as_a_removal(etcd: Etcd) -> None:
    with mirrored(Watch(etcd, PREFIX)) as mirror:
        lease = etcd.lease_grant(1)
        etcd.put(A, "1", lease)
        until(lambda: mirror.keys == {A: "1"})
        until(lambda: mirror.keys == {})


def test_many_changes_at_once_are_all_told(etcd: Etcd) -> None:
    """etcd sends those that a watch has missed in portions."""
    revision = etcd.put(A, "1")
    for start in range(0, 3000, 100):
        etcd.txn([], [Put(f"{PREFIX}n1/{n}", "1") for n in range(start, start + 100)])
    for n in range(1500):
        etcd.put(C, str(n))
    with mirrored(Watch(etcd, PREFIX, revision, [A])) as mirror:
        until(lambda: len(mirror.keys) == 3001 and mirror.keys[C] == "1499")
    assert mirror.revisions == sorted(set(mirror.revisions))


def test_a_watch_that_is_closed_ends(etcd: Etcd) -> None:
    with mirrored(Watch(etcd, PREFIX)) as mirror:
        until(lambda: mirror.batches)


# -- faults ---------------------------------------------------------------------------


def test_a_killed_etcd_is_waited_for_and_nothing_is_missed(own: Members) -> None:
    member = own.each[0]
    with closing(member.client(patience=60)) as etcd, mirrored(Watch(etcd, PREFIX)) as mirror:
        etcd.put(A, "1")
        until(lambda: mirror.keys == {A: "1"})
        member.kill()
        until(lambda: mirror.watch.broken)
        member.start()
        etcd.put(B, "2")
        until(lambda: mirror.keys == {A: "1", B: "2"})
        until(lambda: mirror.watch.broken is None)


def test_a_compaction_while_the_stream_is_away_is_no_gap(own: Members) -> None:
    member = own.each[0]
    with closing(member.client(patience=60)) as etcd:
        etcd.put(A, "1")
        watch = Watch(member.client(patience=0), PREFIX)
        with mirrored(watch) as mirror:
            until(lambda: mirror.keys == {A: "1"})
            hidden = member.folder / "hidden"
            until(lambda: watch._stream and watch._stream.sock)  # it comes after the listing
            (member.folder / "etcd:0").rename(hidden)  # the watch finds no etcd when it breaks
            _break(watch)
            until(lambda: watch.broken)
            etcd.delete(Delete(A))
            etcd.compact(etcd.put(B, "2"))
            hidden.rename(member.folder / "etcd:0")
            until(lambda: mirror.keys == {B: "2"})


def test_one_that_is_closed_while_it_connects_ends(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, connect = Watch(etcd, PREFIX), etcd.stream

    def closed_meanwhile(asked: str) -> HTTPConnection:
        watch.close()
        return connect(asked)

    monkeypatch.setattr(etcd, "stream", closed_meanwhile)
    mirror = Mirror(watch)
    mirror.thread.join(60)
    assert not mirror.thread.is_alive()


@pytest.mark.parametrize("count", [5])
def test_a_broken_stream_misses_nothing(etcd: Etcd, count: int) -> None:
    watch = Watch(etcd, PREFIX)
    with mirrored(watch) as mirror:
        until(lambda: mirror.batches)
        for number in range(count):
            _break(watch)
            etcd.put(A, str(number))
        until(lambda: mirror.keys == {A: str(count - 1)})


def _break(watch: Watch) -> None:
    """Break a watch's stream, as a member that goes away does."""
    import socket

    stream = watch._stream
    if stream is not None and stream.sock is not None:
        stream.sock.shutdown(socket.SHUT_RDWR)
