"""Links: the objects of `ip link`.

A veth pair has two ends, here always one in the host and its peer in a sandbox. Both ends, their
names, the MTU, the master bridge and the sandbox's netns go to the kernel in one message, so that
no half-made link is ever visible. The host's end is up from the start; an `Up` of its own raises
the peer after it has its addresses, as in Docker.
"""

from __future__ import annotations

from typing import ClassVar

from plumb.frozen import frozen
from plumb.things import HOST, Key, OnLink, Stage, Thing, link_key, namespace_key


@frozen
class InHost(Thing):
    """Link of the host itself; kind is its name in `ip -d link`."""

    stage: ClassVar = Stage.LINK
    kind: ClassVar[str]
    name: str

    @property
    def key(self) -> Key:
        return link_key(HOST, self.name)


@frozen
class Bridge(InHost):
    """`ip link add NAME type bridge`.

    plumb sets the MAC: a bridge without one of its own takes the lowest of its ports', so that it
    would change, and every neighbour's ARP entry go stale, as containers come and go.
    """

    kind: ClassVar = "bridge"
    mac: str
    mtu: int | None = None

    def __str__(self) -> str:
        return f"bridge {self.name}"


@frozen
class Veth(InHost):
    """`ip link add NAME master MASTER up type veth peer name PEER netns PEER_NS`.

    A hairpin port may send a frame back through the port that it came from. A container needs that
    to reach itself through a published port of its own when there is no proxy.
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

    @property
    def stands_on(self) -> tuple[Key, ...]:
        return (namespace_key(self.peer_ns),)

    def __str__(self) -> str:
        return f"veth {self.name} to {self.peer}"


@frozen
class Dummy(InHost):
    """`ip link add NAME type dummy`: a link without a wire, as the parent of others."""

    kind: ClassVar = "dummy"

    def __str__(self) -> str:
        return f"dummy {self.name}"


@frozen
class Vlan(InHost):
    """`ip link add link PARENT name NAME type vlan id ID`.

    It carries the parent's frames with this tag (IEEE 802.1Q).
    """

    kind: ClassVar = "vlan"
    parent: str
    id: int

    def __str__(self) -> str:
        return f"vlan {self.name} on {self.parent}"


@frozen
class OnParent(Thing):
    """Link in a sandbox on top of a link PARENT of the host, which it shares.

    The host's stack does not see its packets.

    One message creates it in the host, where its parent is, and moves it into the sandbox at once.
    Its name is BORN until then: older kernels (6.1) refuse a name that a link of the host has, and
    nearly every host has an eth0.

    It goes with the sandbox's netns, but the kernel does that later, and until then the parent
    refuses another link with the same MAC or IP address. So plumb removes it in a step of its own
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

    @property
    def stands_on(self) -> tuple[Key, ...]:
        return (namespace_key(self.ns),)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} on {self.parent}"


@frozen
class Macvlan(OnParent):
    """`ip link add link PARENT name BORN address MAC netns NS type macvlan mode MODE`.

    A link with a MAC of its own.
    """

    kind: ClassVar = "macvlan"
    mac: str
    mode: str


@frozen
class Ipvlan(OnParent):
    """`ip link add link PARENT name BORN netns NS type ipvlan mode MODE FLAG`.

    A link with its parent's MAC. Mode and flag are the parent's, and the same for all its ipvlan
    links.
    """

    kind: ClassVar = "ipvlan"
    mode: str
    flag: str


@frozen
class Up(OnLink):
    """`ip link set DEV up`: without it the link is down."""

    dev: str
    ns: str = HOST
    stage: ClassVar = Stage.UP

    @property
    def key(self) -> Key:
        return ("up", self.ns, self.dev)

    def __str__(self) -> str:
        return f"link {self.dev} up"


@frozen
class LinkAddress(OnLink):
    """`ip link set DEV address MAC`: a bridge's MAC address, made its own.

    Another program's bridge may have no MAC address of its own. The kernel gives such a bridge the
    lowest of its ports', and none when the last port goes. It keeps an address that was set once,
    so that nothing is left to undo: the address is the one that the bridge had before.
    """

    stage: ClassVar = Stage.LINK
    dev: str
    mac: str
    ns: str = HOST

    @property
    def key(self) -> Key:
        return ("link address", self.ns, self.dev)

    def __str__(self) -> str:
        return f"address {self.mac} of link {self.dev}"
