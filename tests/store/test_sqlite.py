"""The store: what is kept, who has which address, what exists and whose it is, and the journal."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from plumb.errors import Broken, Conflict, Invalid
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.paths import Layout
from plumb.model.ports import Port
from plumb.store import codec, sqlite_schema
from plumb.store.change import MANY, Change
from plumb.store.sqlite import SqliteStore
from plumb.store.writers_lock import writers_turn
from plumb.things.layer3 import Sysctl
from plumb.things.links import Bridge, Up

NET = ip_network("10.9.0.0/24")
NET6 = ip_network("fd09::/64")
ONE, TWO, SIX = ip_address("10.9.0.1"), ip_address("10.9.0.2"), ip_address("fd09::1")
ANY = ip_address("0.0.0.0")
BRIDGE, UP = Bridge("br0", "02:00:00:00:00:01"), Up("br0")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(Layout(str(tmp_path / "root")), create=True)
    yield made
    made.close()


def net(ident: str, name: str = "n", number: int = 1) -> Network:
    """A network."""
    return Network(ident * 64, name, "bridge", number=number)


def apply(store: SqliteStore, change: Change) -> None:
    """One operation, begun and finished."""
    store.finish(store.begin([], [], change), change)


# -- the intent ---------------------------------------------------------------


def test_what_was_put_is_found(store: SqliteStore) -> None:
    """By id, by name, by a prefix, and in the order of numbers."""
    apply(store, Change(put=(net("b", "second", 2), net("a", "first", 1))))
    assert store.get(Network, "a" * 64) == store.named(Network, "first") == net("a", "first", 1)
    assert [found.name for found in store.all(Network)] == ["first", "second"]
    assert [found.name for found in store.prefixed(Network, "bb")] == ["second"]
    assert store.prefixed(Network, "c") == []
    assert store.get(Sandbox, "a" * 64) is None


def test_put_again_is_replace(store: SqliteStore) -> None:
    """The id says which."""
    apply(store, Change(put=(net("a", "old"),)))
    apply(store, Change(put=(net("a", "new"),)))
    assert [found.name for found in store.all(Network)] == ["new"]


def test_a_name_is_nobody_s_twice(store: SqliteStore) -> None:
    """The file itself refuses, and who has the name keeps it."""
    apply(store, Change(put=(net("a"), Sandbox("a" * 64, "c1"))))
    for second in (net("b"), Sandbox("b" * 64, "c1")):
        with pytest.raises(sqlite3.IntegrityError):
            apply(store, Change(put=(second,)))
    assert store.all(Network) == [net("a")]
    assert [box.id[0] for box in store.all(Sandbox)] == ["a"]


def test_names_pass_from_one_to_another_in_one_change(store: SqliteStore) -> None:
    """In whatever order the change has them."""
    apply(store, Change(put=(net("a", "one"), net("b", "two"))))
    apply(store, Change(put=(net("b", "one"), net("a", "three"))))
    assert {found.id[0]: found.name for found in store.all(Network)} == {"a": "three", "b": "one"}


def test_endpoints_of_a_network_and_of_a_sandbox(store: SqliteStore) -> None:
    """In the order in which they were made."""
    ends = [
        Endpoint(c * 64, network, box, "v" + c, "eth0", "02:00:00:00:00:01", number=i)
        for i, (c, network, box) in enumerate((("1", "n", "x"), ("2", "n", "y"), ("3", "m", "x")))
    ]
    apply(store, Change(put=tuple(reversed(ends))))
    assert store.endpoints(network="n") == ends[:2]
    assert store.endpoints(sandbox="x") == [ends[0], ends[2]]


def test_numbers_go_up(store: SqliteStore) -> None:
    """One more than the highest."""
    assert store.number(Network) == 1
    apply(store, Change(put=(net("a", "a", 7),)))
    assert store.number(Network) == 8


def test_what_was_dropped_is_gone(store: SqliteStore) -> None:
    """Only that one."""
    apply(store, Change(put=(net("a", "a"), net("b", "b"))))
    apply(store, Change(drop=(("network", "a" * 64),)))
    assert [found.name for found in store.all(Network)] == ["b"]


# -- addresses ---------------------------------------------------------------


def test_addresses_have_owners(store: SqliteStore) -> None:
    """Per subnet, so that networks may overlap."""
    apply(store, Change(addresses=((NET, ONE, "a"), (NET6, SIX, "a"))))
    assert store.taken(NET, ONE)
    assert store.holder(NET, ONE) == "a"
    assert not store.taken(NET, TWO)
    assert not store.taken(ip_network("10.9.0.0/16"), ONE)


def test_released_is_free_again(store: SqliteStore) -> None:
    """All of one owner's, and the hint goes down to the lowest of them."""
    apply(store, Change(addresses=((NET, ONE, "a"), (NET, TWO, "b")), hints=((NET, "", TWO + 1),)))
    apply(store, Change(released=("b",)))
    assert [store.taken(NET, ip) for ip in (ONE, TWO)] == [True, False]
    assert store.hint(NET, "") == TWO
    apply(store, Change(released=("a",)))
    assert store.hint(NET, "") == ONE


