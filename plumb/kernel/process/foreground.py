"""Sandbox's own command in the foreground, and the signals of the process that runs it.

Docker's client passes on every signal that it gets (--sig-proxy). Here the command is a child in
the caller's process group, so that it has the caller's terminal: what the kernel sends to that
group (Ctrl-C, SIGWINCH; si_code SI_KERNEL) has reached the command already, and what a process has
sent with kill(2) is passed on.

Before the command runs, a signal that would end the process raises Interrupted, so that the
operation is taken back; after it has ended, none disturbs what lets the container go.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from plumb.kernel.process import start_time
from plumb.kernel.process.become import become
from plumb.kernel.process.pid_namespace import (
    PASSED_ON,
    STOPPING,
    exit_status,
    fork_init,
    wait_passing_on,
)
from plumb.kernel.process.starting import description
from plumb.things.sandbox import Process

ENDING = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})


class Interrupted(KeyboardInterrupt):
    """Raised when a signal ends the process before the command runs.

    Attributes:
        status: the exit status, 128 + the signal's number, as that of Docker's client.
    """

    def __init__(self, number: int) -> None:
        super().__init__(
            "interrupted"
            if number == signal.SIGINT
            else f"interrupted by {signal.Signals(number).name}"
        )
        self.status = 128 + number


class Foreground:
    """Signals of this process for the length of a with block, in which it runs a command.

    Those that it was started with as ignored (nohup) stay so.

    Args:
        sig_proxy: pass signals on to the command. Without it those of the terminal that a shell
            would not die of are ignored while the command runs, and any other has its usual effect.
    """

    def __init__(self, sig_proxy: bool) -> None:
        self._sig_proxy = sig_proxy
        self._before: dict[int, Any] = {}
        self._interruptible = True

    def __enter__(self) -> Foreground:
        for number in PASSED_ON - STOPPING:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._interruptible and number in ENDING:
            self._interruptible = False
            raise Interrupted(number)

    def run(self, process: Process) -> int:
        """Run the sandbox's own command with the caller's input and output.

        Returns:
            Its exit status, 128 + N for signal N.

        Raises:
            Interrupted: a signal came before it was started.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        awaited = {signal.SIGCHLD, *STOPPING, *self._before}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
        spec = description.spec(process)
        try:
            child = fork_init() if process.isolated else os.fork()
            if child == 0:
                self._become(spec, blocked)
            self._interruptible = False
            _note(process, child)
            if not self._sig_proxy:
                return self._wait_without_proxy(child, blocked)
            # What the caller blocks is not passed on; but the child's end is heard of all the same.
            return exit_status(wait_passing_on(child, awaited - blocked | {signal.SIGCHLD}))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _become(self, spec: dict[str, Any], blocked: set[Any]) -> None:
        """Become the command in the child; signals that came meanwhile have their usual effect."""
        try:
            for number in self._before:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            become(spec)
        except OSError as error:
            sys.stderr.write(f"plumb: cannot enter the sandbox: {error.strerror}\n")
            sys.stderr.flush()
        finally:
            os._exit(126)

    def _wait_without_proxy(self, child: int, blocked: set[Any]) -> int:
        for number in self._before:
            ignored = number in (signal.SIGINT, signal.SIGQUIT)
            signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        try:
            return exit_status(os.waitpid(child, 0)[1])
        finally:
            for number in self._before:
                signal.signal(number, self._handle)


def _note(process: Process, child: int) -> None:
    """Write down which processes are the command and the one beside it."""
    here = os.getpid()
    try:
        Path(process.folder, "pid").write_text(
            f"{child} {start_time.started(child)} {here} {start_time.started(here)}"
        )
    except OSError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
