"""Links: what `ip link` makes.

A veth is a cable with two ends, here always one in the host and one in a sandbox. Both ends, their names, the
MTU, the master bridge and the sandbox's namespace go to the kernel in one message, so that no half-made link
ever shows. The host's end is up from the start; the sandbox's end is raised by an `Up` of its own, after its
addresses are there, as Docker does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plumb.things import HOST, Key, OnLink, Stage, Thing, link_key


@dataclass(frozen=True)
class Bridge(Thing):
    """`ip link add NAME type bridge`.

    The MAC is given, not left to the kernel: a bridge without one of its own takes the lowest of its ports',
    so that it would change, and every neighbour's ARP entry go stale, as containers come and go.
    """

    stage: ClassVar = Stage.LINK
    name: str
    mac: str
    mtu: int | None = None

    @property
    def key(self) -> Key:
        return link_key(HOST, self.name)

    def __str__(self) -> str:
        return f"bridge {self.name}"


@dataclass(frozen=True)
class Veth(Thing):
    """`ip link add NAME master MASTER up type veth peer name PEER netns PEER_NS`.

    A hairpin port may send a frame back to where it came from, which a container needs that reaches itself through a
    published port of its own when no proxy stands in between.
    """

    stage: ClassVar = Stage.LINK
    name: str
    master: str
    peer: str
    peer_ns: str
    peer_mac: str
    mtu: int | None = None
    hairpin: bool = False
    up: bool = True

    @property
    def key(self) -> Key:
        return link_key(HOST, self.name)

    @property
    def makes(self) -> tuple[Key, ...]:
        return (self.key, link_key(self.peer_ns, self.peer))

    def __str__(self) -> str:
        return f"veth {self.name} to {self.peer}"


@dataclass(frozen=True)
class Up(OnLink):
    """`ip link set DEV up`: its absence is a link that is down."""

    dev: str
    ns: str = HOST
    stage: ClassVar = Stage.UP

    @property
    def key(self) -> Key:
        return ("up", self.ns, self.dev)

    def __str__(self) -> str:
        return f"link {self.dev} up"
