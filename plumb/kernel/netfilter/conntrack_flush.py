"""Deletion of conntrack entries that began under other rules.

The kernel evaluates NAT rules once, for the first packet of a flow. Connection tracking's entry has
the result: the tuple of addresses and ports as packets come in, and the tuple of the replies, which
shows the rewriting. Every further packet follows the entry, even where the rules have changed
since. TCP ends its flows; UDP's last as long as packets come. So a client that keeps sending to a
UDP port which was just published reaches the host, not the container, for ever; and after the
container is gone, its clients keep sending to an address without a host. So plumb, as Docker does,
deletes entries when a published port comes or goes, once the new rules are in place:

    by target    those rewritten to the container's address, of every protocol
    by port      those of UDP that came in for the published port, wherever they went

Of a service's task that is gone the balancer forgets flows by target alone.

TCP that came in for the port and was not rewritten stays: that is the proxy's, or the host's own.

The kernel keeps the entries of all namespaces in one hash table and walks the whole of it for each
dump, 4 to 9 ms for its usual 262,144 buckets; so nothing is asked where there are no entries. Since
Linux 6.11 it deletes by itself what a filter selects, in 0.5 ms for each filter. Before that, and
for many ports, entries are dumped, and an entry that comes through the socket and is read here
costs another 10 µs: few entries are fetched all at once; of many the kernel picks out those that
match each thing that is looked for.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Container, Iterable, Sequence
from typing import NamedTuple

from plumb.address import IPAddress
from plumb.errors import KernelRefused
from plumb.kernel.net import sysctl
from plumb.kernel.netlink import ctnetlink
from plumb.kernel.netlink.ctnetlink import Table
from plumb.model.netns_state import ConntrackEntry
from plumb.things.host_ports import HostPort

FILTERED_FLUSH = (6, 11)
"""The version of Linux since which a flush reads a filter (Table.flush)."""
MOST_FLUSHES = 8
"""As many flushes by a filter take as long as one dump."""
FEW = 1000
"""As many entries are read here in the time in which the kernel walks its table once."""


class ByPort(NamedTuple):
    """UDP flows that came in for a port; on any address of the family where `ip` is None."""

    version: int
    port: int
    ip: IPAddress | None

    def filter(self) -> bytes:
        """A dump's filter for them."""
        return ctnetlink.came_in_for("udp", self.port, self.ip, self.version)

    def flushed(self) -> bytes:
        """A flush's filter for them."""
        return self.filter()


class ByTarget(NamedTuple):
    """Flows whose answers come from an address: that is where their packets go."""

    ip: IPAddress

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.ip.version

    def filter(self) -> bytes:
        """A dump's filter for them."""
        return ctnetlink.answered_from(self.ip)

    def flushed(self) -> bytes:
        """A flush's filter for them, as far as they were rewritten."""
        return self.filter() + ctnetlink.rewritten()


Sought = ByPort | ByTarget


def forget(ports: Iterable[HostPort], few: int = FEW) -> None:
    """Forget the flows that began under other rules than those that these ports have now.

    Docker does so when an endpoint's ports are published and when they are taken back.

    Args:
        ports: ports that came, went, or changed. Rules are as they shall be already: the next
        packet asks them.
        few: entries for each thing that is sought, of more the kernel picks those out.

    Raises:
        KernelRefused: the kernel did not answer as it should. A kernel without connection tracking
        is no error.
    """
    _forget(_sought(ports), few)


def forget_targets(targets: Iterable[IPAddress], few: int = FEW) -> None:
    """Forget the flows that were rewritten to these addresses, where nobody answers any more.

    The next packet of each asks the rules, as the first one did.

    Raises:
        KernelRefused: the kernel did not answer as it should.
    """
    _forget(dict.fromkeys(ByTarget(ip) for ip in targets), few)


def _forget(sought: dict[Sought, None], few: int) -> None:
    there = int(sysctl.read("net/netfilter/nf_conntrack_count") or 0)
    if not sought or not there:
        return
    try:
        with Table() as table:
            if len(sought) <= MOST_FLUSHES and flush_reads_filters():
                for each in sought:
                    table.flush(ctnetlink.FAMILY[each.version], each.flushed())
            else:
                table.delete(_stale(table, sought, there, few))
    except OSError as error:
        raise KernelRefused(
            "forget tracked connections", error.errno or 0, error.strerror or str(error)
        ) from error


def flush_reads_filters() -> bool:
    """Tell whether this kernel deletes no other entries than those that a filter selects."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return version is not None and (int(version[1]), int(version[2])) >= FILTERED_FLUSH


def _stale(
    table: Table, sought: dict[Sought, None], there: int, few: int
) -> Sequence[ConntrackEntry]:
    return [
        flow
        for flow in _candidates(table, sought, there, few)
        if _by_port(flow, sought) or (_by_target(flow, sought) and flow.way.dst != flow.reply.src)
    ]


def dump() -> list[ConntrackEntry]:
    """List the flows of the calling thread's namespace, both families."""
    with Table() as table:
        return list(table.dump())


def _sought(ports: Iterable[HostPort]) -> dict[Sought, None]:
    found: dict[Sought, None] = {}
    for port in ports:
        found[ByTarget(port.to_ip)] = None
        if port.protocol == "udp":
            ip = None if port.ip.is_unspecified else port.ip
            found[ByPort(port.ip.version, port.port, ip)] = None
    return found


def _by_port(flow: ConntrackEntry, sought: Container[Sought]) -> bool:
    way = flow.way
    return flow.protocol == "udp" and any(
        ByPort(flow.version, way.dport, ip) in sought for ip in (None, way.dst)
    )


def _by_target(flow: ConntrackEntry, sought: Container[Sought]) -> bool:
    return ByTarget(flow.reply.src) in sought


def _candidates(
    table: Table, sought: Collection[Sought], there: int, few: int
) -> Iterable[ConntrackEntry]:
    """The flows among which those that are sought are, read in the cheapest way."""
    if there <= few * len(sought):
        return table.dump()
    found: dict[ConntrackEntry, None] = {}
    for each in sought:
        try:
            part = list(table.dump(ctnetlink.FAMILY[each.version], each.filter()))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            return table.dump()
        if not all(_by_port(flow, [each]) or _by_target(flow, [each]) for flow in part):
            return table.dump()  # before Linux 5.8 a filter is not read
        found.update(dict.fromkeys(part))
    return found
