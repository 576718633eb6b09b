"""User and working directory of a command, assumed by the process that becomes the command.

The standard library only: the shim imports it.

users  look-up of a user by name
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing's, which takes 3 ms to import
if TYPE_CHECKING:
    from typing import Any


def _only_root() -> str:
    """Say that no other user exists where the user namespace has one only."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        alone = file.read().split()[2] == "1"
    return "; in a lab without root there is no user but root" if alone else ""


def assume(user: list[Any], working_dir: str) -> None:
    """Become another user, whom the kernel leaves no capabilities, in the folder to start in.

    Args:
        user: uid, gid and a list of further gids; empty: the present user stays.
        working_dir: empty: the present folder stays.

    Raises:
        OSError: the capabilities for it are missing, or the folder cannot be entered.
    """
    if user:
        uid, gid, groups = user
        try:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
        except OSError as error:
            reason = f"user {uid}, group {gid}: {os.strerror(error.errno or 0)}{_only_root()}"
            raise OSError(error.errno, reason) from None
    if working_dir:
        try:
            os.chdir(working_dir)
        except OSError as error:
            reason = f'chdir to cwd ("{working_dir}") failed: {os.strerror(error.errno or 0)}'
            raise OSError(error.errno, reason) from None
