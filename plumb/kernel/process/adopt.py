"""Adopt another process's namespaces, working directory, limits and signals.

A process inherits from its parent what fork(2) and execve(2) list. All of it but the memory can be
set later as well: /proc/PID shows what the other process has (proc(5)), and setns(2), prlimit(2)
and similar calls set it. `adopt` refuses what cannot be set: another pid namespace, as a process
cannot change its own pid; another user namespace, cgroup namespace, user, capability set, seccomp
filter or label of a security module, which the kernel does not let a process change, or not back;
another personality (setarch(8)), which is rare. It leaves as they are: the session, since the
terminal belongs to the other's; the cgroup, since moving a process takes the kernel many
milliseconds; and what one process can hardly read of another, or plumb does not use: I/O priority
(ionice(1)), timer slack, the audit login id. What the kernel shows nobody cannot be compared: a
Landlock domain (landlock(7)), a prohibition of memory that is written and executed (PR_SET_MDWE).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
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
    "Seccomp_filters",
)
LABELS = ("current", "apparmor/current", "smack/current")
"""Files of /proc/PID/attr with the label that a security module decides by (proc_pid_attr(5))."""
MUST_MATCH = ("pid", "user", "cgroup", "time")
JOINED = {"mnt": 0x20000, "uts": 0x4000000, "ipc": 0x8000000, "net": 0x40000000}
"""Namespaces that are joined, with their CLONE_NEW flags of linux/sched.h."""
LIMITS = sorted({number for name, number in vars(resource).items() if name.startswith("RLIMIT_")})
SIGNALS = [number for number in range(1, 32) if number not in (signal.SIGKILL, signal.SIGSTOP)]
PR_SET_PDEATHSIG = 1
ESCAPED = re.compile(rb"\\([0-7]{3})")
"""A space, tab, newline or backslash in mountinfo."""

_libc = ctypes.CDLL(None, use_errno=True)


class CannotAdopt(Exception):
    """Raised for an attribute that cannot be adopted."""


def adopt(pid: int, blocked: Iterable[int]) -> None:
    """Adopt the attributes of the process with that pid.

    The calling process must have one thread, or the kernel refuses.

    Args:
        blocked: signals to block; those that /proc shows may be blocked for a moment only.

    Raises:
        CannotAdopt: an attribute cannot be adopted; what has been adopted already stays.
        OSError: the kernel refused, or the process has ended.
    """
    target, current = status(pid), status("self")
    if (
        any(target.get(field) != current.get(field) for field in CREDENTIALS)
        or _may_have_other_filters(current)
        or any(_label(pid, file) != _label("self", file) for file in LABELS)
        or any(_differs(pid, kind) for kind in MUST_MATCH)
        or _personality_differs(pid)
    ):
        raise CannotAdopt
    if target["Groups"] != current["Groups"]:
        os.setgroups([int(group) for group in target["Groups"].split()])
    _enter(pid)
    _limit(pid)
    os.umask(int(target["Umask"], 8))
    # Without SIGCHLD nobody would learn how a child has ended; plumb's own process takes it too.
    ignored = int(target["SigIgn"], 16) & ~(1 << signal.SIGCHLD - 1)
    for number in SIGNALS:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if ignored >> (number - 1) & 1 else usual)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _may_have_other_filters(found: dict[str, str]) -> bool:
    """Check whether two processes with that number of seccomp filters may have different ones.

    The kernel shows how many a process has (Linux 5.9), and not which. A process inherits its
    parent's and can only add to them, so who has as many as the first process of the pid namespace
    has the same: in a container, those of its runtime.
    """
    if found.get("Seccomp", "0") == "0":
        return False
    return found.get("Seccomp_filters") != status(1).get("Seccomp_filters", "unknown")


def _label(pid: int | str, file: str) -> bytes:
    """Label of a process; empty if no security module labels processes."""
    try:
        with open(f"/proc/{pid}/attr/{file}", "rb") as label:
            return label.read()
    except OSError:
        return b""


def _differs(pid: int, kind: str) -> bool:
    try:
        return not os.path.samestat(
            os.stat(f"/proc/{pid}/ns/{kind}"), os.stat(f"/proc/self/ns/{kind}")
        )
    except FileNotFoundError:  # this kernel has no such namespaces
        return False


def _personality_differs(pid: int) -> bool:
    """True if the other process has another personality."""
    try:
        with (
            open(f"/proc/{pid}/personality", encoding="ascii") as target,
            open("/proc/self/personality", encoding="ascii") as current,
        ):
            return target.read() != current.read()
    except (
        PermissionError
    ):  # where nobody may trace a process, nobody is told (kernel.yama.ptrace_scope)
        return False


def _enter(pid: int) -> None:
    flags = sum(flag for kind, flag in JOINED.items() if _differs(pid, kind))
    folder = os.open(f"/proc/{pid}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    root = os.stat(f"/proc/{pid}/root")
    pidfd = os.pidfd_open(pid)
    if flags and _libc.setns(pidfd, flags) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(pidfd)
    if not os.path.samestat(root, os.stat("/")):
        raise CannotAdopt  # chroot(2)
    os.fchdir(folder)
    os.close(folder)


def _limit(pid: int) -> None:
    for limit in LIMITS:
        limits = resource.prlimit(pid, limit)
        if limits != resource.getrlimit(limit):
            resource.setrlimit(limit, limits)
    if (policy := os.sched_getscheduler(pid)) != os.sched_getscheduler(0):
        os.sched_setscheduler(0, policy, os.sched_getparam(pid))
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, pid))
    if (cores := os.sched_getaffinity(pid)) != os.sched_getaffinity(0):
        os.sched_setaffinity(0, cores)
    with (
        open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file,
        open("/proc/self/oom_score_adj", "w", encoding="ascii") as current,
    ):
        current.write(file.read())


# -- what a process sees of the files ---------------------------------------------------------


def mount_namespace(pid: int) -> int:
    """Inode of a process's mount namespace."""
    return os.stat(f"/proc/{pid}/ns/mnt").st_ino


