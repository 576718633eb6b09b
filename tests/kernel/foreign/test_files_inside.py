"""Files in somebody else's folder: no symbolic link leads out of it, and nothing blocks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plumb.kernel.foreign import files_inside
from tests.programs import line, running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A container's root; beside it lies what it must not have."""
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/secret").write_text("inside")
    return tmp_path / "root"


def read(folder: Path) -> str:
    """Its resolv.conf."""
    return files_inside.read(str(folder), "etc/resolv.conf")


def test_a_file_is_read(folder: Path) -> None:
    """Whole, if it is short."""
    (folder / "etc/resolv.conf").write_text("nameserver 127.0.0.11")

    assert read(folder) == "nameserver 127.0.0.11"


@pytest.mark.parametrize("target", ["/secret", "../secret", "../../../../secret"])
def test_a_symbolic_link_stays_inside(folder: Path, target: str) -> None:
    """Its root is the folder."""
    (folder / "etc/resolv.conf").symlink_to(target)

    assert read(folder) == "inside"


def test_a_folder_that_is_a_link_stays_inside(folder: Path) -> None:
    """Each part of the path may be one."""
    (folder / "etc").rmdir()
    (folder / "etc").symlink_to(folder.parent)

    assert read(folder) == ""


def test_a_fifo_does_not_hold_plumb_up(folder: Path) -> None:
    """It is no regular file."""
    os.mkfifo(folder / "etc/resolv.conf")

    assert read(folder) == ""


def test_a_file_without_an_end_is_cut(folder: Path) -> None:
    """plumb reads its beginning."""
    with (folder / "etc/resolv.conf").open("wb") as file:
        file.truncate(files_inside.LONGEST * 4)

    assert len(read(folder)) == files_inside.LONGEST


def test_a_file_that_is_not_there_is_empty(folder: Path) -> None:
    """Nor is a folder."""
    assert read(folder) == ""
    assert read(folder / "gone") == ""


CHROOT = "import os, sys; os.chroot(sys.argv[1]); print('in', flush=True); sys.stdin.read()"


@pytest.fixture
def process(folder: Path) -> Iterator[str]:
    """The root of a process that has that folder for it."""
    with running(
        [sys.executable, "-c", CHROOT, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as chrooted:
        assert line(chrooted) == "in\n"
        yield f"/proc/{chrooted.pid}/root"


def test_a_socket_of_a_process_is_reached(folder: Path, process: str) -> None:
    """By a link in its root as well, as /var/run to /run is."""
    with listening(folder / "etc/socket"):
        (folder / "run").symlink_to("/etc")
        there = files_inside.reached(f"{process}/run/socket")
        with there as path, socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


def test_a_socket_outside_is_not_reached_by_a_link(
    folder: Path, process: str, tmp_path: Path
) -> None:
    """Its engine would be asked in the name of another."""
    with listening(tmp_path / "socket"):
        (folder / "run").symlink_to(tmp_path)
        with pytest.raises(FileNotFoundError), files_inside.reached(f"{process}/run/socket"):
            pass


@contextmanager
def listening(path: Path) -> Iterator[None]:
    """A server at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield
