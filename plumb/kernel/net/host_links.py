"""The host's links, as plumb reads them before it builds a network."""

from __future__ import annotations

from ipaddress import IPv4Network

from plumb.address import IPInterface
from plumb.kernel.net.link_messages import link
from plumb.kernel.net.links import addresses, main_table
from plumb.kernel.netlink.rtnetlink import RouteSocket
from plumb.kernel.netlink.uapi.linux_rtnetlink import RT_SCOPE_LINK, RTM_GETLINK


def on_link_networks() -> list[IPv4Network]:
    """The IPv4 networks that the host is directly attached to: routes of scope link.

    They stand in the main table. Docker chooses no subnet that overlaps with one of them.
    """
    with RouteSocket() as kernel:
        return [
            IPv4Network(f"{found.get_attr('RTA_DST')}/{found['dst_len']}")
            for found in main_table(kernel, 4)
            if found["scope"] == RT_SCOPE_LINK and found.get_attr("RTA_DST") and found["dst_len"]
        ]


def kind_of(name: str) -> str | None:
    """The kind of a link ("bridge", "veth", "" for hardware); None where there is no such link."""
    with RouteSocket() as kernel:
        found = kernel.get(RTM_GETLINK, link(name))
    if found is None:
        return None
    info = found.get_attr("IFLA_LINKINFO")
    return (info.get_attr("IFLA_INFO_KIND") if info else "") or ""


def addresses_of(dev: str, version: int) -> list[IPInterface]:
    """A link's addresses of one family, in the kernel's order."""
    with RouteSocket() as kernel:
        return addresses(kernel, dev, version)
