"""Podman's containers without its API: from conmon, which watches over each of them.

Podman has no daemon, and its API's service runs only where somebody starts it. Its database is
SQLite or BoltDB by version, and names no process. But each container has a conmon as parent of its
first process, whose command line has the container's id (-c) and name (-n). Addresses and networks
are those that the namespace's own links show.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from plumb.foreign import fields
from plumb.foreign.docker_files import IDENT
from plumb.foreign.values import Engine, ForeignContainer, ForeignHost, Source
from plumb.kernel.foreign import processes
from plumb.kernel.foreign.processes import Process
from plumb.model.cnm import Sandbox, Status
from plumb.model.net.targets import Member
from plumb.model.observations import HOST, Netns

CONMON = "conmon"
RUNTIMES = frozenset({CONMON, "crun", "runc"})
"""Names of programs that are no container's, or not yet."""
RUNC_INIT = "runc:["
"""Beginning of the name of runc's first program in a container."""


def read(running: Iterable[Process]) -> ForeignHost:
    """Read the containers of root's Podman that run in the calling thread's namespace.

    A process can give itself any name and any words: a conmon is one that root runs, in plumb's own
    PID namespace, which a container's processes have one below.

    Args:
        running: the processes of this machine.
    """
    here = processes.identity("")
    by_age = sorted(running, key=lambda each: (each.started, each.pid))
    parents = {each.pid for each in by_age if each.name == CONMON and each.namespace == here}
    found: dict[str, ForeignContainer] = {}
    places = {here: Netns(HOST, "")}
    done: set[int] = set()
    for each in by_age:
        mine = each.parent in parents and each.parent not in done
        early = each.name in RUNTIMES or each.name.startswith(RUNC_INIT)
        if mine and not early and processes.is_root_s(each.parent) and _outside(each.parent):
            done.add(each.parent)
            ident, name = _named(each.parent)
            if ident and ident not in found:  # `podman exec` has a conmon, too
                place = Netns(name, processes.namespace_file(each.pid))
                place = places.setdefault(each.namespace, place)
                found[ident] = _container(each.pid, ident, name, place)
    sources = (Source(Engine.PODMAN, CONMON),) if found else ()
    return ForeignHost(tuple(found.values()), sources=sources)


def _outside(conmon: int) -> bool:
    """Test for a process in plumb's own PID namespace."""
    own = processes.identity(processes.pid_namespace_file())
    return own is not None and processes.identity(processes.pid_namespace_file(conmon)) == own


def _named(conmon: int) -> tuple[str, str]:
    """Id and name of a conmon's container; empty where its words are none of Podman's.

    CRI-O has conmon, too. Podman gives it itself as the program to run at the container's end.
    """
    words = processes.command_line(conmon)
    if os.path.basename(processes.option(words, "--exit-command")) != Engine.PODMAN:
        return "", ""
    ident, name = processes.option(words, "-c"), processes.option(words, "-n")
    return (ident, fields.printable(name)) if IDENT.fullmatch(ident) and name else ("", "")


def _container(pid: int, ident: str, name: str, place: Netns) -> ForeignContainer:
    mode = "network" if place.ns else "host"
    member = Member(Sandbox(ident, name, mode=mode, status=Status.RUNNING), place, ())
    source = Source(Engine.PODMAN, CONMON)
    return ForeignContainer(name, member, pid, processes.etc_folder(pid), source)
