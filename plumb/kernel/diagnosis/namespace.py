"""State of one network namespace, read once: links, addresses, routes, neighbours, sockets.

A host may have hundreds of containers, so each part is one dump of the kernel, some 2 ms a
namespace. Owners of sockets are found in one walk through all processes, for all namespaces.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from plumb.errors import PlumbError
from plumb.frozen import replace
from plumb.kernel.diagnosis import routing, rule_sets
from plumb.kernel.net import sysctl
from plumb.kernel.net.inventory import LinkInventory
from plumb.kernel.netlink.sock_diag import PROTOCOLS, Socket, sockets
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.netns.setns import SELF
from plumb.kernel.ports.listeners import WAITING, sockets_of
from plumb.model.diagnosis.snapshot import (
    ADDRESSES,
    COUNTERS,
    LINKS,
    NEIGHBOURS,
    POLICY,
    ROUTES,
    SOCKETS,
    ChainState,
    NamespaceState,
)
from plumb.model.netns_state import Link, Listener
from plumb.model.observations import Netns

T = TypeVar("T")
LONGEST, LONGEST_TABLE = 1 << 16, 4 << 20
"""Bytes of a file that are read; of one with a line for each link or processor."""
COMMON = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/all/disable_ipv6",
)
OF_HOST = (
    "net/ipv4/conf/all/accept_redirects",
    "net/ipv4/conf/default/forwarding",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_max",
    "net/ipv4/neigh/default/gc_thresh3",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
)
COUNTED = frozenset(
    {
        "IPReversePathFilter",
        "TCPSynRetrans",
        "IpInReceives",
        "Ip6InReceives",
        "TcpInSegs",
        "TcpInCsumErrors",
        "UdpInDatagrams",
        "UdpInCsumErrors",
    }
)
TRACKED = frozenset({"invalid", "early_drop"})
"""Counters that are kept, of /proc/net/netstat, /proc/net/snmp and connection tracking."""
OF_LINK = ("rp_filter", "forwarding", "route_localnet")
MOST_LINKS = 64
"""Links of the host whose settings are read; ports of bridges are none of them."""


def read(
    place: Netns, *, host: bool = False, published: Collection[tuple[str, int]] = ()
) -> tuple[NamespaceState, dict[Listener, int]]:
    """Read a namespace.

    Args:
        place: its name and file.
        host: it is the host's own, of which more is read.
        published: protocols and ports of its own that are published: where nobody listens at one,
            a rule of NAT in there may lead it elsewhere.

    Returns:
        Its state without its listeners' owners; the inodes of their sockets.

    Raises:
        PlumbError: there is no such namespace.
    """
    reader = _Reader()
    with LinkInventory(place) as inventory, entered(place.ns):
        links = reader.part(LINKS, inventory.links)
        names = {link.index: link.name for link in links}
        listening = dict(reader.part(SOCKETS, lambda: list(_listeners())))
        state = NamespaceState(
            place.name,
            links,
            reader.part(ADDRESSES, lambda: inventory.addresses(links)),
            tuple(reader.part(ROUTES, lambda: routing.routes(names))),
            tuple(reader.part(POLICY, routing.rules)),
            reader.part(NEIGHBOURS, lambda: inventory.neighbours(links)),
            tuple(listening),
            tuple(_settings(links, host)),
            tuple(reader.part(COUNTERS, lambda: list(_counters(host)))),
            () if host else tuple(reader.part(COUNTERS, lambda: list(_received()))),
            tuple(_chains(reader.failed, host, set(published) - _heard(listening))),
            wireless=tuple(reader.part(LINKS, lambda: list(_wireless()))),
        )
    return replace(state, unread=tuple(reader.failed)), listening


def _heard(listening: Iterable[Listener]) -> set[tuple[str, int]]:
    return {(each.protocol, each.port) for each in listening}


def _chains(failed: list[str], host: bool, silent: Collection[tuple[str, int]]) -> list[ChainState]:
    """Read the rules of a namespace, of a container's only what may matter."""
    if host:
        return rule_sets.chains(failed)
    if silent:
        return rule_sets.chains(failed, rule_sets.LARGEST)
    return rule_sets.of_container(failed)


