"""Containers of rootless engines: whose network a program of that user's is.

Podman and Docker of an ordinary user have no right to links of the host. A program of theirs,
slirp4netns, pasta or rootlesskit, has the other end of the containers' TAP link, and sends what
comes by it with sockets of its own. No link, route or rule of the host is the containers': it is
the program that the host sees. So plumb names them, and says what it does not see.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from plumb.foreign.fields import printable
from plumb.kernel.foreign import processes, user_namespaces
from plumb.kernel.foreign.processes import Process

STACKS = ("slirp4netns", "pasta", "pasta.avx2", "rootlesskit")
"""Programs that are the network of containers, by their names."""
KEEPERS = ("conmon", "containerd-shim", "rootlesskit")
"""Beginnings of the names of programs one of which every container descends from.

A browser's sandbox has namespaces of that user's as well, and is no container.
"""
DEEP = 64
"""Ancestors of a process that are looked at."""
USERS = "/run/user"
"""Folder of folders of users that are logged in, or have lingering programs."""
SIGNS = ("netns", "libpod", "containers", "docker.pid", "dockerd-rootless")
"""Files of rootless engines in a user's folder."""
NAMED = 8
"""Namespaces of a user that are named in a sentence at most."""


def has_signs() -> bool:
    """Test for a user's folder with files of a rootless engine: plumb reads processes only then."""
    try:
        users = os.listdir(USERS)
    except OSError:
        return False
    return any(os.path.exists(f"{USERS}/{user}/{name}") for user in users for name in SIGNS)


def unseen(running: Iterable[Process]) -> Iterator[str]:
    """Yield a sentence for each user whose containers have such a program in this namespace.

    Args:
        running: the processes of this machine.
    """
    running, here = list(running), processes.identity("")
    stacks = [
        (each, uid)
        for each in running
        if each.name in STACKS
        and each.namespace == here
        and (uid := processes.real_uid(each.pid)) is not None
    ]
    by_pid = {each.pid: each for each in running}
    for uid in dict.fromkeys(uid for _, uid in stacks):
        first: dict[tuple[int, int], Process] = {}
        for each in running:
            if (
                each.namespace != here
                and user_namespaces.maker(each.pid) == uid
                and _is_kept(each, by_pid)
            ):
                first.setdefault(each.namespace, each)
        programs = [each for each, owner in stacks if owner == uid]
        if first:
            yield _sentence(uid, programs, list(first.values()))


def _is_kept(process: Process, by_pid: Mapping[int, Process]) -> bool:
    """Test for a process that descends from a program which keeps containers."""
    above: Process | None = process
    for _ in range(DEEP):
        above = by_pid.get(above.parent) if above is not None else None
        if above is None:
            return False
        if above.name.startswith(KEEPERS):
            return True
    return False


def _sentence(uid: int, programs: list[Process], inside: list[Process]) -> str:
    names = ", ".join(f"{each.name} (pid {each.pid})" for each in programs[:NAMED])
    boxes = ", ".join(f"pid:{each.pid} ({printable(each.name)})" for each in inside[:NAMED])
    more = f" and {len(inside) - NAMED} more" if len(inside) > NAMED else ""
    return (
        f"containers of the rootless engine of uid {uid}, in {boxes}{more}: their network is"
        f" {names}, which sends with sockets of its own, so that no link, route or rule of this"
        f" host is theirs; 'plumb trace pid:{inside[0].pid} TO' shows a packet up to that program"
    )
