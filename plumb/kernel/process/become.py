"""Becoming a sandbox's command, for `exec` and a foreground `run`.

As a script, the process that it forks becomes one in the background, for `exec -d`.
The standard library and the shim only: the prefork server's client imports it.
"""

from __future__ import annotations

import fcntl
import os
import sys

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
    shim.execute(spec["argv"], spec["environment"], spec["advice"])


def main() -> None:
    """Start the command that stdin describes (JSON) in the background; say on stdout why not."""
    import json

    spec = json.load(sys.stdin)
    if os.fork():
        return
    os.setsid()
    failure = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)  # closed when the command is executed
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.chdir("/")
    try:
        become(spec)
    except OSError as error:
        os.write(failure, (error.strerror or str(error)).encode())
    finally:
        os._exit(126)


if __name__ == "__main__":
    main()
