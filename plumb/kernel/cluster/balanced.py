"""Connections that a balancer has given to a service's tasks.

IPVS counts all that have come since the task is behind it; the kernel adds up what its processors
have counted every two seconds. Where rules balance, connection tracking
knows the connections of now, and nobody counts those that have ended.
"""

from __future__ import annotations

import errno

from plumb.address import IPAddress
from plumb.errors import KernelRefused
from plumb.frozen import frozen
from plumb.kernel.cluster import ipvs
from plumb.kernel.netlink.ctnetlink import Table
from plumb.kernel.netns.namespaces import entered
from plumb.model.service.virtual import Backend, Mechanism, VirtualService

ACTIVE = frozenset({"ESTABLISHED", "ASSURED", "REPLIED"})
"""States of connections that carry data, as IPVS counts them; others begin or end."""


@frozen
class TaskLoad:
    """Connections of a task.

    Attributes:
        active: connections that carry data; inactive: those that begin, or have ended lately.
        total, in_bytes, out_bytes: since the task is behind the balancer; None: nobody counts them.
    """

    active: int = 0
    inactive: int = 0
    total: int | None = None
    in_bytes: int | None = None
    out_bytes: int | None = None


def loads(ns: str, service: VirtualService) -> list[tuple[Backend, TaskLoad]]:
    """Read the connections of a service's tasks.

    Args:
        ns: path of the balancer's network namespace.

    Raises:
        KernelRefused: the namespace is not there, or cannot be read.
    """
    read = _counted if service.mechanism is Mechanism.IPVS else _tracked
    with entered(ns):
        try:
            return read(service)
        except OSError as error:
            raise KernelRefused(
                f"read the connections of service {service.name}", error.errno or errno.EIO
            ) from error


def _counted(service: VirtualService) -> list[tuple[Backend, TaskLoad]]:
    with ipvs.opened() as family:
        listed = {
            ip.version: ipvs.destinations(family, service.mark, ip.version) for ip in service.ips
        }
    found = []
    for backend in service.backends:
        rows = [
            rows[ip.packed.ljust(16, b"\0")]
            for ip in _addresses(backend)
            if ip.packed.ljust(16, b"\0") in (rows := listed.get(ip.version, {}))
        ]
        load = TaskLoad(
            sum(row.active for row in rows),
            sum(row.inactive for row in rows),
            sum(row.connections for row in rows),
            sum(row.in_bytes for row in rows),
            sum(row.out_bytes for row in rows),
        )
        found.append((backend, load))
    return found


def _tracked(service: VirtualService) -> list[tuple[Backend, TaskLoad]]:
    active = dict.fromkeys((ip for one in service.backends for ip in _addresses(one)), 0)
    inactive = dict(active)
    with Table() as table:
        for flow in table.dump():
            task = flow.reply.src
            if task in active and task != flow.way.dst:
                (active if flow.state in ACTIVE else inactive)[task] += 1
    return [
        (one, TaskLoad(*(sum(count[ip] for ip in _addresses(one)) for count in (active, inactive))))
        for one in service.backends
    ]


def _addresses(backend: Backend) -> list[IPAddress]:
    return [ip.ip for ip in (backend.ip, backend.ip6) if ip is not None]