class _Reader:
    """Reads parts, and notes those that cannot be read."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def part(self, what: str, read_it: Callable[[], T]) -> T:
        """Read a part; empty where that fails."""
        try:
            return read_it()
        except (OSError, PlumbError) as error:
            self.failed.append(f"{what}: {error}")
            empty: T = ()  # type: ignore[assignment]  # all parts are sequences
            return empty


def _listeners() -> Iterator[tuple[Listener, int]]:
    for protocol in PROTOCOLS:
        for version in (4, 6):
            for each in sockets(protocol, version, (WAITING[protocol],)):
                if each.port:
                    yield _listener(each), each.inode


def _listener(each: Socket) -> Listener:
    return Listener(each.protocol, each.ip, each.port, each.v6only)


def _settings(links: Sequence[Link], host: bool) -> Iterator[tuple[str, str]]:
    # The kernel tells nothing of IPv4 by IPv6's names; each setting is a file.
    names = [*COMMON, *(OF_HOST if host else ())]
    routed = [link for link in links if not link.master][:MOST_LINKS] if host else ()
    names += [f"net/ipv4/conf/{link.name}/{each}" for link in routed for each in OF_LINK]
    names += [f"net/ipv6/conf/{link.name}/accept_ra" for link in routed]
    for name in names:
        value = sysctl.read(name)
        if value is not None:
            yield name, value


def _counters(host: bool) -> Iterator[tuple[str, int]]:
    """Read counters of `COUNTED`; of the host, what connection tracking has counted as well."""
    for file in ("netstat", "snmp"):
        lines = _lines(file)
        for heads, values in zip(lines[::2], lines[1::2], strict=False):
            protocol, *names = heads.split()
            prefix = "" if file == "netstat" else protocol.rstrip(":")
            for name, value in zip(names, values.split()[1:], strict=False):
                if prefix + name in COUNTED:
                    yield prefix + name, int(value)
    for name, value in (line.split() for line in _lines("snmp6")):
        if name in COUNTED:
            yield name, int(value)
    yield from _of_tracking() if host else ()


def _of_tracking() -> Iterator[tuple[str, int]]:
    """Sum what each processor has counted (/proc/net/stat/nf_conntrack)."""
    head, *lines = _lines("stat/nf_conntrack") or [""]
    columns = zip(*(line.split() for line in lines), strict=False)
    for name, values in zip(head.split(), columns, strict=False):
        if name in TRACKED:
            yield f"conntrack {name}", sum(int(value, 16) for value in values)


def _received() -> Iterator[tuple[str, int]]:
    """Read how many packets came in by each link (/proc/net/dev)."""
    for line in _lines("dev")[2:]:
        name, _, numbers = line.strip().rpartition(":")
        if name != "lo":
            yield name, int(numbers.split()[1])


def _lines(name: str) -> list[str]:
    """Read the lines of a file of the namespace's in /proc; none where there is none.

    Raises:
        OSError: it is longer than plumb reads.
    """
    try:
        with open(f"/proc/thread-self/net/{name}", "rb") as file:
            whole = file.read(LONGEST_TABLE + 1)
    except FileNotFoundError:
        return []
    if len(whole) > LONGEST_TABLE:
        raise OSError(errno.EFBIG, f"/proc/net/{name} has more than {LONGEST_TABLE >> 20} MiB")
    return whole.decode(errors="replace").splitlines()


def _wireless() -> Iterator[str]:
    for line in _lines("wireless")[2:]:
        yield line.partition(":")[0].strip()


def text(path: str, longest: int = LONGEST) -> str:
    """Read a text file, up to so many bytes; empty where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(longest).decode(errors="replace")
    except OSError:
        return ""


def peers(
    host: Netns, others: Iterable[tuple[Netns, NamespaceState]], state: NamespaceState
) -> tuple[tuple[str, str, str], ...]:
    """Find the namespaces and names of the other ends of the host's veth links."""
    found: list[tuple[str, str, str]] = []
    with LinkInventory(host) as inventory:
        spaces: dict[int, NamespaceState] = {}
        for place, other in others:
            with suppress(OSError):
                descriptor = os.open(place.ns or SELF, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    nsid = inventory.number_of(descriptor)
                finally:
                    os.close(descriptor)
                if nsid is not None:
                    spaces[nsid] = other
    named = {
        number: {link.index: link.name for link in space.links} for number, space in spaces.items()
    }
    for link in state.links:
        space = (
            spaces.get(link.peer_ns) if link.kind == "veth" and link.peer_ns is not None else None
        )
        if space is not None and link.peer_ns is not None:
            found.append((link.name, space.name, named[link.peer_ns].get(link.peer, "")))
    return tuple(found)


def owners(inodes: frozenset[int]) -> dict[int, str]:
    """Find the programs that have sockets, in one walk through all processes.

    Returns:
        "nginx, pid 4711" by inode.
    """
    found: dict[int, str] = {}
    for entry in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        if len(found) == len(inodes):
            break
        mine = inodes.intersection(sockets_of(int(entry))) - found.keys()
        if mine:
            name = text(f"/proc/{entry}/comm").strip()
            found.update(dict.fromkeys(mine, f"{name}, pid {entry}"))
    return found


def resolv_and_hosts(folder: str) -> tuple[str, str]:
    """Read resolv.conf and hosts in a folder."""
    base = Path(folder)
    return text(str(base / "resolv.conf")), text(str(base / "hosts"))
