"""Links: what `ip link` makes.

A veth is a cable with two ends, here always one in the host and one in a sandbox. Both ends, their
names, the MTU, the master bridge and the sandbox's namespace go to the kernel in one message, so
that no half-made link ever shows. The host's end is up from the start; the sandbox's end is raised
by an `Up` of its own, after its addresses are there, as Docker does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plumb.things import HOST, Key, OnLink, Stage, Thing, link_key


@dataclass(frozen=True)
class InHost(Thing):
    """A link of the host itself; kind is what `ip -d link` calls it."""

    stage: ClassVar = Stage.LINK
    kind: ClassVar[str]
    name: str

    @property
    def key(self) -> Key:
        return link_key(HOST, self.name)


@dataclass(frozen=True)
class Bridge(InHost):
    """`ip link add NAME type bridge`.

    The MAC is given, not left to the kernel: a bridge without one of its own takes the lowest of
    its ports', so that it would change, and every neighbour's ARP entry go stale, as containers
    come and go.
    """

    kind: ClassVar = "bridge"
    mac: str
    mtu: int | None = None

    def __str__(self) -> str:
        return f"bridge {self.name}"


@dataclass(frozen=True)
class Veth(InHost):
    """`ip link add NAME master MASTER up type veth peer name PEER netns PEER_NS`.

    A hairpin port may send a frame back to where it came from, which a container needs that reaches
    itself through a published port of its own when no proxy stands in between.
    """

    kind: ClassVar = "veth"
    master: str
    peer: str
    peer_ns: str
    peer_mac: str
    mtu: int | None = None
    hairpin: bool = False
    up: bool = True

    @property
    def makes(self) -> tuple[Key, ...]:
        return (self.key, link_key(self.peer_ns, self.peer))

    def __str__(self) -> str:
        return f"veth {self.name} to {self.peer}"


@dataclass(frozen=True)
class Dummy(InHost):
    """`ip link add NAME type dummy`: a link that leads nowhere, for others to stand on."""

    kind: ClassVar = "dummy"

    def __str__(self) -> str:
        return f"dummy {self.name}"


@dataclass(frozen=True)
class Vlan(InHost):
    """`ip link add link PARENT name NAME type vlan id ID`.

    What has this tag (IEEE 802.1Q) on the parent's wire.
    """

    kind: ClassVar = "vlan"
    parent: str
    id: int

    def __str__(self) -> str:
        return f"vlan {self.name} on {self.parent}"


@dataclass(frozen=True)
class OnParent(Thing):
    """A link in a sandbox that is a second one of the host's link PARENT.

    The host itself sees nothing of it.

    One message makes it in the host, where its parent is, and puts it into the sandbox at once. It
    is called BORN meanwhile: older kernels (6.1) refuse a name that the host has a link of, and
    nearly every host has an eth0.

    It goes with the sandbox's namespace, but the kernel takes its time with that, and until then
    the parent refuses another link with the same MAC or IP address. So it is taken away by itself
    first.
    """

    stage: ClassVar = Stage.LINK
    kind: ClassVar[str]
    name: str
    parent: str
    ns: str
    born: str

    @property
    def key(self) -> Key:
        return link_key(self.ns, self.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} on {self.parent}"


@dataclass(frozen=True)
class Macvlan(OnParent):
    """`ip link add link PARENT name BORN address MAC netns NS type macvlan mode MODE`.

    One with a MAC of its own.
    """

    kind: ClassVar = "macvlan"
    mac: str
    mode: str


@dataclass(frozen=True)
class Ipvlan(OnParent):
    """`ip link add link PARENT name BORN netns NS type ipvlan mode MODE FLAG`.

    One with its parent's MAC.

    Mode and flag are the parent's, and the same for all its ipvlan links.
    """

    kind: ClassVar = "ipvlan"
    mode: str
    flag: str


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