def test_an_address_is_nobody_s_twice(store: SqliteStore) -> None:
    """The file itself refuses, and nothing of that change counts."""
    apply(store, Change(addresses=((NET, ONE, "a"),)))
    with pytest.raises(sqlite3.IntegrityError):
        apply(store, Change(put=(net("a"),), addresses=((NET, ONE, "b"),)))
    assert store.holder(NET, ONE) == "a"
    assert store.all(Network) == []


def test_counting_a_part(store: SqliteStore) -> None:
    """Addresses compare by number, not by their text."""
    ips = [ip_address(f"10.9.0.{n}") for n in (9, 10, 100, 200)]
    apply(store, Change(addresses=tuple((NET, ip, "a") for ip in ips)))
    assert store.count(NET, NET) == 4
    assert store.count(NET, ip_network("10.9.0.0/25")) == 3
    assert store.count(NET, ip_network("10.9.0.8/29")) == 2


# -- what exists ---------------------------------------------------------------


def test_a_thing_stays_while_somebody_owns_it(store: SqliteStore) -> None:
    """It goes with its last owner."""
    apply(
        store,
        Change(
            things=((BRIDGE, None), (UP, None)),
            owners=(("a", (BRIDGE.key, UP.key)), ("b", (BRIDGE.key,))),
        ),
    )
    assert store.things() == store.things("a") == [BRIDGE, UP]
    assert sorted(store.owners(BRIDGE.key)) == ["a", "b"]
    apply(store, Change(owners=(("a", ()),)))
    assert store.things() == store.things("b") == [BRIDGE]
    apply(store, Change(owners=(("b", ()),)))
    assert store.things() == []


def test_things_of_many_owners_are_told_by_owner(store: SqliteStore) -> None:
    """In one question, though there are more of them than a statement takes."""
    many = [f"n{number}" for number in range(2 * sqlite_schema.TOGETHER)]
    apply(
        store,
        Change(
            things=((BRIDGE, None), (UP, None)),
            owners=((many[0], (UP.key, BRIDGE.key)), (many[-1], (BRIDGE.key,))),
        ),
    )
    assert store.things_of_owners(many) == {many[0]: [BRIDGE, UP], many[-1]: [BRIDGE]}


def test_things_are_found_by_words_of_theirs(store: SqliteStore) -> None:
    """By each of several, in the order in which they came to be."""
    other = Bridge("br1", "02:00:00:00:00:02")
    made = ((BRIDGE, None), (UP, None), (other, None))
    keys = (BRIDGE.key, UP.key, other.key)
    apply(store, Change(things=made, owners=(("a", keys),)))
    assert store.things_saying("br0") == [BRIDGE, UP]
    assert store.things_saying("br0", "02") == [BRIDGE]
    assert store.things_saying("br2") == []


