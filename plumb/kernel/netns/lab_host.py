"""Entry of a lab's hosts, by other processes than the lab's own.

A process of a host has all of its namespaces, so nsenter(1) with that process's pid enters them
all. A pid may be another process's by now: its start time says whether it is.

A lab's hosts know each other: each has a list of them, and beside its own /proc the one in which
their first processes are. So a trace can follow a packet from one host to another.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from plumb.errors import KernelRefused
from plumb.kernel.netns.fake_host import CLONE_NEWNS, MS_NODEV, MS_NOEXEC, MS_NOSUID, OWN_FILES
from plumb.kernel.netns.fork_into import fork
from plumb.kernel.netns.namespaces import call
from plumb.kernel.netns.setns import CLONE_NEWNET
from plumb.kernel.netns.user_namespace import CLONE_NEWUSER, is_another
from plumb.kernel.process import start_time

T = TypeVar("T")
CLONE_FS = 0x200  # linux/sched.h
Ran = subprocess.CompletedProcess[str]
"""A command that has ended: its exit status, output and error output, as text."""
PROC, NEIGHBOURS = f"{OWN_FILES}/proc", f"{OWN_FILES}/hosts.json"
"""On each host: the lab's /proc, and the list of the lab's hosts."""
LINKED = 8
"""Hosts of a lab whose own files all others have by name: /run/plumb-lab/h2/token."""
NSENTER = ("nsenter", "--net", "--mount", "--uts", "--ipc", "--pid", "--wd=/")
AS_ITS_ROOT = ("--user", "--preserve-credentials")
"""Flags of nsenter(1) for a user namespace in which one user is mapped, as root: setgroups(2),
which nsenter would call, is forbidden there."""


class Init(NamedTuple):
    """A process, as no other one is.

    Attributes:
        pid: its pid, seen from the machine.
        ticks: its start time.
    """

    pid: int
    ticks: str

    @classmethod
    def of(cls, pid: int) -> Init:
        """The process that has this pid now."""
        return cls(pid, start_time.started(pid))

    @classmethod
    def of_descriptor(cls, descriptor: int) -> Init:
        """The process of a pidfd, which is closed; its pid as this process sees it."""
        info = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
        os.close(descriptor)
        pids = (line.split()[1] for line in info.splitlines() if line.startswith("Pid:"))
        return cls.of(int(next(pids)))

    @property
    def runs(self) -> bool:
        """True if it has not ended."""
        return bool(self.ticks) and start_time.started(self.pid) == self.ticks

    @property
    def netns(self) -> str:
        """Path of its network namespace."""
        return f"/proc/{self.pid}/ns/net"

    def path(self, own: str) -> str:
        """Path of one of its host's files."""
        return f"/proc/{self.pid}/root{own}"


class Neighbour(NamedTuple):
    """A host of a lab, as the lab's hosts see it.

    Attributes:
        name: its host name.
        pid: pid of its first process in the lab's /proc.
        plumb: plumb's root on it.
    """

    name: str
    pid: int
    plumb: str

    @property
    def netns(self) -> str:
        """Path of its network namespace."""
        return f"{PROC}/{self.pid}/ns/net"

    def path(self, own: str) -> str:
        """Path of one of its files."""
        return f"{PROC}/{self.pid}/root{own}"


def introduce(hosts: Mapping[str, Init], plumb: str) -> None:
    """Let a lab's hosts know each other.

    Args:
        hosts: the first process of each, by name.
        plumb: plumb's root on each.

    Raises:
        KernelRefused: the kernel refused the mount of a host's second /proc.
    """
    listed = json.dumps([Neighbour(name, init.pid, plumb) for name, init in hosts.items()])
    for init in hosts.values():
        _in_mounts_of(init.pid)
        Path(f"/proc/{init.pid}/root{NEIGHBOURS}").write_text(listed, encoding="utf-8")
        for name, other in list(hosts.items())[:LINKED]:
            link = Path(f"/proc/{init.pid}/root{OWN_FILES}/{name}")
            link.symlink_to(f"{PROC}/{other.pid}/root{OWN_FILES}")


