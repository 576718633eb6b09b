"""Child processes of the agent: forked without its descriptors, and watched by a pidfd."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from plumb.agent.loop import IN, Loop

MAX_FD = 1 << 30
"""Number above any file descriptor of a process."""


def fork(become: Callable[[], None], output: int = -1) -> int:
    """Fork a child that becomes another program in a session of its own; return its pid.

    It keeps none of the agent's descriptors: it would keep a published port bound.

    Args:
        become: executes the program.
        output: a descriptor for its output and errors; none: /dev/null.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        for source, target in ((null, 0), (null if output < 0 else output, 1), (1, 2)):
            os.dup2(source, target)
        os.closerange(3, MAX_FD)
        become()
    except OSError as error:
        os.write(2, f"plumb: {error.strerror or error}\n".encode())
    finally:
        os._exit(126)


class Child:
    """Child process that the loop watches.

    Args:
        loop: the agent's.
        pid: the child's.
        ended: is called with its exit status (128 + N for signal N) when it has ended.
    """

    def __init__(self, loop: Loop, pid: int, ended: Callable[[int], None]) -> None:
        self._loop, self._pid, self._ended = loop, pid, ended
        self._pidfd = os.pidfd_open(pid)
        loop.watch(self._pidfd, IN, self._reap)

    def _reap(self, events: int) -> None:
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            self._loop.unwatch(self._pidfd)
            os.close(self._pidfd)
            code = os.waitstatus_to_exitcode(status)
            self._ended(128 - code if code < 0 else code)

    def kill(self) -> None:
        """Kill it with all its process group; `ended` is called all the same."""
        for send in (os.killpg, os.kill):  # it may not have its own group yet
            try:
                send(self._pid, signal.SIGKILL)
                return
            except ProcessLookupError:
                continue
