"""PID namespaces: a command below an init, and processes that wait for a command outside of one.

The first process of a PID namespace is its init (pid_namespaces(7)): it inherits orphans, the
kernel kills all others when it ends, and a signal for which it has no handler does not reach it. So
a command that is isolated has a small init above it, as with Docker's --init: it passes signals on,
reaps, and ends with the command's status. `exec` has such a process as well, outside of the
namespace, since setns(2) moves only the children of a process into a PID namespace.

The standard library only: the shim imports it.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # signal makes enums of its numbers: 5 ms
import ctypes
import os

TYPE_CHECKING = False  # as typing's, which takes 3 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from signal import struct_siginfo

CLONE_NEWPID, PR_SET_PDEATHSIG = 0x20000000, 1
SI_KERNEL = 0x80
STOPPING = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
"""Signals of a shell's job control; the caller's shell waits for this process to stop.

The kernel discards them in a group that no shell waits for, as that of a session's leader.
"""
OWN = frozenset(
    {
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGCHLD,
        signal.SIGPIPE,
        signal.SIGURG,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGSEGV,
        signal.SIGSYS,
    }
)
"""Signals that no process can catch, or that are about this process itself."""
PASSED_ON = frozenset(signal.valid_signals()) - OWN

_libc = ctypes.CDLL(None, use_errno=True)


def _call(function: str, *args: int) -> None:
    if getattr(_libc, function)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def fork_init() -> int:
    """Fork a child that is the init of a new PID namespace; later children are in this one's."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", CLONE_NEWPID)
        child = os.fork()
        if child:
            _call("setns", own, CLONE_NEWPID)
        return child
    finally:
        os.close(own)


def fork_waiting(
    fork: Callable[[], int], ended: Callable[[int], None] = lambda status: None
) -> None:
    """Fork: return in the child, which goes on; the parent waits and ends as the child does.

    The child ends with the parent. The parent keeps none of the descriptors, so that a pipe's other
    end learns when the command closes it.

    Args:
        fork: os.fork, or `fork_init`.
        ended: is called by the parent with the child's exit status, 128 + N for signal N.
    """
    awaited = {signal.SIGCHLD, *STOPPING, *PASSED_ON}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    parent, child = os.getpid(), fork()
    if child == 0:
        end_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.closerange(3, 1 << 16)
    found = wait_passing_on(child, awaited)
    status = exit_status(found)
    ended(status)
    if os.WIFSIGNALED(found) and os.WTERMSIG(found) == signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _take(signal.SIGINT)  # a shell ends its loop only if a command dies of Ctrl-C
    os._exit(status)


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end now if that has ended.

    A change of the user or of capabilities takes that back (PR_SET_PDEATHSIG(2const)).

    Args:
        parent: its pid; 0 in another PID namespace.
    """
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() not in (0, parent):
        os._exit(1)


def wait_passing_on(child: int, awaited: Iterable[int]) -> int:
    """Wait for a child, pass signals on to it, stop together with it, and reap all others.

    What the kernel sends to a terminal's process group has reached the child already; of a hangup
    it tells the session's leader alone.

    Args:
        child: its pid.
        awaited: signals, SIGCHLD among them, which the caller has blocked.

    Returns:
        Its wait status.
    """
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == child:
            return status
        if ended:
            continue
        came = signal.sigwaitinfo(awaited)
        if came.si_signo != signal.SIGCHLD and not _is_the_child_s(came):
            os.kill(child, came.si_signo)
        if came.si_signo in STOPPING:
            _take(came.si_signo)


def _is_the_child_s(came: struct_siginfo) -> bool:
    """Tell if the kernel has sent a signal to the child, too."""
    hangup = came.si_signo == signal.SIGHUP and os.getsid(0) == os.getpid()
    return came.si_code == SI_KERNEL and not hangup


def _take(number: int) -> None:
    """Take a blocked signal for oneself, so that it has its usual effect; an init has none."""
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})


def exit_status(wait_status: int) -> int:
    """Exit status of a process, 128 + N for signal N."""
    code = os.waitstatus_to_exitcode(wait_status)
    return 128 - code if code < 0 else code
