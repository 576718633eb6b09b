"""What can go wrong, as one tree.

    PlumbError                 everything that plumb raises on purpose
    ├── Invalid                what was asked for makes no sense: a flag, an option, an address
    ├── NotFound               it names a network or a container that is not there
    ├── Conflict               it is at odds with what is there: a name taken, a network in use
    ├── Exhausted              nothing is left to hand out: addresses, subnets
    ├── KernelRefused          the kernel (or a tool at its door) said no; errno and its words are kept
    ├── Unsupported            this kernel or host cannot do it; the message names what is missing
    ├── StepFailed             a step of a plan could not be taken; says which were (in plumb.plan)
    └── Broken                 the state under the root cannot be used as it is

Every message says what was being done and what is wrong; `hint` says what to try:

    try:
        host.connect("web", "shop")
    except plumb.PlumbError as error:
        print(error, error.hint)
"""

from __future__ import annotations

import errno as errnos
import os


class PlumbError(Exception):
    """The base of all; `hint` is one sentence of advice, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.args, self.__dict__)


def _again(
    kind: type[PlumbError], args: tuple[object, ...], state: dict[str, object]
) -> PlumbError:
    """An error as it was in another process.

    Its words are its own, not those that it was made from.
    """
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class Invalid(PlumbError):
    """What was asked for makes no sense."""


class NotFound(PlumbError):
    """A network or container of that name does not exist."""


class Conflict(PlumbError):
    """What was asked for is at odds with what exists."""


class Exhausted(PlumbError):
    """Nothing is left to hand out."""


class Unsupported(PlumbError):
    """This kernel or host cannot do it."""


class Broken(PlumbError):
    """The recorded state cannot be used as it is."""


class KernelRefused(PlumbError):
    """The kernel said no.

    Args:
        doing: what was being done, as in "add bridge lab0".
        errno: the errno that came back, 0 where a tool gave only words.
        said: the kernel's own words (netlink's extended acknowledgement, a tool's stderr).
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
"""What the kernel calls its errors; to Python, 95 is ENOTSUP."""
HINTS = {
    errnos.EPERM: "run it as root (sudo), with the capability NET_ADMIN",
    errnos.EACCES: "run it as root (sudo)",
    errnos.EEXIST: "something of that name is there which plumb did not make; it is left alone: choose another name",
    errnos.EOPNOTSUPP: "this kernel does not have it; see 'plumb env'",
    errnos.ENETDOWN: "the link below it is down: ip link set … up",
    errnos.ENOSPC: "the kernel's limit for such objects is reached",
}