def state_of(pid: int, path: str) -> bytes:
    """State of a file or folder as a process sees it: another one if its entries change.

    Empty if there is none.
    """
    try:
        found = os.stat(f"/proc/{pid}/root{path}")
    except (FileNotFoundError, NotADirectoryError):
        return b""
    return f"{found.st_dev} {found.st_ino} {found.st_mtime_ns} {found.st_size}".encode()


def same_mounts(pid: int, paths: Iterable[str]) -> bool:
    """Check that no other files are mounted at paths in a process's mount namespace.

    What is mounted at them, above or below is compared: device, folder on it, and mount point
    (proc_pid_mountinfo(5)). A path alone is the same where a bind mount covers it.

    Raises:
        OSError: the process has ended.
    """
    if not _differs(pid, "mnt"):
        return True
    folders = [_with_slash(os.fsencode(os.path.realpath(path))) for path in paths]
    return _mounts(pid, folders) == _mounts("self", folders)


def _mounts(pid: int | str, folders: list[bytes]) -> list[list[bytes]]:
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        mounts = [line.split()[2:5] for line in file]
    return sorted(mount for mount in mounts if _touches(mount[2], folders))


def _touches(point: bytes, folders: list[bytes]) -> bool:
    """Check whether a mount point is one of the folders, or above or below one."""
    mounted = _with_slash(ESCAPED.sub(lambda octal: bytes([int(octal[1], 8)]), point))
    return any(mounted.startswith(path) or path.startswith(mounted) for path in folders)


def _with_slash(path: bytes) -> bytes:
    return path.rstrip(b"/") + b"/"


def initial_environment(pid: int) -> list[bytes]:
    """Read the environment that a process was started with (proc_pid_environ(5)).

    The interpreter may have changed its own since: in the C locale it sets LC_CTYPE (PEP 538).

    Raises:
        OSError: the process has ended.
    """
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read().split(b"\0")


def end_with_parent(parent: int) -> None:
    """Make the kernel kill this process when its parent ends; parent 0: no longer."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL if parent else 0, 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(1)  # it has ended already


def end_with(liveness: int) -> None:
    """Make the kernel kill this process when the other end of a pipe is closed.

    The kernel signals a pipe's events (fcntl(2), F_SETSIG), by any signal.

    Raises:
        BrokenPipeError: it is closed already.
    """
    fcntl.fcntl(liveness, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(liveness, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(liveness, fcntl.F_SETFL, os.O_ASYNC)
    poll = select.poll()
    poll.register(liveness, 0)
    if poll.poll(0):
        raise BrokenPipeError


def preload(library: str) -> None:
    """Load a C library for the processes that are forked later, if it exists."""
    with suppress(OSError):
        ctypes.CDLL(library)
