"""Links, addresses and routes of one namespace, read by rtnetlink as they are asked for.

A few links are asked for one by one, by their names. For many, one dump of all costs less: the
kernel walks its list once, and plumb takes the few attributes that it needs out of the bytes.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from functools import cached_property
from ipaddress import ip_address, ip_interface
from typing import Self

from plumb.address import IPAddress, IPInterface, family
from plumb.frozen import frozen
from plumb.kernel.netlink.codec import (
    attribute,
    attribute_u32,
    attributes,
    chosen_attributes,
    number,
    text,
)
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    DEVCONF_ACCEPT_RA,
    DEVCONF_DISABLE_IPV6,
    IFA_ADDRESS,
    IFA_LOCAL,
    IFADDRMSG,
    IFF_UP,
    IFINFOMSG,
    IFLA_ADDRESS,
    IFLA_AF_SPEC,
    IFLA_BRPORT_MODE,
    IFLA_EXT_MASK,
    IFLA_IFNAME,
    IFLA_INET6_CONF,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_INFO_SLAVE_DATA,
    IFLA_INFO_SLAVE_KIND,
    IFLA_LINK,
    IFLA_LINK_NETNSID,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    IPVLAN_MODE_L2,
    IPVLAN_MODE_L3,
    IPVLAN_MODE_L3S,
    MACVLAN_MODE_BRIDGE,
    MACVLAN_MODE_PASSTHRU,
    MACVLAN_MODE_PRIVATE,
    MACVLAN_MODE_VEPA,
    NDA_DST,
    NDA_LLADDR,
    NDMSG,
    NTF_SELF,
    NUD_PERMANENT,
    RT_TABLE_MAIN,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTA_TABLE,
    RTEXT_FILTER_SKIP_STATS,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTMSG,
)

MODES = {
    "macvlan": {
        MACVLAN_MODE_PRIVATE: "private",
        MACVLAN_MODE_VEPA: "vepa",
        MACVLAN_MODE_BRIDGE: "bridge",
        MACVLAN_MODE_PASSTHRU: "passthru",
    },
    "ipvlan": {IPVLAN_MODE_L2: "l2", IPVLAN_MODE_L3: "l3", IPVLAN_MODE_L3S: "l3s"},
}
"""The name that iproute2 has for a link's mode, by kind of link and the kernel's number."""
MODE_NUMBERS = {
    kind: {name: number for number, name in modes.items()} for kind, modes in MODES.items()
}
NOT_THERE = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.ENETUNREACH})
"""How the kernel says that there is no such object."""
FEW = 8
"""Links, or addresses, that are asked for one by one; for more, all are dumped."""
NO_STATISTICS = attribute_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
"""Attribute of a request for links: the kernel leaves out half of each answer."""

IPV6_CONF = {"accept_ra": DEVCONF_ACCEPT_RA, "disable_ipv6": DEVCONF_DISABLE_IPV6}
"""Settings net/ipv6/conf/LINK/… that a link's message has too, each with its index there."""
_READ = frozenset(
    {IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINK, IFLA_LINKINFO, IFLA_LINK_NETNSID, IFLA_MASTER, IFLA_MTU}
) | {IFLA_AF_SPEC}
"""Attributes of a link that `LinkReply` has properties for."""


