"""Start of several commands by one interpreter, which forks a shim for each.

All are made ready first: in their sandboxes, as their users, with a program that can be executed as
far as that is known before. Only then are they executed, in order, each when the one before it has
been; where one is refused, no further one is. The standard library only: the shim imports it.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False  # as typing's, which takes 3 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Attend = Callable[[dict[str, Any], int, int], int]

READY = b"+"
"""Word of a command that waits for its turn, and the word that lets it go on."""
LONGEST = 1 << 12
"""Bytes of a shim's line at most (PIPE_BUF)."""


class _Shim:
    """Shim of one command, as the interpreter that has forked it sees it."""

    def __init__(self, number: int, go: int, said: int) -> None:
        self.number, self.go, self.said = number, go, said
        self.pid, self.waits, self.runs = 0, False, False

    def line(self) -> bytes:
        """Read what it says next."""
        lost = b"%d - 0 its shim has ended\n" % self.number
        return os.read(self.said, LONGEST) or lost


def start(specs: Sequence[dict[str, Any]], attend: Attend, answers: int) -> int:
    """Start commands; return the exit status, in the interpreter and later in each shim.

    Args:
        specs: the commands, as `shim.attend` takes them.
        attend: that function.
        answers: descriptor for a line of each command that was executed or refused. A shim has a
            pipe to the interpreter there. One that was ready in vain has no line.
    """
    shims: list[_Shim] = []
    for number, spec in enumerate(specs):
        try:
            go, said = os.pipe(), os.pipe()
            shim = _Shim(number, go[1], said[0])
            shim.pid = os.fork()
        except OSError as error:
            reason = f"{number} - {error.errno} {spec['argv'][0]}: {error.strerror}\n"
            os.write(answers, reason.encode())
            _end(shims)
            return 1
        shims.append(shim)
        if shim.pid == 0:
            for other in shims:
                os.close(other.go)
                os.close(other.said)
            os.dup2(said[1], answers, inheritable=False)
            os.close(said[1])
            return attend(spec, number, go[0])
        os.close(go[0])
        os.close(said[1])
    _release(shims, answers)
    return 0


def _release(shims: Sequence[_Shim], answers: int) -> None:
    """Wait until all are ready, and let them go in order, or none from a refused one on."""
    refused = False
    for shim in shims:
        said = shim.line()
        shim.waits = said == READY
        if not shim.waits:
            refused = True
            os.write(answers, said)
    for shim in shims:
        if refused:
            break
        os.write(shim.go, READY)
        said = shim.line()
        os.write(answers, said)
        shim.runs = not said.partition(b" ")[2].startswith(b"-")
        refused = not shim.runs
    _end([shim for shim in shims if not shim.runs])


def _end(shims: Sequence[_Shim]) -> None:
    """End shims whose commands do not run; none is left when it returns."""
    for shim in shims:
        os.close(shim.go)
    for shim in shims:
        os.waitpid(shim.pid, 0)


def wait_for_turn(name: str, environment: Mapping[str, str], go: int, ready: int) -> None:
    """See that a program can be executed, say that it is ready, and wait; its process calls it.

    Args:
        name, environment: as of execvpe.
        go: descriptor that tells when; ready: the one to its shim.

    Raises:
        OSError: it cannot be executed; ECANCELED: another command was refused.
    """
    _check(name, environment)
    os.write(ready, READY)
    if os.read(go, 1) != READY:
        raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))


def _check(name: str, environment: Mapping[str, str]) -> None:
    """Look for a program as execvpe does.

    What only the kernel can tell, as of a program for another processor, is not found here.

    Raises:
        OSError: as execvpe would.
    """
    folders = [""] if os.path.dirname(name) else os.get_exec_path(environment)
    refusal = errno.ENOENT
    for folder in folders:
        path = os.path.join(folder, name)
        try:
            if stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK):
                return _check_interpreter(path)
            refusal = errno.EACCES
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                refusal = error.errno or refusal
    raise OSError(refusal, os.strerror(refusal))


def _check_interpreter(path: str) -> None:
    """See that there is the interpreter of a script (execve(2)), if the file is one."""
    try:
        with open(path, "rb") as file:
            head = file.read(256)
    except OSError:
        return  # a program may be executed which may not be read
    if head.startswith(b"#!") and (words := head[2:].partition(b"\n")[0].split()):
        os.stat(words[0])
