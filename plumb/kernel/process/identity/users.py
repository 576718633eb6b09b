"""Users of commands, as `--user` names them, by the host's files of users and groups."""

from __future__ import annotations

import grp
import os
import pwd
from typing import NamedTuple

from plumb.errors import Invalid

LARGEST = (1 << 31) - 1
"""Largest id that Docker takes."""


class User(NamedTuple):
    """User by numbers, as the kernel knows one.

    Attributes:
        uid, gid: of the user and of its first group.
        groups: its further groups.
        home: its home folder.
    """

    uid: int
    gid: int
    groups: list[int]
    home: str


def known(text: str) -> User:
    """Look a user up; a number need not be in the files.

    Args:
        text: NAME|UID[:GROUP|GID].

    Raises:
        Invalid: there is no such user or group, or a number is no id.
    """
    name, colon, group = text.partition(":")
    found = _entry(name or "0")
    if found is None:
        user = User(_number(name, "user"), 0, [], "/")
    else:
        user = User(found.pw_uid, found.pw_gid, _further(found), found.pw_dir)
    if not colon or not group:
        return user
    return user._replace(gid=_group(group), groups=[])


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        return None


def _further(user: pwd.struct_passwd) -> list[int]:
    return [gid for gid in os.getgrouplist(user.pw_name, user.pw_gid) if gid != user.pw_gid]


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return _number(name, "group")


def _number(text: str, what: str) -> int:
    if not text.isdecimal():
        files = {"user": "passwd", "group": "group"}
        raise Invalid(
            f"unable to find {what} {text}: no matching entries in {files[what]} file",
            "the host's files of users and groups hold",
        )
    if int(text) > LARGEST:
        raise Invalid(f"uids and gids must be in range 0-{LARGEST}, not {text}")
    return int(text)
