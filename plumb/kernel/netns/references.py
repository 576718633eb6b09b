"""Find a netns by name, path or pid.

`ip netns` and Docker pin a netns to a file in a folder of theirs, any other program to any file;
without a file, a process that is in it identifies it.
"""

from __future__ import annotations

import os

from plumb.errors import NotFound
from plumb.kernel.netns.namespaces import is_namespace
from plumb.kernel.netns.setns import SELF

FOLDERS = ("/run/netns", "/run/docker/netns")
"""Folders in which `ip netns` and Docker keep namespace files."""


def file_of(reference: str) -> tuple[str, str]:
    """Find the name and the file of a netns.

    Args:
        reference: "pid:4711", a path, or the name of a file in `ip netns`'s or Docker's folder.

    Raises:
        NotFound: there is no such namespace.
    """
    if reference.startswith("pid:"):
        name, candidates = (
            reference,
            [f"/proc/{reference[4:]}/ns/net"] if reference[4:].isdigit() else [],
        )
    elif "/" in reference:
        name, candidates = os.path.basename(reference.rstrip("/")), [reference]
    else:
        name, candidates = reference, [f"{folder}/{reference}" for folder in FOLDERS]
    found = next((path for path in candidates if os.path.exists(path) and is_namespace(path)), None)
    if found is None:
        raise NotFound(
            f"there is no container and no network namespace {reference}",
            "name a container, 'host', the path of a namespace file, or pid:N",
        )
    return name, found


def same(one: str, other: str) -> bool:
    """True if two files, or "" for the calling thread's, are the same netns."""
    try:
        return os.path.samestat(os.stat(one or SELF), os.stat(other or SELF))
    except OSError:
        return False
