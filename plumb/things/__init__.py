"""Things: what must exist in a namespace, one frozen value each.

A thing is a noun in iproute2's or iptables' words. It says what, never how: the kernel door
(`plumb.kernel`) knows how to make it, `plumb.views.shell` how one would type it, `plumb.plan` when.
So everything that can be done with a network is written once, for things, and a driver only has to
name them.

Things come in stages, which is the order in which a careful person builds: a namespace before what
lives in it, links before their addresses, the firewall before the links come up and packets can
pass, and what is inside a sandbox last, all of it in one visit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

Key = tuple[str, ...]

HOST = ""
"""The namespace of the host itself; any other is named by the path of its file."""


class Stage(IntEnum):
    """When a thing's turn comes; taking away goes backwards."""

    GROUND = 0  # folders, files, namespaces
    CHAIN = 1
    LINK = 2
    LINK_SYSCTL = 3
    ADDRESS = 4
    PORT = 5  # a port that somebody else has is found out before the firewall sends packets there
    RULE = 6  # the wall stands before anything moves
    SYSCTL = 7  # forwarding, last of the host's own settings
    UP = 8
    ROUTE = 9
    SERVICE = 10  # who answers: proxies, names
    PROCESS = 11


@dataclass(frozen=True)
class Thing:
    """One object that must exist; the subclasses say which."""

    stage: ClassVar[Stage]
    standing: ClassVar[bool] = False
    """True for what has no absence, only another value: a sysctl, a policy."""

    @property
    def key(self) -> Key:
        """Which one it is: two things with one key are the same object in two states."""
        raise NotImplementedError

    @property
    def where(self) -> str:
        """The namespace it lives in: HOST, or the path of a namespace file."""
        return HOST

    @property
    def makes(self) -> tuple[Key, ...]:
        """The keys that come and go with it: its own, and a veth's other end."""
        return (self.key,)

    @property
    def uses(self) -> tuple[Key, ...]:
        """Keys it is lost with when the kernel drops them, so that nobody need take it away."""
        return ()

    def __str__(self) -> str:
        return " ".join(self.key)


class InNamespace(Thing):
    """A thing of a namespace: it goes when the namespace goes."""

    ns: str

    @property
    def where(self) -> str:
        return self.ns

    @property
    def uses(self) -> tuple[Key, ...]:
        return lost_with(self.ns)


class OnLink(InNamespace):
    """A thing of one link: it goes when the link goes as well."""

    dev: str

    @property
    def uses(self) -> tuple[Key, ...]:
        return lost_with(self.ns, self.dev)


def link_key(where: str, dev: str) -> Key:
    """The key of a link, for what is lost together with it."""
    return ("link", where, dev)


def namespace_key(path: str) -> Key:
    """The key of a namespace."""
    return ("namespace", path)


def lost_with(where: str, dev: str | None = None) -> tuple[Key, ...]:
    """What takes a thing of this namespace, and of this link if any, along when it goes."""
    return ((link_key(where, dev),) if dev else ()) + ((namespace_key(where),) if where else ())
