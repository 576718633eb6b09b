"""Errors of plumb, as one tree.

    PlumbError                 everything that plumb raises on purpose
    ├── Invalid                the request makes no sense: a flag, an option, an address
    ├── NotFound               it names a network or a container that does not exist
    ├── Conflict               it conflicts with what exists: a name taken, a network in use
    ├── Exhausted              no address or subnet is left
    ├── KernelRefused          the kernel (or a tool) refused; errno and its text are kept
    ├── Unsupported            this kernel or host cannot do it; the message names what is missing
    ├── StepFailed             a step of a plan failed; it lists those that were done (plumb.plan)
    └── Broken                 the state under the root cannot be used as it is

Every message says what plumb was doing and what is wrong; `hint` says what to try:

    try:
        host.connect("web", "shop")
    except plumb.PlumbError as error:
        print(error, error.hint)
"""

from __future__ import annotations

import errno as errnos
import os
from collections.abc import Iterator
from contextlib import contextmanager


class PlumbError(Exception):
    """Base of all errors; `hint` is one sentence of advice, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.args, self.__dict__)


def _again(
    kind: type[PlumbError], args: tuple[object, ...], state: dict[str, object]
) -> PlumbError:
    """Restore an error of another process.

    Its text is set directly, as the constructor would build it anew from other arguments.
    """
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


@contextmanager
def beginning(words: str) -> Iterator[None]:
    """Put words before the text of errors: what is being done.

    Args:
        words: as in "failed to set up container networking: ".
    """
    try:
        yield
    except PlumbError as error:
        error.args = (f"{words}{error}", *error.args[1:])
        raise


class Invalid(PlumbError):
    """Request that makes no sense."""


class NotFound(PlumbError):
    """Network or container that does not exist."""


class Conflict(PlumbError):
    """Request that conflicts with what exists."""


class Exhausted(PlumbError):
    """Pool of addresses or subnets with none left."""


class Unsupported(PlumbError):
    """Feature that this kernel or host does not have."""


class Broken(PlumbError):
    """Recorded state that cannot be used as it is."""


class KernelRefused(PlumbError):
    """Refusal by the kernel, or by a tool.

    Args:
        doing: what plumb was doing, as in "add bridge lab0".
        errno: the error number, 0 if a tool gave only a text.
        said: the kernel's text (netlink's extended acknowledgement, a tool's stderr).
    """

    def __init__(self, doing: str, errno: int = 0, said: str = "", hint: str = "") -> None:
        name = NAMES.get(errno, "")
        words = said or (os.strerror(errno) if errno else "no reason given")
        super().__init__(
            f"cannot {doing}: {words}" + (f" ({name})" if name else ""),
            hint or HINTS.get(errno, ""),
        )
        self.errno = errno


NAMES = {**errnos.errorcode, errnos.EOPNOTSUPP: "EOPNOTSUPP"}
"""Kernel's names of error numbers; Python calls 95 ENOTSUP."""
HINTS = {
    errnos.EPERM: "run it as root (sudo), with the capability NET_ADMIN",
    errnos.EACCES: "run it as root (sudo)",
    errnos.EEXIST: "something of that name is there which plumb did not make; "
    "it is left alone: choose another name",
    errnos.EOPNOTSUPP: "this kernel does not have it; see 'plumb env'",
    errnos.ENETDOWN: "the link below it is down: ip link set … up",
    errnos.ENOSPC: "the kernel's limit for such objects is reached",
}