def test_a_thing_passes_from_one_owner_to_another(store: SqliteStore) -> None:
    """In one change, whichever of the two is named first."""
    apply(store, Change(things=((BRIDGE, None),), owners=(("a", (BRIDGE.key,)),)))
    apply(store, Change(owners=(("a", ()), ("b", (BRIDGE.key,)))))
    assert store.things() == store.things("b") == [BRIDGE]


def test_a_host_port_goes_with_its_endpoint(store: SqliteStore) -> None:
    """It is found by protocol and number, as often as it is published on some address.

    A routed one is none.
    """
    end = Endpoint(
        "e" * 64,
        "n",
        "b",
        "veth0",
        "eth0",
        "",
        ports=(
            Port(80, "tcp", ANY, 8080),
            Port(80, "tcp", ip_address("::"), 8080),
            Port(81, "tcp", ANY, 0),
        ),
    )
    apply(store, Change(put=(end,)))
    assert sorted(store.ports("tcp", 8080), key=str) == [(ANY, end.id), (ip_address("::"), end.id)]
    assert store.ports("udp", 8080) == store.ports("tcp", 0) == []
    apply(store, Change(put=(replace(end, ports=()),)))
    assert store.ports("tcp", 8080) == []
    apply(store, Change(put=(end,)))
    apply(store, Change(drop=(("endpoint", end.id),)))
    assert store.ports("tcp", 8080) == []


def test_what_a_standing_thing_was_is_remembered_from_the_first_time(store: SqliteStore) -> None:
    """A second change does not make plumb's own value the one to go back to."""
    zero, one, two = (Sysctl("net/ipv4/ip_forward", value) for value in "012")
    apply(store, Change(things=((one, zero),), owners=(("a", (one.key,)),)))
    apply(store, Change(things=((two, one),), owners=(("a", (one.key,)),)))
    assert store.thing(one.key) == two
    assert store.previous(one.key) == zero


def test_what_several_standing_things_were_is_read_at_once(store: SqliteStore) -> None:
    """Those that were nothing before, or that nobody knows, are left out."""
    zero, one = (Sysctl("net/ipv4/ip_forward", value) for value in "01")
    new, unknown = Sysctl("net/ipv4/conf/all/arp_ignore", "1"), Sysctl("kernel/none", "1")
    apply(store, Change(things=((one, zero), (new, None)), owners=(("a", (one.key, new.key)),)))
    assert store.previous_of([one.key, new.key, unknown.key]) == {one.key: zero}


def test_the_text_of_a_value_that_was_read_is_what_the_journal_has(store: SqliteStore) -> None:
    """It is not made a second time, whatever the version that wrote it left out."""
    thing = Sysctl("net/ipv4/ip_forward", "1")
    apply(store, Change(things=((thing, None),), owners=(("a", (thing.key,)),)))
    written = '{"name": "net/ipv4/ip_forward", "value":"1"}'
    store._db.execute("UPDATE thing SET json = ?", (written,))
    (read,) = store.things("a")
    assert read == thing
    store.begin([read], [read], Change())
    ((entry,),) = store._db.execute("SELECT json FROM journal").fetchall()
    assert entry.count(written) == 2


def test_who_only_reads_keeps_no_more_texts_with_each_time(store: SqliteStore) -> None:
    """A program that stays may look at its containers for days."""
    count = codec.FEW + 1  # whose values are made anew each time
    things = [Sysctl(f"net/{number}", "1") for number in range(count)]
    keys = tuple(thing.key for thing in things)
    apply(store, Change(things=tuple((each, None) for each in things), owners=(("a", keys),)))
    most = max(len(store.things("a")) and len(store._texts._known) for _ in range(100))
    assert most <= MANY + count


def test_what_was_abandoned_leaves_no_texts(store: SqliteStore) -> None:
    """Nor does an operation that failed."""
    store.abandon(store.begin([], [], Change(put=(net("a"),))))
    assert store._texts._known == {}


