"""Process that called for a command, for the commands that depend on it.

Most commands can run in any process, so a prefork worker runs them (`plumb.prefork.server`). Three
things only the caller's own process can do: be the parent of a command that has the caller's
terminal, one that enters a container (`exec`), or its own (`run` in the foreground); and read from
the terminal, which stops a background process that tries (SIGTTIN), but only one of its session.
"""

from __future__ import annotations

import os
from typing import Any

from plumb.kernel.process import become


class Caller:
    """Caller whose own process runs the command: this one."""

    @property
    def pid(self) -> int:
        """Pid of the process that was started for the command."""
        return os.getpid()

    def require_own_process(self) -> None:
        """Declare that only the caller's own process can do what follows."""

    def become(self, spec: dict[str, Any]) -> None:
        """Become a command of a container.

        Raises:
            OSError: the process could not enter the container.
        """
        become.become(spec)


class NotOwnProcess(BaseException):
    """Raised by `require_own_process` in a process that is not the caller's.

    Nothing was done yet, and the command runs in the caller's process.
    """


this: Caller = Caller()
"""Caller of the command that this process runs."""
