"""User and working directory of a command, assumed by the process that becomes the command.

The standard library only: the shim imports it.

users  look-up of a user by name
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing's, which takes 3 ms to import
if TYPE_CHECKING:
    from typing import Any


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
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    if working_dir:
        try:
            os.chdir(working_dir)
        except OSError as error:
            reason = f'chdir to cwd ("{working_dir}") failed: {os.strerror(error.errno or 0)}'
            raise OSError(error.errno, reason) from None
