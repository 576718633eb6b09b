"""The pages of memory that commands write to are copied before there is a command."""

from __future__ import annotations

import mmap
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plumb.kernel.process.memory import pages
from plumb.prefork import written_pages
from plumb.prefork.written_pages import WrittenPages

NUMBER = 1000
"""Pages of the memory that is written to, more than what is worth learning."""


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    """Memory that a fork has a copy of, with something in each page."""
    with closing(mmap.mmap(-1, NUMBER * pages.PAGE, flags=mmap.MAP_PRIVATE)) as memory:
        _write(memory)
        yield memory


def _write(memory: mmap.mmap) -> None:
    for place in range(0, len(memory), pages.PAGE):
        memory[place] = 1 + memory[place] % 7


def _write_part(memory: mmap.mmap, quarter: int) -> None:
    part = len(memory) // 4
    for place in range(quarter * part, (quarter + 1) * part, pages.PAGE):
        memory[place] = 1 + memory[place] % 7


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _in_fork(work: Callable[[], int]) -> int:
    """What some work in a fork comes to."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with open(reader, encoding="ascii") as file:
        return int(file.read())


def _faults_of_write(memory: mmap.mmap, known: WrittenPages, awaited: bool = False) -> int:
    """Page faults when a worker that has had its time to wait writes to the memory."""

    def work() -> int:
        known.copy(lambda: awaited)
        before = _faults()
        _write(memory)
        return _faults() - before

    return _in_fork(work)


def test_a_written_page_belongs_to_the_fork_alone(memory: mmap.mmap) -> None:
    """The kernel tells which pages a fork has copied."""

    def written() -> int:
        spans = pages.writable()
        before = sum(pages.copied(spans))
        _write(memory)
        return sum(pages.copied(spans)) - before

    assert NUMBER <= _in_fork(written) < 2 * NUMBER


def test_a_copied_page_has_what_it_had(memory: mmap.mmap) -> None:
    """Nothing is written to it."""
    known = WrittenPages()
    known.rehearse(lambda: _write(memory))

    def differs() -> int:
        before = bytes(memory)
        known.copy(lambda: False)
        return int(bytes(memory) != before)

    assert _in_fork(differs) == 0


def test_what_a_fork_has_written_to_is_copied_by_the_next(memory: mmap.mmap) -> None:
    """It has no page fault left where one that knows nothing has one for each page."""
    known = WrittenPages()
    assert _faults_of_write(memory, known) >= NUMBER
    known.rehearse(lambda: _write(memory))
    assert _faults_of_write(memory, known) < NUMBER / 4


def test_memory_that_is_gone_keeps_no_other_from_being_copied(
    memory: mmap.mmap, tmp_path: Path
) -> None:
    """The server may have given some back since."""
    file = tmp_path / "pages"
    file.write_bytes(bytes(NUMBER * pages.PAGE))
    with file.open("r+b") as opened:
        gone = mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE)
    _write(gone)
    known = WrittenPages()

    def work() -> None:
        _write(gone)
        _write(memory)

    known.rehearse(work)
    gone.close()
    assert _faults_of_write(memory, known) < NUMBER / 4


def test_a_worker_stops_when_somebody_waits(memory: mmap.mmap) -> None:
    """Whoever is there waits for no copies."""
    known = WrittenPages()
    known.rehearse(lambda: _write(memory))
    assert _faults_of_write(memory, known, awaited=True) >= NUMBER


def test_of_a_command_that_writes_to_most_nothing_is_learned(
    memory: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that waits keeps a part of the memory for itself, not all."""
    monkeypatch.setattr(written_pages, "MANY", NUMBER - 1)
    known = WrittenPages()
    known.rehearse(lambda: _write(memory))
    assert _faults_of_write(memory, known) >= NUMBER


def test_of_many_commands_no_more_is_learned_than_of_one(
    memory: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each writes to others: a worker that waits would have all of the server's memory in time."""
    monkeypatch.setattr(written_pages, "FEW", NUMBER // 10)
    monkeypatch.setattr(written_pages, "MANY", NUMBER)
    known = WrittenPages()
    for number in range(4):
        known.rehearse(lambda part=number: _write_part(memory, part))  # type: ignore[misc]
    assert _faults_of_write(memory, known) >= NUMBER / 4


def test_of_a_command_that_writes_to_little_nothing_is_learned(
    memory: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for that longer than it can gain."""
    monkeypatch.setattr(written_pages, "FEW", 100 * NUMBER)
    known = WrittenPages()
    known.rehearse(lambda: _write(memory))
    assert _faults_of_write(memory, known) >= NUMBER
