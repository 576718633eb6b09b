"""Signals as a shell has them, whatever this process has inherited.

Whoever runs the suite in the background or under nohup may ignore SIGINT and SIGHUP, or block them.
A program inherits both (signal(7)): a test that sends it such a signal would wait for ever.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)
OTHERS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD)


def restore() -> None:
    """Have programs and forks of this process start with the usual signals.

    What would have ended this process, and was ignored, does nothing here as before: but by a
    handler, which execve(2) resets, and which a fork does without.
    """
    ignored = [number for number in ENDING if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, _nothing)
    for number in OTHERS:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.register_at_fork(after_in_child=_in_a_fork)


def _in_a_fork() -> None:
    for number in ENDING:
        if signal.getsignal(number) is _nothing:
            interrupts = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if interrupts else signal.SIG_DFL)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
