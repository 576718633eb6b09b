"""Become like another process, as if it had been started by it.

Namespaces, folder, limits, signals.

What a process has of its caller's, fork(2) and execve(2) list. All but the memory can be had later
as well: the kernel tells what the other has in /proc/PID (proc(5)), and setns(2), prlimit(2) and
their like do the rest. What cannot be had is refused: another pid namespace, where one's own pid
would have to change; another user namespace, cgroup namespace, user, capabilities or seccomp
filter, which the kernel lets nobody exchange, or not back; another personality (setarch(8)), which
is rare. What is left as it is: the session, since the terminal is the other's; the cgroup, since
moving a process into another one takes the kernel many milliseconds; and what one process can
hardly tell of another, or plumb makes no use of: the priority of its reads and writes (ionice(1)),
the slack of its timers, its login's number (audit).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import select
import signal
from collections.abc import Iterable
from contextlib import suppress

from plumb.kernel.agent_socket import status

CREDENTIALS = (
    "Uid",
    "Gid",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
)
KEPT = ("pid", "user", "cgroup", "time")
ENTERED = {"mnt": 0x20000, "uts": 0x4000000, "ipc": 0x8000000, "net": 0x40000000}
"""The namespaces that are entered, with their CLONE_NEW flags of linux/sched.h."""
LIMITS = sorted({number for name, number in vars(resource).items() if name.startswith("RLIMIT_")})
SIGNALS = [number for number in range(1, 32) if number not in (signal.SIGKILL, signal.SIGSTOP)]
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Unlike(Exception):
    """It cannot be had."""


def adopt(pid: int, blocked: Iterable[int]) -> None:
    """Become like the process with that pid.

    The calling process has one thread, or the kernel refuses.

    Args:
        blocked: the signals to block; what /proc tells of them may be of the moment.

    Raises:
        Unlike: that cannot be; what has been taken over already stays.
        OSError: the kernel refused, or the process has ended.
    """
    theirs, mine = status(pid), status("self")
    if (
        any(theirs.get(what) != mine.get(what) for what in CREDENTIALS)
        or any(_differs(pid, kind) for kind in KEPT)
        or _runs_otherwise(pid)
    ):
        raise Unlike
    if theirs["Groups"] != mine["Groups"]:
        os.setgroups([int(group) for group in theirs["Groups"].split()])
    _enter(pid)
    _limit(pid)
    os.umask(int(theirs["Umask"], 8))
    ignored = int(theirs["SigIgn"], 16)
    for number in SIGNALS:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if ignored >> (number - 1) & 1 else usual)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _differs(pid: int, kind: str) -> bool:
    try:
        return not os.path.samestat(
            os.stat(f"/proc/{pid}/ns/{kind}"), os.stat(f"/proc/self/ns/{kind}")
        )
    except FileNotFoundError:  # this kernel has no such namespaces
        return False


def _runs_otherwise(pid: int) -> bool:
    """Whether its personality is another one."""
    try:
        with (
            open(f"/proc/{pid}/personality", encoding="ascii") as theirs,
            open("/proc/self/personality", encoding="ascii") as mine,
        ):
            return theirs.read() != mine.read()
    except (
        PermissionError
    ):  # where nobody may trace a process, nobody is told (kernel.yama.ptrace_scope)
        return False


def _enter(pid: int) -> None:
    flags = sum(flag for kind, flag in ENTERED.items() if _differs(pid, kind))
    folder = os.open(f"/proc/{pid}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    top = os.stat(f"/proc/{pid}/root")
    other = os.pidfd_open(pid)
    if flags and _libc.setns(other, flags) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(other)
    if not os.path.samestat(top, os.stat("/")):
        raise Unlike  # chroot(2)
    os.fchdir(folder)
    os.close(folder)


def _limit(pid: int) -> None:
    for limit in LIMITS:
        most = resource.prlimit(pid, limit)
        if most != resource.getrlimit(limit):
            resource.setrlimit(limit, most)
    if (policy := os.sched_getscheduler(pid)) != os.sched_getscheduler(0):
        os.sched_setscheduler(0, policy, os.sched_getparam(pid))
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, pid))
    if (cores := os.sched_getaffinity(pid)) != os.sched_getaffinity(0):
        os.sched_setaffinity(0, cores)
    with (
        open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file,
        open("/proc/self/oom_score_adj", "w", encoding="ascii") as own,
    ):
        own.write(file.read())


def end_with_parent(parent: int) -> None:
    """Be killed when the parent ends, however that ends; parent 0: no more."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL if parent else 0, 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(1)  # it has ended already


def end_with(leash: int) -> None:
    """Be killed when the other end of a pipe is closed.

    A pipe tells by a signal (fcntl(2), F_SETSIG), and it may be any.

    Raises:
        BrokenPipeError: it is closed already.
    """
    fcntl.fcntl(leash, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(leash, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(leash, fcntl.F_SETFL, os.O_ASYNC)
    held = select.poll()
    held.register(leash, 0)
    if held.poll(0):
        raise BrokenPipeError


def preload(library: str) -> None:
    """Have a C library in memory for whoever is forked later, if there is one of that name."""
    with suppress(OSError):
        ctypes.CDLL(library)
