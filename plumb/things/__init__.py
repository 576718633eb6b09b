"""Things: objects that must exist in a namespace, one frozen value each.

A thing is a noun in iproute2's or iptables' words. It states what exists, never how to create it:
`plumb.kernel` creates it, `plumb.views.shell` prints the command that would, `plumb.plan` decides
when. So each operation on a network is written once, for things, and a driver only lists things.

Things have stages, which is the order in which a careful administrator builds: a namespace before
its contents, links before their addresses, the firewall before the links come up and packets can
pass, and the inside of a sandbox last, all of it in one visit.

    links       Bridge, Veth, Dummy, Vlan, Macvlan, Ipvlan, Master, Up: what `ip link` makes
    vxlan       Vxlan, FdbEntry, Neighbour: frames between hosts, and who is at which host
    ipsec       XfrmState, XfrmPolicy, XfrmBlock: what is encrypted between hosts, and how
    layer3      Address, Route, Sysctl
    iptables    Chain, Rule, Policy, in iptables' spelling
    nftables    NftTable, NftChain, NftMap, NftElement, NftRule, in nft's spelling
    ipvs        IpvsService, IpvsDestination, IpvsTimeouts: one address for many containers
    policy_routing  RoutingRule, TableRoute: a mark chooses a route
    host_ports  Agent, HostPort, Proxy: a published port on the host's side
    dns         Resolver, Names: the embedded DNS server of a sandbox
    cluster     EndpointRecord: an endpoint as other hosts know it
    sandbox     Directory, File, Namespace, Process: what a sandbox stands on
    supervision  HealthProbe, DelayedStart: what the agent does for a container's command
    mounts      of a process that sees the host's files read-only
    registry    all kinds of things by name, for those that were written down
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from plumb.frozen import frozen

Key = tuple[str, ...]

HOST = ""
"""Namespace of the host itself; any other is named by the path of its file."""


class Stage(IntEnum):
    """Place of a thing in the building order; removal goes backwards."""

    NAMESPACE = 0  # folders, files, namespaces
    CHAIN = 1
    LINK = 2
    LINK_SYSCTL = 3
    ADDRESS = 4
    PORT = 5  # before the firewall sends packets to a port that another program may have
    RULE = 6  # before links come up and packets move
    SYSCTL = 7  # forwarding, last of the host's own settings
    UP = 8
    ROUTE = 9
    SERVICE = 10  # proxies, DNS servers, names
    RECORD = 11  # what other hosts are told; all at once, behind what they are told of
    PROCESS = 12
    SUPERVISION = 13  # of a command that runs


@frozen
class Thing:
    """Object that must exist; each subclass is a kind of object."""

    stage: ClassVar[Stage]
    permanent: ClassVar[bool] = False
    """True for an object that cannot be absent, only have another value: a sysctl, a policy."""

    @property
    def key(self) -> Key:
        """Identity: two things with one key are the same object in two states.

        Each kind keeps it with the thing: plans, the journal and the record all ask for it.
        """
        raise NotImplementedError

    @property
    def where(self) -> str:
        """Namespace that it is in: HOST, or the path of a namespace file."""
        return HOST

    @property
    def makes(self) -> tuple[Key, ...]:
        """Keys that come and go with it: its own, and that of a veth's peer."""
        return (self.key,)

    @property
    def uses(self) -> tuple[Key, ...]:
        """Keys of objects with which the kernel removes this one, so that plumb need not."""
        return ()

    @property
    def holds(self) -> tuple[Key, ...]:
        """Keys of objects that the kernel does not remove while this one is there."""
        return ()

    @property
    def stands_on(self) -> tuple[Key, ...]:
        """Keys of objects that it cannot outlast: where one is replaced, it is made anew."""
        return self.uses

    def replaces(self, before: Thing) -> bool:
        """True if it is another object than `before`, with the same key, and not a state of it."""
        return False

    def __str__(self) -> str:
        return " ".join(self.key)


class InNamespace(Thing):
    """Thing in a namespace: the kernel removes it with the namespace."""

    ns: str

    @property
    def where(self) -> str:
        return self.ns

    @property
    def uses(self) -> tuple[Key, ...]:
        return lost_with(self.ns)


class OnLink(InNamespace):
    """Thing on a link: the kernel removes it with the link as well."""

    dev: str

    @property
    def uses(self) -> tuple[Key, ...]:
        return lost_with(self.ns, self.dev)


def link_key(where: str, dev: str) -> Key:
    """Build the key of a link."""
    return ("link", where, dev)


def namespace_key(path: str) -> Key:
    """Build the key of a namespace."""
    return ("namespace", path)


def lost_with(where: str, dev: str | None = None) -> tuple[Key, ...]:
    """List the keys with which the kernel removes a thing: its namespace's, and any link's."""
    return ((link_key(where, dev),) if dev else ()) + ((namespace_key(where),) if where else ())
