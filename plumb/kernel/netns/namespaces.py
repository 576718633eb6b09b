"""Network namespaces: create one, pin it to a file, enter it and return.

`setns` and `unshare` work on a thread, so everything here changes the calling thread alone, and
changes it back. /proc/thread-self/ns/net is that thread's namespace; /proc/sys/net follows it, /sys
does not (a sysfs shows the namespace in which it was mounted).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from plumb.errors import KernelRefused
from plumb.kernel.netns import setns
from plumb.kernel.netns.setns import CLONE_NEWNET, SELF, libc
from plumb.root import make_folder
from plumb.things import HOST

MS_BIND, MNT_DETACH = 4096, 2
NS_GET_NSTYPE = 0xB703
NO_NAMESPACE = frozenset({errno.ENOENT, errno.EINVAL})
"""Errors of a file that is gone, or on which no network namespace is mounted."""


def call(function: str, *args: object, doing: str) -> None:
    """Call a libc function that returns 0 or sets errno."""
    if getattr(libc, function)(*args) != 0:
        raise KernelRefused(doing, ctypes.get_errno())


@contextmanager
def entered(path: str) -> Iterator[None]:
    """Move the calling thread into the netns of that file, for the length of a with block.

    HOST leaves it where it is.

    Raises:
        KernelRefused: the file does not exist or is not a netns.
    """
    if path == HOST:
        yield
        return
    try:
        home = setns.switch(path)
    except OSError as error:
        raise KernelRefused(f"enter namespace {path}", error.errno or 0) from error
    try:
        yield
    finally:
        _return(home)


class Tour:
    """Way of the calling thread through many namespaces, and back at the end of a with block.

    A thread that has no other to visit need not have the right to enter one.

    Raises:
        KernelRefused: the thread cannot return.
    """

    def __enter__(self) -> Self:
        self._home, self._away = -1, False
        return self

    def __exit__(self, *_: object) -> None:
        if self._away:
            _return(self._home)
        elif self._home >= 0:
            os.close(self._home)

    def visit(self, path: str) -> bool:
        """Move into the netns of that file, HOST for that of the beginning; False where none is.

        Raises:
            KernelRefused: the file cannot be read.
        """
        if path == HOST and not self._away:
            return True
        if self._home < 0:
            self._home = _open_own()
        away, self._away = self._away, True  # before it is: Ctrl-C is raised right behind the call
        try:
            if path == HOST:
                setns.enter(self._home)
            else:
                setns.go(path)
        except OSError as error:
            self._away = away
            if error.errno in NO_NAMESPACE:
                return False
            raise KernelRefused(f"enter namespace {path}", error.errno or 0) from error
        self._away = path != HOST
        return True


def _open_own() -> int:
    try:
        return os.open(SELF, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelRefused("open the host's namespace", error.errno or 0) from error


def _return(home: int) -> None:
    try:
        setns.switch_back(home)
    except OSError as error:
        raise KernelRefused("return to the host's namespace", error.errno or 0) from error


def is_namespace(path: str) -> bool:
    """True if a network namespace is mounted on that file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return fcntl.ioctl(descriptor, NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError:
        return False
    finally:
        os.close(descriptor)


def make(path: str) -> None:
    """Create a netns and mount it on a new file; if that fails, nothing of it is left."""
    doing = f"make namespace {path}"
    try:
        make_folder(os.path.dirname(path), 0o700)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if not isinstance(error, FileExistsError) or is_namespace(path):
            raise KernelRefused(doing, error.errno or 0) from error
        # An empty file is what a reboot, or a kill between these two calls, leaves behind.
    home = os.open(SELF, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            call("unshare", CLONE_NEWNET, doing=doing)
        except KernelRefused:
            os.close(home)
            raise
        except BaseException:  # Ctrl-C, which is raised right behind what has been carried out
            _return(home)
            raise
        try:
            call("mount", SELF.encode(), path.encode(), b"none", MS_BIND, None, doing=doing)
        finally:
            _return(home)
    except KernelRefused:
        os.unlink(path)
        raise


def pin(path: str, pid: int) -> None:
    """Mount a process's netns on a file whose mount was lost; the file is made where it is gone.

    Raises:
        KernelRefused: the process has ended, or the file is in use.
    """
    doing = f"mount the namespace of process {pid} on {path}"
    try:
        make_folder(os.path.dirname(path), 0o700)
        flags = os.O_CREAT | os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(path, flags, 0o600))
    except OSError as error:
        raise KernelRefused(doing, error.errno or 0) from error
    source = f"/proc/{pid}/ns/net".encode()
    call("mount", source, path.encode(), b"none", MS_BIND, None, doing=doing)


def drop(path: str) -> None:
    """Unpin a netns: the kernel removes it when no process is in it."""
    if is_namespace(path):
        call("umount2", path.encode(), MNT_DETACH, doing=f"let go of namespace {path}")
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