def test_an_interrupt_as_a_transaction_begins_ends_it(store: SqliteStore) -> None:
    """Else nothing could be written any more by this process, nor by another."""

    class Interrupted:
        in_transaction = property(lambda self: store._db.in_transaction)

        def execute(self, statement: str) -> None:
            store._db.execute(statement)
            if statement.startswith("BEGIN"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), sqlite_schema.transaction(Interrupted()):  # type: ignore[arg-type]  # what it uses of a connection
        pass
    assert not store._db.in_transaction


def test_remarks(store: SqliteStore) -> None:
    """Empty until made."""
    assert store.meta("host") == ""
    apply(store, Change(meta=(("host", "x"),)))
    assert store.meta("host") == "x"


# -- a change that is written ahead ------------------------------------------------


@pytest.fixture
def reader(store: SqliteStore) -> Iterator[SqliteStore]:
    """Somebody else who reads the same file."""
    made = SqliteStore(store._layout)
    yield made
    made.close()


def test_a_prepared_change_counts_when_it_is_finished(
    store: SqliteStore, reader: SqliteStore
) -> None:
    """Nobody else sees it before, and its journal entry stands until then."""
    change = Change(put=(net("a"),))
    number = store.begin([], [], change)
    store.prepare(number, change)
    assert reader.all(Network) == []
    assert [entry.number for entry in reader.unfinished()] == [number]
    store.finish(number, change)
    assert reader.all(Network) == [net("a")]
    assert reader.unfinished() == []


def test_a_prepared_change_is_undone(store: SqliteStore, reader: SqliteStore) -> None:
    """The operation has failed: its journal entry is there for who takes back what it did."""
    change = Change(put=(net("a"),))
    number = store.begin([], [], change)
    store.prepare(number, change)
    store.rollback()
    assert store.all(Network) == []
    assert [entry.number for entry in store.unfinished()] == [number]
    store.abandon(number)
    apply(store, Change(put=(net("b"),)))
    assert reader.all(Network) == [net("b")]


def test_what_could_not_be_prepared_is_written_at_the_end(
    store: SqliteStore, reader: SqliteStore
) -> None:
    """As where the disk was full for a moment, or somebody else had the file."""
    change = Change(put=(net("a"),))
    number = store.begin([], [], change)
    store._db.execute("PRAGMA busy_timeout = 0")
    reader._db.execute("BEGIN IMMEDIATE")
    store.prepare(number, change)
    reader._db.execute("ROLLBACK")
    assert store.all(Network) == []
    store.finish(number, change)
    assert reader.all(Network) == [net("a")]


def test_a_prepared_change_waits_for_the_disk(store: SqliteStore) -> None:
    """A command that has succeeded outlasts a power cut, whenever it was written."""
    change = Change(put=(net("a"),))
    number = store.begin([], [], change)
    store.prepare(number, change)
    full, normal = 2, 1
    assert store._db.execute("PRAGMA synchronous").fetchone() == (full,)
    store.finish(number, change)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (normal,)


# -- the journal ---------------------------------------------------------------


def test_what_was_begun_is_read_back_whole(store: SqliteStore) -> None:
    """By whoever comes after, from the file alone."""
    change = Change(
        put=(net("a"), Sandbox("b" * 64, "box")),
        drop=(("network", "c"),),
        addresses=((NET, ONE, "a"), (NET6, SIX, "a")),
        released=("x",),
        hints=((NET, "10.9.0.0/25", TWO),),
        things=((BRIDGE, None), (Sysctl("a/b", "1"), Sysctl("a/b", "0"))),
        owners=(("o", (BRIDGE.key,)),),
        meta=(("k", "v"),),
    )
    number = store.begin([UP], [BRIDGE, UP], change)
    assert store.unfinished() == [(number, [UP], [BRIDGE, UP], change)]
    assert store.all(Network) == []


def test_finished_counts_and_is_forgotten(store: SqliteStore) -> None:
    """The change is there, the journal empty."""
    change = Change(put=(net("a"),))
    store.finish(store.begin([], [], change), change)
    assert store.unfinished() == []
    assert store.all(Network) == [net("a")]


