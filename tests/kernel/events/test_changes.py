"""Changes of files in many folders, told by one descriptor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plumb.kernel.events.changes import FolderChanges


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, beside another."""
    for name in ("watched", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("before")
    return tmp_path / "watched"


@pytest.fixture
def changes(folder: Path) -> Iterator[FolderChanges]:
    """A watch on it."""
    made = FolderChanges([str(folder)])
    yield made
    made.close()


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda folder: (folder / "file").write_text("after"),
    "touched": lambda folder: os.utime(folder / "file", (1, 1)),
    "made": lambda folder: (folder / "new").touch(),
    "deleted": lambda folder: (folder / "file").unlink(),
    "renamed into it": lambda folder: (folder.parent / "other/file").rename(folder / "file"),
    "renamed out of it": lambda folder: (folder / "file").rename(folder.parent / "other/new"),
    "renamed itself": lambda folder: folder.rename(folder.parent / "elsewhere"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_told_of_ever_after(
    folder: Path, changes: FolderChanges, change: Callable[[Path], object]
) -> None:
    """To a fork that looks later as well: nobody reads the event."""
    assert not changes.happened([str(folder)])
    change(folder)
    assert changes.happened([])
    assert changes.happened([])


def test_a_look_into_a_file_is_no_change(folder: Path, changes: FolderChanges) -> None:
    (folder / "file").read_text()
    assert not changes.happened([str(folder)])


def test_a_folder_that_was_replaced_is_noticed(folder: Path) -> None:
    """By a rename above it, of which its own watch is told nothing."""
    below = folder / "below"
    below.mkdir()
    changes = FolderChanges([str(below)])
    try:
        folder.rename(folder.parent / "older")
        assert not changes.happened([])
        assert changes.happened([str(below)])
        below.mkdir(parents=True)
        assert changes.happened([str(below)])
    finally:
        changes.close()


@pytest.mark.parametrize("where", ["/proc/self", "/dev/null/none"])
def test_what_cannot_be_watched_is_an_error(where: str) -> None:
    """Another machine may write to a file system that is none of those known, and tell nobody."""
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError):  # noqa: PT011  # of several kinds
        FolderChanges([where])
    assert set(os.listdir("/proc/self/fd")) == before