@frozen
class LinkReply:
    """A link's message: struct ifinfomsg's index and flags, and those attributes that are read."""

    index: int
    flags: int
    attributes: dict[int, bytes]

    @classmethod
    def read(cls, payload: bytes) -> LinkReply:
        """Read what follows a message's header."""
        _, _, index, flags, _ = IFINFOMSG.unpack_from(payload)
        return cls(index, flags, chosen_attributes(payload, IFINFOMSG.size, _READ))

    @property
    def name(self) -> str:
        """Name (IFLA_IFNAME)."""
        return text(self.attributes[IFLA_IFNAME])

    @property
    def up(self) -> bool:
        """True if the link is administratively up."""
        return bool(self.flags & IFF_UP)

    @property
    def mac(self) -> str:
        """Address, six bytes in hexadecimal with colons."""
        return self.attributes.get(IFLA_ADDRESS, b"").hex(":")

    @property
    def mtu(self) -> int:
        """MTU, bytes."""
        return number(self.attributes.get(IFLA_MTU, b""))

    @property
    def parent(self) -> int:
        """Index of the link below, or of a veth's peer, there (IFLA_LINK)."""
        return number(self.attributes.get(IFLA_LINK, b""))

    @property
    def peer_nsid(self) -> int | None:
        """The nsid of that other link's namespace, None where it is in this one."""
        nsid = self.attributes.get(IFLA_LINK_NETNSID)
        return None if nsid is None else number(nsid)

    @property
    def master_index(self) -> int:
        """Index of the bridge that the link is a port of, 0 for none."""
        return number(self.attributes.get(IFLA_MASTER, b""))

    @cached_property
    def _about(self) -> dict[int, bytes]:
        return attributes(self.attributes.get(IFLA_LINKINFO, b""))

    @property
    def kind(self) -> str:
        """Kind of link, "bridge", "veth"; empty for hardware."""
        return text(self._about.get(IFLA_INFO_KIND, b""))

    def own(self, kind: int) -> int:
        """Number of an attribute that only links of this kind have (IFLA_INFO_DATA); 0 for none."""
        return number(self.own_bytes(kind))

    def own_bytes(self, kind: int) -> bytes:
        """Bytes of such an attribute, none where the link does not have it."""
        return attributes(self._about.get(IFLA_INFO_DATA, b"")).get(kind, b"")

    @property
    def is_bridge_port(self) -> bool:
        """True if the link is a port of a bridge."""
        return self._about.get(IFLA_INFO_SLAVE_KIND, b"").startswith(b"bridge")

    @property
    def port(self) -> dict[int, bytes]:
        """Attributes of the link as a port (IFLA_BRPORT_…)."""
        return attributes(self._about.get(IFLA_INFO_SLAVE_DATA, b""))

    def ipv6_conf(self, setting: str) -> int | None:
        """Value of a setting of `IPV6_CONF`; None where the link has no IPv6."""
        families = attributes(self.attributes.get(IFLA_AF_SPEC, b""))
        conf = attributes(families.get(socket.AF_INET6, b"")).get(IFLA_INET6_CONF, b"")
        at = 4 * IPV6_CONF[setting]
        return struct.unpack_from("=i", conf, at)[0] if len(conf) >= at + 4 else None

    @property
    def hairpin(self) -> bool:
        """True if a bridge sends a frame back by the port that it came from."""
        return bool(number(self.port.get(IFLA_BRPORT_MODE, b"")))


@frozen
class RouteReply:
    """A route of the main table.

    Attributes:
        dst: the destination's address in network byte order, all zeros for a default route.
        length: of the destination's prefix, bits.
        via: the router, None for a destination on the link; dev: the link's index.
        protocol: who made it (RTPROT_…); scope: how far the destination is (RT_SCOPE_…).
    """

    dst: bytes
    length: int
    via: IPAddress | None
    dev: int
    protocol: int
    scope: int