def _in_mounts_of(pid: int) -> None:
    """Mount this process's /proc at PROC, in the mount namespace of another process.

    A child does it: a /proc shows the pid namespace of the process that mounts it.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            there = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
            call("setns", there, CLONE_NEWNS, doing="enter a host's mounts")
            os.mkdir(PROC)
            flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
            call(
                "mount", b"proc", PROC.encode(), b"proc", flags, None, doing="mount the lab's /proc"
            )
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise KernelRefused("give a host the lab's /proc", 0)


def neighbours() -> list[Neighbour]:
    """List the hosts of the lab that the calling process is on; none outside of labs."""
    try:
        rows = json.loads(Path(NEIGHBOURS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [Neighbour(*row) for row in rows]


def among_files_of(neighbour: Neighbour, work: Callable[[], T]) -> T:
    """Do some work in a thread whose files are another host's.

    By a path through /proc SQLite would not come there: it resolves symbolic links itself.

    Returns:
        Its result.

    Raises:
        KernelRefused: the host has ended.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_entering_mounts, neighbour, work).result()


def _entering_mounts(neighbour: Neighbour, work: Callable[[], T]) -> T:
    doing = f"enter the mounts of {neighbour.name}"
    try:
        there = os.open(f"{PROC}/{neighbour.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelRefused(doing, error.errno or 0) from error
    try:
        call("unshare", CLONE_FS, doing=doing)
        call("setns", there, CLONE_NEWNS, doing=doing)
    finally:
        os.close(there)
    return work()


def entering(init: Init, argv: Sequence[str]) -> list[str]:
    """A command line that runs another one in a host's namespaces."""
    user = AS_ITS_ROOT if is_another(init.pid) else ()
    return [*NSENTER, *user, f"--target={init.pid}", "--", *argv]


def in_network_of(init: Init, work: Callable[[], None]) -> None:
    """Do some work in a fork that has entered a process's user and network namespaces.

    Raises:
        KernelRefused: it cannot be entered, or the work has failed.
    """
    doing = "enter a lab's network"
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = fork()
    if child == 0:
        said = "it was interrupted"
        try:
            flags = CLONE_NEWNET | (CLONE_NEWUSER if is_another(init.pid) else 0)
            call("setns", os.pidfd_open(init.pid), flags, doing=doing)
            work()
            said = ""
        except Exception as error:
            said = str(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    if said:
        raise KernelRefused(doing, 0, said)


def run(init: Init, argv: Sequence[str], env: Mapping[str, str], seconds: float | None) -> Ran:
    """Run a command in a host; its output and exit status.

    Args:
        env: all of its environment.
        seconds: how long it may take; None for as long as it likes.

    Raises:
        KernelRefused: it took longer, and was killed; the message has what it has printed.
    """
    with subprocess.Popen(
        entering(init, argv),
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,  # nsenter's and the command's, which is its child
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            os.killpg(process.pid, signal.SIGKILL)
            printed = b"".join(each for each in (late.stderr, late.stdout) if each).decode(
                errors="replace"
            )
            said = f"not done after {seconds:g} s: {printed.strip() or 'it has printed nothing'}"
            raise KernelRefused(f"run '{' '.join(argv)}' on a host of the lab", 0, said) from None
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def execute(init: Init, argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Become a command in a host, with this process's terminal."""
    os.execvpe(NSENTER[0], entering(init, argv), dict(env))


def attend(init: Init, argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a command in a host with this process's terminal; its exit status.

    Signals of the terminal's keys are for the command, so this process ignores them meanwhile.
    """
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGQUIT)}
    try:
        return subprocess.run(
            entering(init, argv),
            env=dict(env),
            check=False,
            restore_signals=True,
            preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in before],
        ).returncode
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def reap_until_closed(stream: int) -> None:
    """Stay, and collect every child that ends, until the other end of a descriptor is closed.

    A host's first process is the parent of all that lost theirs.
    """
    import select

    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    watched = select.poll()
    for descriptor in (stream, reading):
        watched.register(descriptor, select.POLLIN)
    while not any(descriptor == stream for descriptor, _ in watched.poll()):
        with suppress(BlockingIOError):
            os.read(reading, 4096)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
