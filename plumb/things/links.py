"""Links: the objects of `ip link`.

A veth pair has two ends, here always one at a bridge, in the host or in an overlay network's
netns, and its peer in a sandbox. Both ends, their names, the MTU, the master bridge and the
sandbox's netns go to the kernel in one message, so that no half-made link is ever visible. The
bridge's end is up from the start; an `Up` of its own raises the peer after it has its addresses, as
in Docker.
"""

from __future__ import annotations

from dataclasses import field
from functools import cached_property
from typing import ClassVar

from plumb.frozen import frozen
from plumb.things import (
    HOST,
    InNamespace,
    Key,
    OnLink,
    Stage,
    Thing,
    link_key,
    lost_with,
    namespace_key,
)


@frozen
class InPlace(InNamespace):
    """Link that is made in the namespace in which it stays; kind is its name in `ip -d link`."""

    stage: ClassVar = Stage.LINK
    kind: ClassVar[str]
    name: str
    ns: str = field(default=HOST, kw_only=True)

    @cached_property
    def key(self) -> Key:
        return link_key(self.ns, self.name)


@frozen
class Bridge(InPlace):
    """`ip link add NAME type bridge`.

    plumb sets the MAC: a bridge without one of its own takes the lowest of its ports', so that it
    would change, and every neighbour's ARP entry go stale, as containers come and go.

    Attributes:
        default_pvid: the VLAN of its ports' untagged frames; 0 for none, None for the kernel's
            choice.
    """

    kind: ClassVar = "bridge"
    mac: str
    mtu: int | None = None
    default_pvid: int | None = None

    def __str__(self) -> str:
        return f"bridge {self.name}"


@frozen
class Veth(InPlace):
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
    def uses(self) -> tuple[Key, ...]:
        return ()  # the kernel removes it with either netns, but later: plumb does not wait for it

    @property
    def stands_on(self) -> tuple[Key, ...]:
        return (namespace_key(self.peer_ns), *lost_with(self.ns))

    def __str__(self) -> str:
        return f"veth {self.name} to {self.peer}"


@frozen
class Dummy(InPlace):
    """`ip link add NAME type dummy`: a link without a wire, as the parent of others."""

    kind: ClassVar = "dummy"

    def __str__(self) -> str:
        return f"dummy {self.name}"


@frozen
class Vlan(InPlace):
    """`ip link add link PARENT name NAME type vlan id ID`.

    It carries the parent's frames with this tag (IEEE 802.1Q).
    """

    kind: ClassVar = "vlan"
    parent: str
    id: int

    def __str__(self) -> str:
        return f"vlan {self.name} on {self.parent}"


class Moved(Thing):
    """Link of another namespace that one message creates in the host and moves there at once.

    Its name is BORN until then: older kernels (6.1) refuse a name that a link of the host has, and
    nearly every host has an eth0.

    It goes with its netns, but the kernel does that later, and until then it refuses another link
    of the same kind in its place. So plumb removes it in a step of its own first.
    """

    stage: ClassVar = Stage.LINK
    kind: ClassVar[str]
    name: str
    ns: str
    born: str

    @cached_property
    def key(self) -> Key:
        return link_key(self.ns, self.name)

    @property
    def stands_on(self) -> tuple[Key, ...]:
        return (namespace_key(self.ns),)


@frozen
class OnParent(Moved):
    """Link in a sandbox on top of a link PARENT of the host, which it shares.

    The host's stack does not see its packets. The parent refuses a second link with the same MAC or
    IP address, whatever netns it is in.
    """

    name: str
    parent: str
    ns: str
    born: str

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
class Master(OnLink):
    """`ip link set DEV master BRIDGE`: a link as a port of a bridge, where it was not born one."""

    dev: str
    bridge: str
    ns: str = HOST
    stage: ClassVar = Stage.LINK_SYSCTL

    @cached_property
    def key(self) -> Key:
        return ("master", self.ns, self.dev)

    @property
    def uses(self) -> tuple[Key, ...]:
        return (*lost_with(self.ns, self.dev), link_key(self.ns, self.bridge))

    def __str__(self) -> str:
        return f"master {self.bridge} of link {self.dev}"


@frozen
class Up(OnLink):
    """`ip link set DEV up`: without it the link is down."""

    dev: str
    ns: str = HOST
    stage: ClassVar = Stage.UP

    @cached_property
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

    @cached_property
    def key(self) -> Key:
        return ("link address", self.ns, self.dev)

    def __str__(self) -> str:
        return f"address {self.mac} of link {self.dev}"
