"""A root that is somebody else's: it is not used, and nothing that it names is touched."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from plumb import Host, root
from plumb.errors import Invalid, PlumbError
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.process import files
from plumb.plan import Step, StepFailed
from plumb.store.change import Change
from plumb.things import Thing
from plumb.things.host_ports import Agent
from plumb.things.sandbox import Directory, File, Namespace, Process
from tests.labs import Lab

STRANGER = 12345


def made(folder: Path) -> Path:
    """A root as plumb makes it."""
    for path in (folder, folder / "netns", folder / "containers"):
        path.mkdir(mode=0o700)
    for name in ("plumb.db", "plumb.db-wal", "plumb.db-shm", "agent.sock", "command.sock"):
        (folder / name).touch(0o600)
    return folder


PARTS = ("", "netns", "containers", "plumb.db", "plumb.db-wal", "agent.sock", "command.sock")


def test_an_own_root_is_used(tmp_path: Path) -> None:
    """One that plumb has made, and one that is not there."""
    assert root.distrust(str(made(tmp_path / "root"))) == ""
    assert root.distrust(str(tmp_path / "other")) == ""


@pytest.mark.parametrize("part", PARTS)
def test_a_strangers_part_is_refused(part: str, tmp_path: Path) -> None:
    """Whatever of the root belongs to another user, the message says so in one line."""
    folder = made(tmp_path / "root")
    os.chown(folder / part, STRANGER, STRANGER)
    with pytest.raises(Invalid, match=f"belongs to user {STRANGER}"):
        Host(folder)


@pytest.mark.parametrize("mode", [0o775, 0o757])
@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_others_may_write_is_refused(part: str, mode: int, tmp_path: Path) -> None:
    """A group's or everybody's right to write is enough."""
    folder = made(tmp_path / "root")
    (folder / part).chmod(mode)
    with pytest.raises(Invalid, match=f"can be written by others \\(mode {mode:04o}\\)"):
        Host(folder)


@pytest.mark.parametrize("part", PARTS[1:])
def test_a_symbolic_link_in_a_root_is_refused(part: str, tmp_path: Path) -> None:
    """It could lead anywhere."""
    folder = made(tmp_path / "root")
    (folder / part).rename(tmp_path / "elsewhere")
    (folder / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Invalid, match="is a symbolic link"):
        Host(folder)


def test_a_link_to_a_root_must_be_ones_own(tmp_path: Path) -> None:
    """An administrator may have the root elsewhere; a stranger's link is not followed."""
    link = tmp_path / "link"
    link.symlink_to(made(tmp_path / "root"))
    Host(link)
    os.lchown(link, STRANGER, STRANGER)
    with pytest.raises(Invalid, match="belongs to user"):
        Host(link)


@pytest.mark.parametrize("umask", [0o000, 0o002])
def test_a_root_is_ones_own_whatever_the_umask(umask: int, lab: Lab) -> None:
    """plumb's own folders are never writable by others."""
    before = os.umask(umask)
    try:
        with lab.host() as host:
            host.create_network("shop", subnet="10.9.0.0/24")
            host.run("web", network="shop", command=["sleep", "60"])
            assert root.distrust(str(lab.root)) == ""
            host.reset()
    finally:
        os.umask(before)


def test_a_planted_record_deletes_no_folder(lab: Lab) -> None:
    """A reset leaves alone what lies outside of the root, and says so."""
    victim = lab.root.parent / "victim"
    victim.mkdir()
    (victim / "letter").write_text("dear")
    outside = [Directory(str(victim)), File(str(victim / "letter"), "dear")]
    with lab.host() as host:
        host.create_network("shop", subnet="10.9.0.0/24")
        keys = tuple(thing.key for thing in outside)
        change = Change(things=tuple((thing, None) for thing in outside), owners=(("ctr:x", keys),))
        host.store.finish(host.store.begin([], [], change), change)
        with pytest.raises(PlumbError, match=f"{victim} is not below the root {lab.root}"):
            host.reset()
    assert (victim / "letter").read_text() == "dear"


@pytest.mark.parametrize(
    "thing",
    [
        Directory("/etc"),
        Directory("/run/plumb-tests/root/containers/../../../x"),
        File("/etc/passwd", ""),
        Namespace("/etc/passwd"),
        Process("c1", "/etc", "/run/plumb-tests/root/containers/c1", "", ("sh",), "c1", ()),
        Agent("/etc"),
        Directory("/run/plumb-tests/root-2/x"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("adding", [True, False])
def test_a_step_outside_of_the_root_is_refused(thing: Thing, adding: bool) -> None:
    """It is neither made nor removed."""
    step = Step(None, thing) if adding else Step(thing, None)
    with pytest.raises(StepFailed, match="is not below the root") as caught:
        LinuxKernel(folders=("/run/plumb-tests/root",)).take([step])
    assert caught.value.done == []


def test_a_file_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    """O_NOFOLLOW: what it leads to stays."""
    (tmp_path / "target").write_text("before")
    (tmp_path / "hosts").symlink_to(tmp_path / "target")
    path = str(tmp_path / "hosts")
    for step in (Step(None, File(path, "x")), Step(File(path, "before"), File(path, "x"))):
        with pytest.raises(PlumbError):
            files.take(step)
    assert (tmp_path / "target").read_text() == "before"


def test_no_command_goes_to_a_strangers_server(lab: Lab) -> None:
    """Who listens at command.sock would get the command's streams and its environment."""
    lab.root.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{lab.root}/command.sock")
        listener.listen()
        listener.settimeout(0)
        os.chown(lab.root, STRANGER, STRANGER)
        ran = lab.plumb("ps", status=1)
        assert f"{lab.root} belongs to user {STRANGER}" in ran.stderr
        assert len(ran.stderr.splitlines()) <= 2
        with pytest.raises(BlockingIOError):
            listener.accept()
