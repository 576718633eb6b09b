"""A function in a fork: what becomes of a signal that comes while the kernel forks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from tests import REPOSITORY


def test_an_interrupt_during_the_fork_is_not_lost() -> None:
    """Python drops what at-fork functions raise, so Ctrl-C must not come to its handler there.

    The fork is ended, as nobody would read what it returns.
    """
    script = """
        import os, signal, time
        from plumb.kernel.netns import fork_into

        os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT))
        try:
            fork_into.start(0, lambda: None, lambda: time.sleep(600))
        except KeyboardInterrupt:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                print("interrupted, and nothing is left")
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == "interrupted, and nothing is left\n", ran.stderr
