"""The host's links, as plumb reads them before it builds a network."""

from __future__ import annotations

from ipaddress import IPv4Network

from plumb.address import IPAddress, IPInterface
from plumb.kernel.net.namespace_state import NamespaceState
from plumb.kernel.netlink.uapi.linux_rtnetlink import RT_SCOPE_LINK


def on_link_networks() -> list[IPv4Network]:
    """The IPv4 networks that the host is directly attached to: routes of scope link.

    They stand in the main table. Docker chooses no subnet that overlaps with one of them.
    """
    with NamespaceState() as state:
        return [
            IPv4Network((found.dst, found.length))
            for found in state.main_table(4)
            if found.scope == RT_SCOPE_LINK and found.length
        ]


def mtu_of(ip: IPAddress) -> int:
    """MTU of the link that has an address, bytes; 1500 where none has it."""
    with NamespaceState() as state:
        dev = state.holder(ip)
        found = state.link(dev) if dev else None
    return 1500 if found is None else found.mtu


def kind_of(name: str) -> str | None:
    """The kind of a link ("bridge", "veth", "" for hardware); None where there is no such link."""
    with NamespaceState() as state:
        found = state.link(name)
    return None if found is None else found.kind


def addresses_of(dev: str, version: int) -> list[IPInterface]:
    """A link's addresses of one family, in the kernel's order."""
    with NamespaceState() as state:
        return state.addresses(dev, version)
