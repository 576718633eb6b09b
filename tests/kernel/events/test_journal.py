"""Journal of events: what is appended, and its reader while the root comes and goes."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plumb.kernel.events import journal, journal_file
from plumb.kernel.events.inotify import Watch
from plumb.kernel.events.journal import Journal
from plumb.model.lifecycle.events import CONTAINER, Event

LONG = 20.0
"""Seconds after which a change has not been noticed."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root's folder."""
    made = tmp_path / "root"
    made.mkdir()
    return made


def append(root: Path, action: str) -> None:
    """Append an event."""
    journal.append(str(root / "events"), [Event(CONTAINER, action, "x")])


def reader(root: Path) -> Journal:
    """A reader of the root's journal."""
    return Journal(str(root), str(root / "events"))


def actions(read: Journal) -> list[str]:
    """Actions of the events that were added."""
    return [event["Action"] for event in read.more()]


def notices(read: Journal) -> bool:
    """Wait for a change; whether it was noticed."""
    begun = time.monotonic()
    read.wait(LONG)
    return time.monotonic() - begun < LONG


@pytest.mark.parametrize("half", [b'{"status":"sta', b'{"id":"\xc3', b"{\0\0", b"\0\0\0"])
def test_a_half_line_is_passed_over(root: Path, half: bytes) -> None:
    """The machine went down within an append; what comes before and after it is read."""
    append(root, "create")
    with open(root / "events", "ab") as file:
        file.write(half)
    append(root, "start")
    with reader(root) as read:
        assert actions(read) == ["create", "start"]


def test_a_folder_s_end_ends_its_watch(root: Path) -> None:
    """Other changes do not."""
    with Watch(str(root)) as watch:
        (root / "events").touch()
        assert not watch.wait(seconds=LONG)
        shutil.rmtree(root)
        assert watch.wait(seconds=LONG)


def test_a_new_root_may_have_the_number_of_the_old(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system gives inode numbers again; here it always does."""
    monkeypatch.setattr(journal, "_number", lambda folder: int(os.path.exists(folder)))
    with reader(root) as read:
        root.rmdir()
        root.mkdir()
        assert notices(read)
        append(root, "create")
        assert notices(read)
        assert actions(read) == ["create"]


def after_the_first_look(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Change the root between the look at it and the watch."""
    look = journal._number

    def number(folder: str) -> int:
        found = look(folder)
        monkeypatch.undo()
        change()
        return found

    monkeypatch.setattr(journal, "_number", number)


def test_a_root_that_goes_before_it_is_watched(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its folder is watched, until it is made again."""
    after_the_first_look(monkeypatch, root.rmdir)
    with reader(root) as read:
        root.mkdir()
        assert notices(read)
        append(root, "create")
        assert actions(read) == ["create"]


def test_a_root_that_comes_before_it_is_watched(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is watched itself."""
    root.rmdir()
    after_the_first_look(monkeypatch, root.mkdir)
    with reader(root) as read:
        append(root, "create")
        assert notices(read)
        assert actions(read) == ["create"]


def test_no_folder_for_the_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reader(tmp_path / "nosuch" / "root")


def test_events_are_lost_while_the_file_is_locked(root: Path) -> None:
    """Their operation has been done, and whoever appends them has other things to do."""
    append(root, "create")
    with open(root / "events", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        append(root, "start")
    append(root, "die")
    with reader(root) as read:
        assert actions(read) == ["create", "die"]


def test_a_command_s_end_makes_no_journal(root: Path) -> None:
    """The root may have been reset, and stays as that has left it."""
    path = root / "events"
    with pytest.raises(FileNotFoundError):
        journal_file.append(str(path), [b"{}\n"], 0)
    assert not path.exists()


def test_events_that_cannot_be_made_are_lost(root: Path) -> None:
    """Their operation counts all the same."""

    def broken() -> Iterator[Event]:
        yield Event(CONTAINER, "create", "x")
        raise ValueError("a time that is none")

    journal.append(str(root / "events"), broken())
    with reader(root) as read:
        assert actions(read) == []
