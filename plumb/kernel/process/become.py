"""Becoming a sandbox's command, for `exec` and a foreground `run`.

As a script, the process that it forks becomes one in the background, for `exec -d`.
The standard library and the shim only: the prefork server's client imports it.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # as the shim's
import errno
import fcntl
import os
import sys

from plumb.kernel.process import shim
from plumb.kernel.process.pid_namespace import end_with, fork_init, fork_waiting

TYPE_CHECKING = False  # as typing's, which takes 3 ms to import
if TYPE_CHECKING:
    from typing import Any, NoReturn


def become(spec: dict[str, Any]) -> NoReturn:
    """Enter the sandbox and execute the command.

    Args:
        spec: as in `shim.enter`, with `argv` and `environment`; with `end` (as of `commands.join`)
            the process waits for the command, a child of it, and tells its end.

    Raises:
        OSError: the process could not enter the sandbox.
    """
    if "end" in spec:
        fork_waiting(_fork, lambda status: _tell(spec["end"], status))
    if spec["isolated"] and not spec["beside"] and os.getpid() != 1:
        fork_waiting(fork_init)  # `exec` in a sandbox without a command
    parent = os.getppid()
    shim.enter(spec)
    if "end" in spec:
        end_with(parent)  # once more, after the change of the user
    if spec["isolated"]:
        fork_waiting(os.fork)
    execute(spec["argv"], spec["environment"], spec["advice"])


def _not_executed(name: str, error: OSError) -> str:
    """Docker's words for a command that could not be executed."""
    if error.errno == errno.ENOENT and "/" not in name:
        return f'exec: "{name}": executable file not found in $PATH'
    return f'exec: "{name}": {(error.strerror or str(error)).lower()}'


def execute(argv: list[str], environment: dict[str, str], advice: str = "") -> NoReturn:
    """Execute the command; if it cannot be, say why and then the advice.

    Exit status 127 if it does not exist and 126 if it cannot be run, as in shells and Docker.
    """
    for number in shim.IGNORED:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        sys.stderr.write(f"plumb: {_not_executed(argv[0], error)}{advice}\n")
        sys.stderr.flush()
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _fork() -> int:
    child = os.fork()
    if child:
        import plumb.kernel.events.journal_file  # noqa: F401 - a millisecond, in which the child goes on
    return child


def _tell(end: dict[str, Any], status: int) -> None:
    """Append the event of a command's end; it is lost where the journal cannot be written."""
    import time

    from plumb.kernel.events import journal_file

    now, line = time.time_ns(), end["line"]
    values = {"exitCode": str(status), "time": str(now // 10**9), "timeNano": str(now)}
    for name, value in values.items():
        line = line.replace(end["marks"][name], value)
    try:
        journal_file.append(end["path"], [line.encode()], 0)
    except OSError:
        pass


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