def test_abandoned_is_forgotten(store: SqliteStore) -> None:
    """And nothing has changed."""
    store.abandon(store.begin([], [], Change(put=(net("a"),))))
    assert store.unfinished() == []
    assert store.all(Network) == []


# -- the file ---------------------------------------------------------------


def test_a_store_that_is_not_there_reads_as_empty(tmp_path: Path) -> None:
    """And is not made by reading."""
    layout = Layout(str(tmp_path / "root"))
    assert SqliteStore(layout).all(Network) == []
    assert not (tmp_path / "root").exists()


def test_the_root_is_root_s_own(tmp_path: Path) -> None:
    """Nobody else reads it."""
    layout = Layout(str(tmp_path / "a" / "root"))
    SqliteStore(layout, create=True).close()
    assert (os.stat(layout.root).st_mode & 0o777, os.stat(layout.database).st_mode & 0o777) == (
        0o700,
        0o600,
    )


def test_what_was_kept_outlives_the_process(tmp_path: Path) -> None:
    """Another store on the same root reads it."""
    layout = Layout(str(tmp_path))
    first = SqliteStore(layout, create=True)
    apply(first, Change(put=(net("a"),)))
    assert SqliteStore(layout).all(Network) == [net("a")]
    first.close()
    assert SqliteStore(layout).all(Network) == [net("a")]


def test_a_reset_may_come_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the whole root away, between two system calls; another is made then."""
    layout = Layout(str(tmp_path / "root"))
    SqliteStore(layout, create=True).close()
    connect = sqlite_schema.connect

    def after_a_reset(where: str) -> sqlite3.Connection:
        monkeypatch.setattr(sqlite_schema, "connect", connect)
        shutil.rmtree(layout.root)
        return connect(where)

    monkeypatch.setattr(sqlite_schema, "connect", after_a_reset)
    made = SqliteStore(layout, create=True)
    assert made.current
    made.close()


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    """It is said to be broken, and left as it is."""
    layout = Layout(str(tmp_path))
    Path(layout.database).write_bytes(b"not a database at all, " * 100)
    with pytest.raises(Broken, match="cannot be used"):
        SqliteStore(layout)
    assert Path(layout.database).read_bytes().startswith(b"not a database")


def test_a_store_of_an_earlier_version_is_brought_up(tmp_path: Path) -> None:
    """What it holds stays, what it lacks is added."""
    layout = Layout(str(tmp_path))
    first = SqliteStore(layout, create=True)
    apply(first, Change(put=(net("a"),)))
    first.close()
    with sqlite3.connect(layout.database) as db:
        db.execute("DROP TABLE port")
        db.execute("DROP TABLE remote")
        db.execute("DROP TABLE service")
        db.execute("PRAGMA user_version = 1")
    db.close()
    again = SqliteStore(layout)
    assert again.all(Network) == [net("a")]
    assert (again.ports("tcp", 80), again.remotes("a"), again.services("a")) == ([], [], [])


def test_a_store_of_a_later_version(tmp_path: Path) -> None:
    """It is refused, not guessed at."""
    layout = Layout(str(tmp_path))
    SqliteStore(layout, create=True).close()
    with sqlite3.connect(layout.database) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Broken, match="version 99"):
        SqliteStore(layout)


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="cannot make the root"):
        SqliteStore(Layout(str(tmp_path / "file" / "root")), create=True)


def test_writers_take_turns(store: SqliteStore, tmp_path: Path) -> None:
    """The second waits until the first has let go."""
    other = SqliteStore(Layout(str(tmp_path / "root")))
    seen: list[str] = []

    def wait() -> None:
        with other.lock():
            seen.append("second")

    with store.lock():
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.05)
        seen.append("first")
    thread.join(30)
    assert seen == ["first", "second"]
    other.close()


def test_nobody_waits_for_ever(store: SqliteStore, tmp_path: Path) -> None:
    """After a while it is an error that says who is in the way."""
    mine = writers_turn(str(tmp_path / "root"), str(tmp_path / "root/queue"), seconds=0.01)
    with store.lock(), pytest.raises(Conflict, match="another plumb is at work"), mine:
        pass
