"""Flows to tasks that are gone, which a balancer forgets.

Connection tracking keeps a flow with the task that its first packet was given to. TCP ends its
flows; a client of UDP that always sends from the same port would stay with a task that is no more,
for ever. A task that only drains keeps what it has.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from plumb.address import IPAddress
from plumb.engine.host import Host
from plumb.errors import KernelRefused
from plumb.model.cluster import balancer_sandbox
from plumb.model.cnm import Endpoint, Sandbox
from plumb.model.service.virtual import VirtualService


def targets(services: Iterable[VirtualService]) -> set[IPAddress]:
    """Return the addresses of all tasks of some services."""
    ends = (end for one in services for end in one.backends)
    return {ip.ip for end in ends for ip in (end.ip, end.ip6) if ip is not None}


def forget(host: Host, network: str, gone: set[IPAddress]) -> None:
    """Forget the flows of a network's balancer on this host to tasks that are gone.

    Under direct return each task balances its own connections to its service.

    An old flow that lasts is no reason to undo anything.
    """
    net = next((net for net in host.networks() if net.id == network), None)
    if net is None or not gone:
        return
    boxes = {balancer_sandbox(net.id, net.overlay.ingress)}
    if net.overlay.direct_return:
        boxes |= {end.sandbox for end in host.store.all(Endpoint) if end.network == network}
    from plumb.kernel.netfilter import conntrack_flush
    from plumb.kernel.netns import namespaces

    for box in filter(None, (host.store.get(Sandbox, ident) for ident in boxes)):
        with suppress(KernelRefused, FileNotFoundError), namespaces.entered(host.namespace(box)):
            conntrack_flush.forget_targets(gone)
