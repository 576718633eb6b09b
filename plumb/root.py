"""Root of a command: the folder of all its state.

This module needs next to no imports, since the command line uses it before anything else.

The default root is split as distributions want it: what outlives a boot in /var/lib/plumb,
namespace files and sockets in /run/plumb. An explicit root (PLUMB_ROOT, or an argument) holds
everything. Two roots share no files, and a network namespace takes one of them at a time
(`kernel.netns.claim`).
"""

import errno
import os
import stat

DEFAULT_ROOT = "/var/lib/plumb"
DEFAULT_RUN = "/run/plumb"
IMPORT_PATH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""Entry of sys.path that contains the package `plumb`, for interpreters that plumb starts."""


def named(given: str = "") -> str:
    """Return the absolute path of that root, of PLUMB_ROOT's, or of the default one.

    Symbolic links and `..` in it stay.
    """
    path = given or os.environ.get("PLUMB_ROOT") or DEFAULT_ROOT
    whole = path if path.startswith("/") else f"{os.getcwd()}/{path}"
    return "/" + "/".join(part for part in whole.split("/") if part not in ("", "."))


def run(root: str) -> str:
    """Return the folder under a root that a boot clears."""
    return DEFAULT_RUN if root == DEFAULT_ROOT else root


def make_folder(path: str, mode: int = 0o755) -> None:
    """Make a folder, and those above it, which nobody but its owner may write to.

    Args:
        path: of the folder; one that is there stays as it is.
        mode: its mode, whatever the umask allows beyond it; of those above it 0755.
    """
    if os.path.isdir(path):
        return
    make_folder(os.path.dirname(path))
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None


def distrust(root: str) -> str:
    """Say why a root cannot be used: it is, or could have been written by, somebody else.

    A root that another user has made, or may write to, says what that user wants: which folders a
    reset deletes, which process is the agent. Its files are trusted only where the folder is.

    Returns:
        The reason, empty for a root that can be used or does not exist yet.
    """
    folder = run(root)
    parts = (
        *(((folder, True),) if folder != root else ()),
        *((f"{folder}/netns", True), (f"{folder}/fixes", True), (f"{root}/containers", True)),
        *((f"{root}/plumb.db{suffix}", False) for suffix in ("", "-wal", "-shm")),
        *((f"{folder}/{name}.sock", False) for name in ("agent", "command")),
    )
    return _distrust_root(root) or next(filter(None, (_distrust(*part) for part in parts)), "")


def _distrust_root(root: str) -> str:
    """Say why a root folder cannot be used; a symbolic link must be its owner's as well."""
    try:
        link, folder = os.lstat(root), os.stat(root)
    except OSError:
        return ""
    if link.st_uid != os.geteuid():
        return f"{root} belongs to {_user(link.st_uid)}"
    return _why(root, folder, directory=True)


def _distrust(path: str, directory: bool) -> str:
    try:
        found = os.lstat(path)
    except OSError:
        return ""
    if stat.S_ISLNK(found.st_mode):
        return f"{path} is a symbolic link"
    return _why(path, found, directory=directory)


def _why(path: str, found: os.stat_result, *, directory: bool) -> str:
    if found.st_uid != os.geteuid():
        return f"{path} belongs to {_user(found.st_uid)}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{path} can be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
    if directory != stat.S_ISDIR(found.st_mode):
        return f"{path} is {'no folder' if directory else 'a folder'}"
    return ""


def _user(number: int) -> str:
    return "root" if number == 0 else f"user {number}"
