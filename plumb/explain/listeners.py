"""Explanations of programs that listen at a port of this host, by what engines use them for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from plumb.errors import PlumbError
from plumb.explain.explain import Explanation
from plumb.explain.reason import Reason
from plumb.explain.subject import Subject
from plumb.kernel.ports import listeners
from plumb.things.host_ports import at


class KnownProgram(NamedTuple):
    """A program that an engine starts: its owner, what it listens for, and what breaks without."""

    owner: str
    why: str
    without: str


PROGRAMS = {
    "aardvark-dns": KnownProgram(
        "Podman",
        "it answers for the names of containers on a network, at the network's gateway",
        "containers of the network do not know each other's names, nor any other",
    ),
    "conmon": KnownProgram(
        "Podman",
        "it holds a container's published port, so that no other program takes it; netavark's"
        " rules lead connections to the container, and conmon takes none",
        "another program can take the port, and the rules lead its clients away from it",
    ),
    "docker-proxy": KnownProgram(
        "Docker",
        "the user-land proxy of a published port, for what no rule rewrites",
        "127.0.0.1:PORT of this host, and IPv6 to an IPv4 container, are refused",
    ),
    "dockerd": KnownProgram(
        "Docker",
        "it holds a published port, so that no other program takes it (no user-land proxy), or"
        " serves its API",
        "another program can take the port",
    ),
}
PROTOCOLS = ("tcp", "udp", "sctp")


def find(subject: Subject) -> Iterator[Explanation]:
    """Find the programs that listen at a port."""
    for protocol in PROTOCOLS if subject.port else ():
        with suppress(PlumbError):  # a kernel without SCTP
            for each in listeners.all_of(protocol):
                if each.port == subject.port and subject.protocol in ("", protocol):
                    name = each.who.partition(",")[0]
                    yield _explained(f"{at(each.ip, each.port)}/{protocol}", each.who, name)


def _explained(where: str, who: str, name: str) -> Explanation:
    program = PROGRAMS.get(name)
    return Explanation(
        f"listener at {where}",
        "host",
        (),
        Reason(
            "listening socket",
            program.why if program else "a program of this host takes what comes to it",
            program.without if program else "connections to it are refused",
            next=f"to {who}" if who else "",
        ),
        made_by=f"{who}: {program.owner}" if program else who or "not known",
    )
