"""Detection of this kernel's features, by an attempt at each in a scratch namespace.

The kernel loads a module when an attempt needs it, where there are modules; so a list of loaded
modules is no answer. `table` has the features that a kernel may lack, and the remedy for each.

The attempts run in a process of their own, which moves to network and mount namespaces of its own
and ends: all that they have made goes with these, and the caller, its other threads and the
machine's own namespace stay as they are. Loaded modules stay.
"""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache
from typing import NoReturn

from plumb.errors import HINTS, NAMES, KernelRefused, NotFound, PlumbError, Unsupported
from plumb.frozen import frozen
from plumb.kernel.features.table import FEATURES, GROUPS, NO_SUCH_KIND, Feature
from plumb.kernel.netns import namespaces
from plumb.kernel.netns.setns import CLONE_NEWNET
from plumb.kernel.process import signals
from plumb.model.parse import nearest

DENIED = frozenset({errno.EPERM, errno.EACCES})
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 16384, 1 << 18


@frozen
class Ability:
    """Result of the attempt at a feature.

    Attributes:
        name: the feature's name.
        able: True where this kernel has it.
        detail: details of the attempt; the remedy where it failed.
        said: the kernel's error where it failed, in words.
    """

    name: str
    able: bool
    detail: str
    said: str = ""

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.detail}"
            if self.able
            else f"this kernel has no {self.name}: {self.detail}"
        )


SECONDS = 60
"""Time for one feature; most take some milliseconds, and some load a module."""


@cache
def able(feature: str) -> Ability:
    """Try a feature, once in a process.

    Args:
        feature: its name, as in table.FEATURES: "ipvlan", "8021q", "esp4", …

    Raises:
        NotFound: there is no feature of that name.
        Unsupported: only root can try.
    """
    if feature not in FEATURES:
        raise NotFound(f"no kernel feature is called {feature!r}", nearest(feature, FEATURES))
    return next(iter(tried([feature])))


def abilities() -> list[Ability]:
    """Try every feature that plumb can use, in the order of table.GROUPS."""
    return list(
        tried(
            list(dict.fromkeys(name for group in GROUPS for name in (*group.needs, *group.extras)))
        )
    )


def tried(names: Sequence[str]) -> Iterator[Ability]:
    """Try features, in their order.

    Raises:
        Unsupported: only root can try.
    """
    if os.geteuid() != 0:
        raise Unsupported("only root can try things out", "run it as root (sudo)")
    left = list(names)
    while left:
        found, status = _in_a_child(left)
        yield from found
        left = left[len(found) :]
        if left:  # a library has ended the process, or it was killed: the others are tried anew
            late = status == -signal.SIGALRM
            said = f"no answer within {SECONDS} s" if late else f"exit status {status}"
            why = "the kernel does not answer" if late else "it ended the process that tried it"
            yield Ability(left.pop(0), False, why, said)


def _in_a_child(names: Sequence[str]) -> tuple[list[Ability], int]:
    """Try features in a child process.

    Returns:
        The results until it ended, and its exit status, negative for a signal.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with signals.held() as blocked:
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            _child(names, writing)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        found = [Ability(**json.loads(line)) for line in file if line.endswith("\n")]
    return found, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _child(names: Sequence[str], writing: int) -> NoReturn:
    """Try features in new namespaces, write each result as a line of JSON, and end the process."""
    try:
        # A C library prints its errors, and returns them as well.
        os.dup2(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), 2)
        refused = _scratch()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        for name in names:
            signal.alarm(SECONDS)
            line = json.dumps(asdict(_ability(name, refused)))
            os.write(writing, line.encode() + b"\n")
        os._exit(0)
    finally:
        os._exit(1)


def _scratch() -> KernelRefused | None:
    """Move this process to new namespaces; the error where the kernel refuses that."""
    try:
        namespaces.call(
            "unshare", CLONE_NEWNET | CLONE_NEWNS, doing="make namespaces to try things in"
        )
        namespaces.call(
            "mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None, doing="make mounts private"
        )
    except KernelRefused as refused:
        return refused
    return None


def _ability(name: str, refused: KernelRefused | None) -> Ability:
    try:
        if refused is not None:
            raise refused
        return Ability(name, True, _attempt(name)())
    except (PlumbError, OSError) as error:
        return _inability(FEATURES[name], error)


def _attempt(name: str) -> Callable[[], str]:
    from plumb.kernel.features.link_checks import ATTEMPTS

    if name in ATTEMPTS:
        return ATTEMPTS[name]
    from plumb.kernel.features.netfilter_checks import FIREWALL

    return FIREWALL[name]


def _inability(feature: Feature, error: PlumbError | OSError) -> Ability:
    """A failed attempt, with its remedy.

    The remedy is the error's own hint where that is about something else than the feature.
    """
    number = getattr(error, "errno", 0) or 0
    hint = (getattr(error, "hint", "") if number not in NO_SUCH_KIND else "") or (
        HINTS[number] if number in DENIED else ""
    )
    said = (
        str(error)
        if isinstance(error, PlumbError)
        else f"{error.strerror} ({NAMES.get(number, number)})"
    )
    return Ability(
        feature.name, False, hint if hint and hint != feature.missing else feature.remedy, said
    )


# -- modules ---------------------------------------------------------------


def modules() -> str:
    """Reason why modprobe is of no use here, in a line; empty where it may be."""
    release = os.uname().release
    if not os.path.exists("/proc/modules"):
        return f"this kernel, {release}, loads no modules: what it lacks takes another kernel"
    if not any(
        os.path.isdir(f"{folder}/{release}") for folder in ("/lib/modules", "/usr/lib/modules")
    ):
        return (
            f"the modules of this kernel, {release}, are not installed: "
            "if it has been upgraded, reboot"
        )
    return ""
