"""What a question about one thing reads of the record, where there are many others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from plumb import Host
from plumb.cli.documents import network_document
from plumb.engine.targets import TargetResolver
from plumb.foreign.values import ForeignHost
from plumb.frozen import replace
from plumb.kernel.system import System
from plumb.store import codec
from tests.memory_host import MemoryHosts

MANY = 60


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with a network of many containers, and one of one."""
    with MemoryHosts(tmp_path / "root") as hosts:
        made = hosts()
        made.create_network("crowd")
        made.create_network("home")
        with made.operation() as op:
            for number in range(MANY):
                op.run(f"c{number}", network="crowd")
        made.run("guest", network="home")
        yield made


@contextmanager
def rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The numbers of rows that statements of the store have read, for the length of a with
    block."""
    read: list[int] = []
    decode = codec.decode_each

    def counted(kind: type[object], texts: Sequence[str]) -> list[object]:
        read.append(len(texts))
        return decode(kind, texts)

    with monkeypatch.context() as patched:
        patched.setattr(codec, "decode_each", counted)
        yield read


def test_a_network_is_shown_without_the_containers_of_another(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`network inspect home`."""
    with rows(monkeypatch) as read:
        found = network_document(host, host.network("home"))
    assert [box["Name"] for box in found["Containers"].values()] == ["guest"]
    assert sum(read) < MANY / 4


def test_targets_are_read_together(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """`trace` needs the names of all; a statement for each would be most of its time."""
    with rows(monkeypatch) as read:
        found = TargetResolver(host, ForeignHost())
    assert len(found.own) == MANY + 1
    assert all(len(member.ends) == 1 for member in found.own)
    assert len(read) < 10


def test_an_operation_reads_nothing_twice(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a new container it asks whether its name is free, and which endpoints it has; the network
    it reads once for all."""
    with rows(monkeypatch) as read, host.operation() as op:
        for number in range(MANY):
            op.run(f"more{number}", network="crowd")
        asked = len(read)
    assert asked < 2 * MANY + 10


def test_an_operation_looks_at_the_claim_once(tmp_path: Path) -> None:
    """Behind a removal a look would wait until the kernel has taken the namespace down."""
    looks: list[int] = []

    def claimed() -> None:
        looks.append(1)

    with MemoryHosts(tmp_path / "root") as hosts:
        host = hosts(replace(System(), claimed=claimed))
        host.create_network("home")
        looks.clear()
        host.run("guest", network="home")
        host.remove("guest", force=True)
    assert len(looks) == 2
