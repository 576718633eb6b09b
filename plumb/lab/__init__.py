"""Hosts made of namespaces, several on one machine, with a switch between them.

lan         the segments: subnets, and the addresses of the machines on them
layout      the hosts of a lab and what lies between them, as values and as things
registry    the labs that run, by name, in files below /run
lessons     labs with a page each: what to do, to look at, to break and to mend
faults      faults hidden in a lab, to be found
commands    command lines on a host: plumb's, a shell, their environment
process     the lab's process: the switches' namespace, and the parent of its hosts
name_server  a name server in the lab's internet, a process of the lab's
hosts       labs for the library: Hosts, LabHost

Each host is a process tree of its own (`kernel.netns.fake_host`): network, mount, UTS, IPC and pid
namespaces, an empty /run, a root of plumb's on it. All of them end with the lab's process, and the
kernel takes away whatever they built.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plumb.lab.hosts import Hosts, LabHost

__all__ = ["Hosts", "LabHost"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name in __all__:
        from plumb.lab import hosts

        return getattr(hosts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
