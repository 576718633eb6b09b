"""`run --read-only-host`: a command that sees the host's files, and cannot change them."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plumb.kernel.process import shim
from tests import labs
from tests.host.trial_hosts import MARK, end_all, plumb, tried
from tests.labs import Lab

DISK = os.makedev(8, 0)


@pytest.fixture
def net(lab: Lab) -> Iterator[Lab]:
    """A lab whose root is outside of /tmp, with a network of the name net."""
    Path("/srv").mkdir(exist_ok=True)
    labs.sh("mount -t tmpfs -o mode=755 none /srv")
    there = replace(lab, root=Path("/srv", lab.root.parent.name, "root"))
    there.root.parent.mkdir()
    plumb(there, "network", "create", "net", "--subnet", "10.9.0.0/24")
    try:
        yield there
    finally:
        try:
            plumb(there, "reset", "--force")
        finally:
            end_all(there)
            labs.sh("umount -l /srv")


def run(lab: Lab, *words: str) -> tuple[int, str]:
    """`run --rm --read-only-host` in the foreground; exit status, and what it printed."""
    return tried(lab, "run", "--rm", "--network", "net", "--read-only-host", *words)


def run_detached(lab: Lab, *words: str) -> None:
    """`run -d --name box --read-only-host`."""
    box = ("run", "-d", "--name", "box", "--network", "net", "-e", MARK, "--read-only-host")
    plumb(lab, *box, *(words or ("sleep", "1000")))


@pytest.mark.parametrize(
    ("line", "because"),
    [
        ("touch /etc/plumb-was-here", "Read-only file system"),
        ("touch /etc/hosts", "Read-only file system"),
        ("touch FOLDER/plumb-was-here", "Read-only file system"),
        ("touch FOLDER/root/plumb-was-here", "Read-only file system"),
        ("echo 1 > /proc/sys/net/ipv4/ip_forward", "Read-only file system"),
        ("echo 0 > /sys/class/net/lo/tx_queue_len", "Read-only file system"),
        ("mknod /dev/disk b 8 0", "Read-only file system"),
        ("mknod /etc/disk b 8 0", "Read-only file system"),
        ("mknod /tmp/disk b 8 0 && cat /tmp/disk", "Permission denied"),
        ("mknod /dev/shm/disk b 8 0 && cat /dev/shm/disk", "Permission denied"),
        ("mknod /run/disk b 8 0 && cat /run/disk", "Permission denied"),
        ("cat FOLDER/disk", "Permission denied"),
        ("mount -o remount,rw,bind /", "permission denied"),
    ],
)
def test_it_can_change_nothing_of_the_host(line: str, because: str, net: Lab) -> None:
    """Neither files, plumb's own among them, nor settings, nor disks."""
    folder = net.root.parent
    os.mknod(folder / "disk", stat.S_IFBLK | 0o600, DISK)
    status, printed = run(net, "sh", "-c", line.replace("FOLDER", str(folder)))
    assert status != 0
    assert because in printed


def test_tmp_run_and_shm_are_its_own(net: Lab) -> None:
    """They are empty and writable, and the host sees nothing of what is written there."""
    folders = "/tmp /run /dev/shm"
    status, printed = run(
        net, "sh", "-c", f"ls -A {folders}; for d in {folders}; do echo x > $d/plumb-own; done"
    )
    assert status == 0
    assert printed.split() == ["/dev/shm:", "/run:", "/tmp:"]
    assert not any(Path(folder, "plumb-own").exists() for folder in folders.split())


def test_the_root_of_plumb_is_hidden(net: Lab) -> None:
    """Also from a command that was started in it."""
    assert run(net, "ls", "-A", str(net.root)) == (0, "")
    os.chdir(net.root)
    try:
        assert run(net, "ls", "-A", "plumb.db")[0] == 2
    finally:
        os.chdir("/")


def test_dev_has_what_programs_need(net: Lab) -> None:
    """It has the character devices, streams, and terminals; no disk."""
    lines = (
        "test -c /dev/full && test -c /dev/tty && head -c4 /dev/urandom | wc -c; echo x > /dev/null"
        "; echo out > /dev/stdout; echo error > /dev/stderr; ls /dev | xargs"
        "; script -qc 'test -t 0 && echo terminal' /dev/null"
    )
    status, printed = run(net, "sh", "-c", f"{{ {lines}; }} 2>&1 | cat")
    assert printed.split() == [
        *("4", "out", "error"),
        *("fd", "full", "null", "ptmx", "pts", "random", "shm"),
        *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
        "terminal",
    ]
    assert status == 0


