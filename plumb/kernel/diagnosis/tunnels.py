"""VXLAN links of an overlay network's namespace, and the nodes that they lead to."""

from __future__ import annotations

from collections.abc import Iterable

from plumb.kernel.foreign import dockerd, processes
from plumb.kernel.net.inventory import LinkInventory
from plumb.kernel.net.namespace_state import NamespaceState
from plumb.kernel.netlink.codec import be_number
from plumb.kernel.netlink.uapi.linux_rtnetlink import IFLA_VXLAN_ID, IFLA_VXLAN_PORT
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.netns.references import FOLDERS
from plumb.model.diagnosis.overlay_state import VxlanState
from plumb.model.observations import Netns


def folders(running: Iterable[tuple[int, str]]) -> list[str]:
    """List the folders in which Docker may keep files of namespaces, as seen from here.

    dockerd may have another mount namespace, and another folder for what runs (exec-root).

    Args:
        running: pids and names of processes in this network namespace.
    """
    return [*FOLDERS, *(each.namespaces for each in dockerd.among(running))]


def is_namespace(file: str) -> bool:
    """True for the file of a namespace: without its mount, an empty file is left of it."""
    found, own = processes.identity(file), processes.identity("")
    return found is not None and own is not None and found[0] == own[0]


def read(netns: str) -> tuple[VxlanState, ...]:
    """Read the VXLAN links of a namespace.

    Args:
        netns: its file.

    Raises:
        PlumbError: there is no such namespace.
        OSError: the kernel's errno.
    """
    with LinkInventory(Netns(netns, netns)) as inventory:
        links = [link for link in inventory.link_replies() if link.kind == "vxlan"]
    with entered(netns), NamespaceState() as state:
        return tuple(
            VxlanState(
                link.name,
                link.up,
                link.mtu,
                link.own(IFLA_VXLAN_ID),
                be_number(link.own_bytes(IFLA_VXLAN_PORT)),
                tuple(sorted(set(state.fdb(link.name).values()), key=lambda ip: ip.packed)),
            )
            for link in links
        )
