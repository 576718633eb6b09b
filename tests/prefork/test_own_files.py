"""Files of the prefork server: compared only once one of them has changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import plumb
from plumb.prefork import own_files
from plumb.prefork.own_files import OwnFiles
from tests import REPOSITORY


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a part of the package, which takes its place."""
    shutil.copytree(REPOSITORY / "plumb/prefork", tmp_path / "plumb")
    monkeypatch.setattr(plumb, "__path__", [str(tmp_path / "plumb")])
    return tmp_path / "plumb"


def test_nothing_is_read_while_nothing_has_changed(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And all is, from the first change on."""
    files = OwnFiles()
    files.watch()
    with monkeypatch.context() as patched:
        patched.setattr(own_files, "_state_of", pytest.fail)
        assert files.unchanged()
    (package / "server.py").write_text("another")
    assert not files.unchanged()


def test_a_change_that_is_none_of_a_module_s_counts_for_nothing(package: Path) -> None:
    """As of bytecode's folder."""
    files = OwnFiles()
    files.watch()
    (package / "notes").touch()
    assert files.unchanged()


def test_a_change_before_the_watch_is_seen(package: Path) -> None:
    """While the modules were loaded."""
    files = OwnFiles()
    (package / "server.py").write_text("another")
    files.watch()
    assert not files.unchanged()


def test_files_that_cannot_be_watched_are_compared(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a folder that a virtual machine shares with its host."""

    def refused(folders: object) -> None:
        raise OSError

    monkeypatch.setattr(own_files, "FolderChanges", refused)
    files = OwnFiles()
    files.watch()
    assert files.unchanged()
    (package / "server.py").write_text("another")
    assert not files.unchanged()
