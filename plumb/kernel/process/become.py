"""Becoming a sandbox's command, for `exec` and a foreground `run`.

The standard library and the shim only: the prefork server's client imports it.
"""

from __future__ import annotations

import os

from plumb.kernel.process import shim
from plumb.kernel.process.pid_namespace import fork_init, fork_waiting

TYPE_CHECKING = False  # as typing's, which takes 3 ms to import
if TYPE_CHECKING:
    from typing import Any, NoReturn


def become(spec: dict[str, Any]) -> NoReturn:
    """Enter the sandbox and execute the command.

    Args:
        spec: as in `shim.enter`, with `argv` and `environment`.

    Raises:
        OSError: the process could not enter the sandbox.
    """
    if spec["isolated"] and not spec["beside"] and os.getpid() != 1:
        fork_waiting(fork_init)  # `exec` in a sandbox without a command
    shim.enter(spec)
    if spec["isolated"]:
        fork_waiting(os.fork)
    shim.execute(spec["argv"], spec["environment"])
