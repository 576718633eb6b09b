"""A root on a full disk, or one for reading only: what frees space works, and what reads.

The disk is a small tmpfs. It is filled to the last page after networks and containers are there.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests import labs
from tests.host.trial_hosts import MARK, end_all, marked, plumb, tried
from tests.labs import Lab
from tests.waiting import until

QUIET = ("-o", "com.docker.network.advertise_addr_nmsgs=0")
READS = [
    ("ps", "-a", "--format", "{{.Names}} {{.State}} {{.Command}} {{.Networks}}"),
    ("inspect", "box"),
    ("network", "ls"),
    ("network", "inspect", "net"),
    ("port", "box"),
    ("check",),
    ("exec", "box", "true"),
]
GROWS = [
    ("run", "-d", "--network", "net", "sleep", "1000"),
    ("create", "--network", "net"),
    ("network", "create", "other"),
]


@pytest.fixture
def disk(lab: Lab) -> Iterator[Lab]:
    """A lab whose root is a disk of 8 MB, with a network and two containers; box has a command."""
    lab.root.mkdir(exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "mode=700,size=8m", "tmpfs", str(lab.root)], check=True
    )
    plumb(lab, "network", "create", "net", *QUIET)
    plumb(lab, "run", "-d", "--name", "box", "--network", "net", "-e", MARK, "sleep", "1000")
    plumb(lab, "run", "-d", "--name", "bare", "--network", "net")
    yield lab
    try:
        with suppress(FileNotFoundError):
            os.unlink(lab.root / "filled")
        plumb(lab, "reset", "--force")
    finally:
        end_all(lab)
        subprocess.run(["umount", "-l", str(lab.root)], check=True)


def fill(lab: Lab) -> None:
    """Write until the disk is full."""
    with open(lab.root / "filled", "ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


@contextmanager
def read_only(lab: Lab) -> Iterator[None]:
    """The disk can only be read, for the length of a with block."""
    root = str(lab.root)
    subprocess.run(["mount", "--rbind", root, root], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", root], check=True)


def one_line(lab: Lab, *argv: str, status: int = 1) -> str:
    """A command that fails; the one line that it prints."""
    ended, printed = tried(lab, *argv)
    assert (ended, printed.count("\n")) == (status, 1), printed
    assert printed.startswith("plumb: ")
    assert "by hand" not in printed
    return printed


@pytest.mark.parametrize("argv", READS, ids=" ".join)
def test_what_only_reads_works_on_a_full_disk(disk: Lab, argv: tuple[str, ...]) -> None:
    """Though SQLite makes a file for every reader, and twice as well as once."""
    before = tried(disk, *argv)
    fill(disk)
    assert [tried(disk, *argv), tried(disk, *argv)] == [before, before]


@pytest.mark.parametrize("argv", GROWS, ids=" ".join)
def test_what_needs_space_is_refused_in_one_line(disk: Lab, argv: tuple[str, ...]) -> None:
    """Nothing is left of it, and it does not use up what removal needs."""
    fill(disk)
    for _ in range(5):
        printed = one_line(disk, *argv, status=125 if argv[0] == "run" else 1)
        assert "space" in printed
    plumb(disk, "rm", "-f", "box")
    os.unlink(disk.root / "filled")
    assert plumb(disk, "ps", "-a", "--format", "{{.Names}}") == "bare\n"
    assert tried(disk, "check") == (0, "")
    plumb(disk, "run", "-d", "--name", "box", "--network", "net", "-e", MARK, "sleep", "1000")


@pytest.mark.parametrize(
    "argvs",
    [
        [("rm", "-f", "box"), ("rm", "-f", "bare"), ("network", "rm", "net")],
        [("stop", "box"), ("rm", "box"), ("network", "disconnect", "net", "bare")],
        [("network", "prune", "-f")],
    ],
    ids=str,
)
def test_what_frees_space_works_on_a_full_disk(disk: Lab, argvs: list[tuple[str, ...]]) -> None:
    """One after the other, while the disk is filled up again in between."""
    for argv in argvs:
        fill(disk)
        plumb(disk, *argv)
    os.unlink(disk.root / "filled")
    assert tried(disk, "check") == (0, "")


@pytest.mark.parametrize("argv", [("network", "disconnect", "net", "web"), ("rm", "-f", "web")])
def test_a_port_is_let_go_of_on_a_full_disk(disk: Lab, argv: tuple[str, ...]) -> None:
    """The agent has let go of it when the disk refuses what was written meanwhile."""
    publish = ("-p", "127.0.0.1:8099:80")
    plumb(disk, "run", "-d", "--name", "web", "--network", "net", *publish)
    fill(disk)
    plumb(disk, *argv)
    os.unlink(disk.root / "filled")
    assert tried(disk, "check") == (0, "")
    plumb(disk, "run", "-d", "--name", "other", "--network", "net", *publish)


def test_a_port_is_not_kept_that_the_record_cannot_have(disk: Lab) -> None:
    """What the agent holds is given back, as all else of that container."""
    fill(disk)
    one_line(disk, "run", "-d", "--network", "net", "-p", "127.0.0.1:8099:80", status=125)
    assert "8099" not in labs.sh("ss -Hlnt")
    os.unlink(disk.root / "filled")
    assert tried(disk, "check") == (0, "")


def test_reset_works_on_a_full_disk(disk: Lab) -> None:
    """The host is bare; but for the disk and what has filled it."""
    fill(disk)
    plumb(disk, "reset", "--force")
    assert not marked(disk)
    assert [path.name for path in disk.root.iterdir()] == ["filled"]
    assert labs.sh("ip -o link | grep -c .").strip() == "1"


@pytest.mark.parametrize("argv", READS, ids=" ".join)
def test_what_only_reads_works_on_a_read_only_disk(disk: Lab, argv: tuple[str, ...]) -> None:
    """It finds all that is recorded."""
    before = tried(disk, *argv)
    with read_only(disk):
        assert tried(disk, *argv) == before


def test_a_change_is_refused_in_one_line_on_a_read_only_disk(disk: Lab) -> None:
    """With what to do about it."""
    with read_only(disk):
        for argv in (*GROWS, ("rm", "-f", "box"), ("stop", "box")):
            printed = one_line(disk, *argv, status=125 if argv[0] == "run" else 1)
            assert "writable" in printed
    assert tried(disk, "check") == (0, "")


def test_reset_on_a_read_only_disk_cleans_the_kernel(disk: Lab) -> None:
    """Only files are left, which it says in one line; the next reset removes them."""
    with read_only(disk):
        printed = one_line(disk, "reset", "--force")
        assert "Read-only file system" in printed
        until(lambda: not marked(disk), "the command has ended")
        assert "br-" not in labs.sh("ip -o link")
    plumb(disk, "reset", "--force")
    assert list(disk.root.iterdir()) == []