class NamespaceState:
    """A connection to the namespace that the calling thread is in, and what was read of it.

    Args:
        links: how many links will be asked for.
        addresses: how many addresses will be.
        few: links that are asked for by name; for more, all are dumped.
    """

    def __init__(self, links: int = 1, addresses: int = 1, few: int = FEW) -> None:
        self._connection = Connection(NETLINK_ROUTE, strict=True)
        self._many_links, self._many_addresses = links > few, addresses > FEW
        self._known: dict[str, LinkReply | None] = {}
        self._addresses: dict[int, dict[int, list[tuple[bytes, int]]]] = {}
        self._routes: dict[int, list[RouteReply]] = {}
        self._routed: dict[int, frozenset[tuple[bytes, int, int]]] = {}
        self._neighbours: dict[int, dict[str, dict[IPAddress, str]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def link(self, name: str) -> LinkReply | None:
        """Read a link, once; None where there is none of that name."""
        if self._many_links:
            return self._links.get(name)
        if name not in self._known:
            self._known[name] = self._ask(name)
        return self._known[name]

    def _ask(self, name: str) -> LinkReply | None:
        body = IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + NO_STATISTICS
        body += attribute(IFLA_IFNAME, name)
        try:
            return LinkReply.read(self._connection.get(RTM_GETLINK, body))
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise

    @cached_property
    def _links(self) -> dict[str, LinkReply]:
        body = IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + NO_STATISTICS
        found = map(LinkReply.read, self._connection.dump(RTM_GETLINK, body))
        return {link.name: link for link in found}

    def addresses(self, dev: str, version: int) -> list[IPInterface]:
        """The addresses of one family on a link; none where there is no such link."""
        return [ip_interface(ip) for ip in self._packed(dev, version)]

    def has_address(self, dev: str, ip: IPInterface) -> bool:
        """Tell whether a link has an address, with that prefix."""
        return (ip.packed, ip.network.prefixlen) in self._packed(dev, ip.version)

    def _packed(self, dev: str, version: int) -> list[tuple[bytes, int]]:
        """A link's addresses of one family, each with the length of its prefix, bits."""
        link = self.link(dev)
        if link is None:
            return []
        if not self._many_addresses:
            return [ip for _, ip in self._dump_addresses(version, link.index)]
        if version not in self._addresses:
            by_link = self._addresses.setdefault(version, {})
            for index, ip in self._dump_addresses(version, 0):
                by_link.setdefault(index, []).append(ip)
        return self._addresses[version].get(link.index, [])

    def holder(self, ip: IPAddress) -> str:
        """Name of the link that has an address, empty where none has it."""
        found = self._dump_addresses(ip.version, 0)
        return next((self.name_of(link) for link, own in found if own[0] == ip.packed), "")

    def _dump_addresses(self, version: int, index: int) -> Iterator[tuple[int, tuple[bytes, int]]]:
        body = IFADDRMSG.pack(family(version), 0, 0, 0, index)
        for payload in self._dump(RTM_GETADDR, body):
            _, prefix, _, _, link = IFADDRMSG.unpack_from(payload)
            found = attributes(payload, IFADDRMSG.size)
            packed = found.get(IFA_LOCAL) or found[IFA_ADDRESS]  # the latter without a peer
            yield link, (packed, prefix)

    def permanent_neighbours(self, dev: str, version: int) -> dict[IPAddress, str]:
        """Neighbours on a link that somebody wrote down: the MAC address of each IP address."""
        if version not in self._neighbours:
            by_link = self._neighbours.setdefault(version, {})
            for payload in self._dump(RTM_GETNEIGH, NDMSG.pack(family(version), 0, 0, 0, 0)):
                _, link, state, _, _ = NDMSG.unpack_from(payload)
                found = attributes(payload, NDMSG.size)
                if state & NUD_PERMANENT and NDA_DST in found:
                    mac = found.get(NDA_LLADDR, b"").hex(":")
                    by_link.setdefault(self.name_of(link), {})[ip_address(found[NDA_DST])] = mac
        return self._neighbours[version].get(dev, {})

    def fdb(self, dev: str) -> dict[str, IPAddress]:
        """The VTEP of each MAC address that somebody wrote down in a VXLAN link's table."""
        return self._fdb.get(dev, {})

    @cached_property
    def _fdb(self) -> dict[str, dict[str, IPAddress]]:
        by_link: dict[str, dict[str, IPAddress]] = {}
        for payload in self._dump(RTM_GETNEIGH, NDMSG.pack(socket.AF_BRIDGE, 0, 0, 0, 0)):
            _, link, state, flags, _ = NDMSG.unpack_from(payload)
            found = attributes(payload, NDMSG.size)
            if flags & NTF_SELF and state & NUD_PERMANENT and NDA_DST in found:
                mac = found.get(NDA_LLADDR, b"").hex(":")
                by_link.setdefault(self.name_of(link), {})[mac] = ip_address(found[NDA_DST])
        return by_link

    def main_table(self, version: int) -> list[RouteReply]:
        """The routes of the main table, one family's."""
        if version not in self._routes:
            body = RTMSG.pack(family(version), 0, 0, 0, RT_TABLE_MAIN, 0, 0, 0, 0)
            replies = map(_route, self._dump(RTM_GETROUTE, body))
            self._routes[version] = [reply for reply in replies if reply is not None]
        return self._routes[version]

    def is_connected(self, dev: str, ip: IPInterface) -> bool:
        """Tell whether the kernel's route to an address's subnet is there.

        An address of a prefix of its own has none, and no link that is down has any.
        """
        link = self.link(dev)
        if link is None or not link.up or ip.network.num_addresses == 1:
            return True
        wanted = (ip.network.network_address.packed, ip.network.prefixlen, link.index)
        return wanted in self._destinations(ip.version)

    def _destinations(self, version: int) -> frozenset[tuple[bytes, int, int]]:
        """Destinations of the main table, each with the length of its prefix and its link."""
        if version not in self._routed:
            routes = self.main_table(version)
            self._routed[version] = frozenset((way.dst, way.length, way.dev) for way in routes)
        return self._routed[version]

    def name_of(self, index: int) -> str:
        """A link's name by its index, empty where there is none."""
        if self._many_links:
            return self._names.get(index, "")
        for link in self._known.values():
            if link is not None and link.index == index:
                return link.name
        return name_of(index)

    @cached_property
    def _names(self) -> dict[int, str]:
        return {link.index: name for name, link in self._links.items()}

    def _dump(self, kind: int, body: bytes) -> list[bytes]:
        try:
            return self._connection.dump(kind, body)
        except OSError as error:
            if error.errno in NOT_THERE:
                return []
            raise


def _route(payload: bytes) -> RouteReply | None:
    """A route, None for one of another table."""
    version, length, _, _, table, protocol, scope, _, _ = RTMSG.unpack_from(payload)
    found = attributes(payload, RTMSG.size)
    if (number(found.get(RTA_TABLE, b"")) or table) != RT_TABLE_MAIN:
        return None
    via = found.get(RTA_GATEWAY)
    return RouteReply(
        found.get(RTA_DST, bytes(4 if version == socket.AF_INET else 16)),
        length,
        ip_address(via) if via else None,
        number(found.get(RTA_OIF, b"")),
        protocol,
        scope,
    )


def name_of(index: int) -> str:
    """A link's name by its index, empty where there is none."""
    try:
        return socket.if_indextoname(index) if index else ""
    except OSError:
        return ""