def test_network_and_names_are_as_ever(net: Lab) -> None:
    """It reaches other containers by name, which its own files of /etc are for."""
    run_detached(net)
    status, printed = run(net, "-h", "web", "sh", "-c", "cat /etc/hostname; ping -c1 -qW5 box")
    assert status == 0, printed
    assert printed.startswith("web\n")
    assert " 0% packet loss" in printed


def test_a_resolv_conf_in_run_is_there(net: Lab) -> None:
    """The host's is often a symbolic link into /run, which is the command's own and empty."""
    labs.sh(
        "mkdir /srv/etc && cp -a /etc/. /srv/etc && mount --bind /srv/etc /etc && rm -f "
        "/etc/resolv.conf && mkdir -p /run/plumb-resolve && echo nameserver 192.0.2.53 > "
        "/run/plumb-resolve/conf && ln -s ../run/plumb-resolve/conf /etc/resolv.conf"
    )
    try:
        status, printed = run(net, "cat", "/etc/resolv.conf")
    finally:
        labs.sh("umount -l /etc; rm -r /run/plumb-resolve")
    assert status == 0, printed
    assert "nameserver 127.0.0.11" in printed


def test_the_folder_that_it_was_started_in_stays(net: Lab, tmp_path: Path) -> None:
    """Also one below /tmp, which its own /tmp hides."""
    (tmp_path / "here").touch()
    os.chdir(tmp_path)
    try:
        assert run(net, "ls") == (0, "here\n")
    finally:
        os.chdir("/")


def test_exec_sees_the_same(net: Lab) -> None:
    """It joins the command's mount namespace, and cannot have --privileged."""
    run_detached(net, "sh", "-c", "echo x > /tmp/mine; exec sleep 1000")
    assert plumb(net, "exec", "box", "sh", "-c", "until cat /tmp/mine; do :; done") == "x\n"
    assert tried(net, "exec", "box", "touch", "/etc/plumb-was-here")[0] == 1
    assert "--read-only-host is undone" in tried(net, "exec", "--privileged", "box", "true")[1]


def test_a_detached_command_is_logged_and_settled(net: Lab) -> None:
    """Its shim is outside: it writes output, pid and exit status under the root."""
    run_detached(net, "sh", "-c", "echo said; exit 3")
    assert plumb(net, "logs", "-f", "box") == "said\n"


@pytest.mark.parametrize(
    "flags",
    [
        ("--privileged",),
        ("--cap-add", "ALL"),
        ("--cap-add", "SYS_ADMIN"),
        ("--cap-add", "CAP_SYS_PTRACE"),
    ],
)
def test_what_would_undo_it_is_refused(flags: tuple[str, ...], net: Lab) -> None:
    """In one line, with nothing made."""
    status, printed = run(net, *flags, "true")
    assert (status, printed.count("\n")) == (125, 1)
    assert "--read-only-host is undone by" in printed
    assert plumb(net, "ps", "-aq") == ""


def test_nothing_stays_mounted(net: Lab) -> None:
    """After rm the host's mounts are as before."""
    before = labs.mounts()
    run_detached(net)
    plumb(net, "rm", "-f", "box")
    assert labs.mounts() == before


def test_inspect_shows_dockers_field(net: Lab) -> None:
    """ReadonlyRootfs is Docker's for `--read-only`."""
    plumb(net, "create", "--name", "box", "--network", "net", "--read-only-host", "true")
    plumb(net, "create", "--name", "other", "--network", "net", "true")
    shown = json.loads(plumb(net, "inspect", "box", "other"))
    assert [box["HostConfig"]["ReadonlyRootfs"] for box in shown] == [True, False]


def test_an_older_kernel_is_told_in_one_line(net: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """mount_setattr(2) came with Linux 5.12; here its number is one that no kernel has."""
    monkeypatch.setattr(shim, "MOUNT_SETATTR", 9999)
    with pytest.raises(OSError, match="needs Linux 5") as refused:
        shim._set_attributes("/", 0, 0)
    assert refused.value.errno == errno.ENOSYS
    assert run(net, "true") == (
        126,
        (
            "plumb: cannot enter the sandbox: this kernel has no mount_setattr: "
            "--read-only-host needs Linux 5.12\n"
        ),
    )
