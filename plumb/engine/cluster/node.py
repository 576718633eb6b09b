"""Part of this host in its cluster, as the cluster process has it built."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from plumb.engine.cluster import attach, balancing, stale_flows, tasks
from plumb.engine.cluster.configurations import taken
from plumb.engine.host import Host
from plumb.errors import Unsupported
from plumb.model.cluster import (
    INGRESS_SANDBOX,
    AttachRequest,
    Encryption,
    RemoteEndpoint,
    balancer_id,
)
from plumb.model.cnm import Endpoint, Network
from plumb.model.net.gateways import GATEWAY_NETWORK, check_gateway_network
from plumb.model.paths import Layout
from plumb.model.service.virtual import VirtualService
from plumb.model.settings import Settings
from plumb.plan import StepFailed
from plumb.store import Store, codec
from plumb.store.sqlite import SqliteStore
from plumb.things.cluster import EndpointRecord

INGRESS = "ingress"
"""Name of the network by which published ports are reached, as `swarm init` makes it."""


def host_of(layout: Layout) -> Host:
    """The host of a root, with the settings that its networks were built with last."""
    store = SqliteStore(layout)
    try:
        text = store.meta("settings")
    finally:
        store.close()
    settings: Settings | None = codec.loads(Settings, text) if text else None
    return Host(layout.root, settings=settings)


def check_names(host: Host, wanted: Sequence[str] = ()) -> None:
    """Refuse a host whose own networks have names that its part in a cluster needs.

    Args:
        wanted: names of networks of the cluster.

    Raises:
        Conflict: one has, or the network by which overlay networks lead out leads nowhere.
    """
    there = {net.name: net for net in host.networks()}
    for name in there.keys() & set(wanted):
        raise taken(name)
    if GATEWAY_NETWORK in there:
        check_gateway_network(there[GATEWAY_NETWORK])


def join(host: Host) -> None:
    """Build what every node has: the ingress network's part here, and its balancer.

    Raises:
        Unsupported: this host is in no cluster.
        PlumbError: the cluster or the kernel refuses.
    """
    node = host.cluster.node()
    if node is None:
        raise Unsupported("this host is in no swarm")
    net = host.cluster.network(INGRESS)
    if net is None:
        return  # it was removed, or has another name: the managers will tell
    _join(host, net.id, node.id)


def _join(host: Host, network: str, node: str) -> None:
    wish = AttachRequest(balancer_id(network, node), network)
    with host.change() as op:
        if op.sandbox(INGRESS_SANDBOX) is None:
            attach.join(op, host.cluster.attach(wish))


def follow_ingress(host: Host, network: str) -> None:
    """Build this host's part in the ingress network, in place of another one's.

    Args:
        network: its id; empty while there is none.
    """
    node = host.cluster.node()
    ends = host.store.endpoints(sandbox=INGRESS_SANDBOX)
    there = {net.id for net in host.networks() if net.multi_host}
    now = next((end.network for end in ends if end.network in there), "")
    if now == network or node is None:
        return
    if now:
        with host.change() as op:
            attach.end_ingress(op)
    if network:
        _join(host, network, node.id)


def follow(host: Host, remotes: Mapping[str, Sequence[RemoteEndpoint]]) -> None:
    """Make the endpoints on other hosts those of a listing, of each of some networks.

    Args:
        remotes: by the network's id; those that have no part on this host are passed over, once no
            command is at work that may be about to bring them.
    """
    changed = {
        ident: ends
        for ident, ends in remotes.items()
        if set(ends) != set(host.store.remotes(ident))
    }
    if changed:
        with host.change() as op:
            for ident, ends in changed.items():
                attach.apply(op, ident, ends)


def balance(host: Host, network: str, services: Sequence[VirtualService]) -> None:
    """Make the services of a network those of a listing.

    One that cannot be built, since a program of this host has its port, does not keep the others
    from what they need.

    Args:
        network: its id; one that has no part on this host is passed over, once no command is at
            work that may be about to bring it.

    Raises:
        PlumbError: a service could not be built; the others are.
    """
    before = stale_flows.targets(host.store.services(network))
    try:
        with host.change() as op:
            balancing.apply(op, network, services)
    except StepFailed as failure:
        if len(services) < 2:
            raise
        _one_by_one(host, network, services, failure)
    finally:
        after = stale_flows.targets(host.store.services(network))
        stale_flows.forget(host, network, before - after)


def _one_by_one(
    host: Host, network: str, services: Sequence[VirtualService], failure: StepFailed
) -> None:
    """Build as many of these services as can be, and raise the first one's failure."""
    refused: StepFailed | None = None
    with host.change() as op:
        balancing.keep(op, network, services)
    for one in services:
        try:
            with host.change() as op:
                balancing.put(op, one)
        except StepFailed as error:
            refused = refused or error
    if refused is not None:
        raise refused from failure


def encrypt(host: Host, keys: Encryption) -> None:
    """Use these keys for encrypted networks, if any has a part on this host.

    It waits for its turn even where none has: the command that has the turn may be about to build
    one, with the keys that it was told before. So all is with these keys when this returns.
    """
    if not os.path.exists(host.layout.database):
        return  # nothing was ever built here, nor is a command at work
    with host.change() as op:
        here = any(net.overlay.encrypted for net in op.all(Network))
        if here and op.encryption() != keys:
            attach.encrypt(op, keys)


def unknown(host: Host, endpoints: Sequence[str]) -> list[str]:
    """List those of some endpoints that this host does not have, nor a command at work will have.

    Args:
        endpoints: ids, from a listing that was made before; that of a network is its part here.
    """
    if all(host.store.get(Endpoint, ident) for ident in endpoints):
        return []
    with host.change() as op:
        return [ident for ident in endpoints if not (op.endpoint(ident) or op.network(ident))]


def withdrawn(host: Host, endpoints: Sequence[str]) -> list[str]:
    """List those of some endpoints, by their ids, whose records this host has taken away.

    A command that takes one away while no cluster process runs cannot tell it.
    """
    if set(endpoints) <= _recorded(host.store):
        return []
    with host.change() as op:
        recorded = _recorded(op.store)
        return [ident for ident in endpoints if ident not in recorded]


def _recorded(store: Store) -> set[str]:
    """Ids of the endpoints that this host has published."""
    records = store.things_of(EndpointRecord)
    return {one.endpoint for one in records if isinstance(one, EndpointRecord)}


def depart(host: Host) -> None:
    """Take this host's part in all networks of the cluster away."""
    if any(net.of_cluster for net in host.networks()) or tasks.here(host):
        with host.change() as op:
            tasks.depart(op)
            attach.depart(op)
