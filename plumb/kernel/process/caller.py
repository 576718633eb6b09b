"""The process that called for a command, as far as it matters which one that is.

Most of a command any process can do, so a warm one does it (`plumb.prefork.server`). Three things
only the caller's own can: become a command of a container (`exec`), whose pid and terminal are the
caller's; be the parent of one (`run` in the foreground); and read an answer from the terminal,
which stops one in the background that tries (SIGTTIN), but only if it is of the session.
"""

from __future__ import annotations

import os
from typing import Any

from plumb.kernel.process import shim


class Caller:
    """This very process: the command runs in its caller's own."""

    @property
    def pid(self) -> int:
        """The process that the caller knows."""
        return os.getpid()

    def own(self) -> None:
        """Say that what begins now only the caller's own process can do."""

    def become(self, spec: dict[str, Any]) -> None:
        """Become a command of a container.

        Raises:
            OSError: the container could not be entered.
        """
        shim.become(spec)


class Elsewhere(BaseException):
    """What `own` raises in a process that is not the caller's.

    Nothing was done yet, and the caller goes on by itself.
    """


this: Caller = Caller()
"""Who called for what this process does."""
