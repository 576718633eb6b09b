"""Signals held back around a fork.

Python runs fork(2) between functions that modules have registered (os.register_at_fork; logging
does), and it drops what those raise. So a Ctrl-C whose handler runs there would be lost; held
back, it is handled after the fork.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held() -> Iterator[set[int]]:
    """Block all signals for the length of a with block; the kernel delivers them at its end.

    Returns:
        The signals that were blocked before; a child that is forked in the block restores them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield {int(number) for number in before}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
