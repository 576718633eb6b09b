"""Networks of the cluster: made with subnets, gateways and VNIs allotted, found, removed.

All that makes a network unique is decided in one transaction: its name, its subnets, its VNIs. Each
creation writes vni/next, so that of two at once the later one looks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from plumb.address import IPNetwork
from plumb.agent.cluster.state import addresses, keys, nodes, reservations, serial, vnis
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.contention import attempts
from plumb.agent.cluster.state.etcd.operations import (
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    absent,
    after,
    below,
    delete_below,
    none_but,
    present,
    unchanged,
)
from plumb.errors import Conflict, Invalid, NotFound
from plumb.model import ipam
from plumb.model.cluster import FIRST_VNI, Swarm
from plumb.model.cnm import Network, Pool
from plumb.model.service.service import Service
from plumb.model.service.task import Task
from plumb.model.settings import AddressPool
from plumb.store import codec

CONTAINER_ID = 64
"""Digits of a container's id; a task has 25."""


def create(etcd: Etcd, swarm: Swarm, net: Network) -> Network:
    """Record a network; returns it with subnets, gateways, VNIs and VXLAN's port.

    Args:
        net: as asked for; `overlay.vnis` are those of the user's choice. The same network again,
            by its id, is returned as it is recorded.

    Raises:
        Conflict: its name, a subnet or a VNI is another's, or it would be a second ingress.
        Invalid, Exhausted: as `vnis.allot` and `ipam` say.
    """
    for _ in attempts(f"create network {net.name}"):
        listings = etcd.read_all([below(keys.NETWORKS), Get(keys.NEXT_VNI)]).listings
        others = [_network(found) for found in listings[0].keys]
        if recorded := next((other for other in others if other.id == net.id), None):
            return recorded
        made, following = _allotted(swarm, net, others, listings[1].first)
        if _record(etcd, made, following, listings[1].first):
            return made
    raise AssertionError


def everything(etcd: Etcd) -> list[Network]:
    """List all networks, in the order of their names."""
    found = [_network(one) for one in etcd.range(below(keys.NETWORKS)).keys]
    return sorted(found, key=lambda net: net.name)


def find(etcd: Etcd, reference: str) -> Network | None:
    """Return a network by its id, its name, or a beginning of its id, in this order.

    Raises:
        Invalid: several ids begin like that.
    """
    wanted = keys.NETWORKS + reference
    names, begun = etcd.read_all(
        [Get(keys.NAMES + reference), Get(wanted, after(wanted), 2)]
    ).listings
    if begun.first and begun.first.key == wanted:
        return _network(begun.first)
    if names.first:
        found = etcd.get(keys.NETWORKS + names.first.value)
        return _network(found) if found else None
    if begun.count > 1:
        raise Invalid(
            f"network {reference} is ambiguous ({begun.count} matches found on ID prefix)"
        )
    return _network(begun.first) if begun.first else None


def remove(etcd: Etcd, ident: str, node: str = "") -> None:
    """Remove a network that no container is on; nodes' own places in it go with it.

    So do those of tasks that have ended for the cluster, on a node that is away.

    Args:
        node: the node that asks, which looks itself whether it has a container on one that each
            node builds; of others, those that have built it need it.

    Raises:
        NotFound: no network has that id.
        Conflict: a container is on it.
    """
    place = keys.ADDRESSES + ident + "/"
    for _ in attempts(f"remove network {ident}"):
        nets, owners, parts, services, tasks = etcd.read_all(
            [
                Get(keys.NETWORKS + ident),
                below(place),
                below(keys.part(ident)),
                below(keys.SERVICES),
                below(keys.TASKS),
            ]
        ).listings
        if nets.first is None:
            raise NotFound(f"network {ident} not found")
        _check_services(_network(nets.first), services.keys)
        _check_parts(etcd, ident, {keys.last(one.key) for one in parts.keys} - {node})
        members = [one.value for one in owners.keys if one.value.startswith(keys.RESERVED)]
        if used := _in_use(etcd, members, tasks.keys):
            raise Conflict(f"network {ident} is in use by task {used}")
        addressed = [keys.last(one.key) for one in owners.keys]
        if _erase(etcd, _network(nets.first), addressed, node):
            members += [one.value for one in parts.keys]
            own = [one.value for one in owners.keys if one.value.startswith(keys.BALANCERS)]
            _drop(etcd, [*own, *members])
            return


def _in_use(etcd: Etcd, members: Sequence[str], tasks: Sequence[KeyValue]) -> str:
    """Id of an endpoint that is on a network, empty where there is none.

    Args:
        members: keys of reservations; tasks: all tasks.
    """
    known = (codec.loads(Task, one.value) for one in tasks) if members else ()
    living = {task.id for task in known if not task.state.ended}
    for some in reservations.batches(members, reservations.BATCH):
        for listing in etcd.read_all([Get(key) for key in some]).listings:
            held = reservations.parsed(listing.first) if listing.first else None
            if held and (len(held.sandbox) == CONTAINER_ID or held.sandbox in living):
                return held.endpoint
    return ""


def _check_parts(etcd: Etcd, ident: str, others: set[str]) -> None:
    """Refuse to remove a network of which other nodes have built their parts."""
    if others:
        known = {one.id: one.hostname for one in nodes.everyone(etcd)}
        names = ", ".join(sorted(known.get(other, other) for other in others)[:8])
        raise Conflict(
            f"network {ident} is in use on node {names}",
            "containers there name it: disconnect or remove them, stopped ones too",
        )


def _check_services(net: Network, found: Sequence[KeyValue]) -> None:
    """Refuse to remove a network that a service is on, or is published by."""
    for one in found:
        service = codec.loads(Service, one.value)
        if any(own.network == net.id for own in service.spec.networks):
            raise Conflict(f"network {net.id} is in use by service {service.id}")
        if net.overlay.ingress and service.spec.on_ingress:
            raise Conflict(
                f"ingress network cannot be removed because service {service.id} depends on it"
            )


# -- making ---------------------------------------------------------------------------


def _allotted(
    swarm: Swarm, net: Network, others: Sequence[Network], following: KeyValue | None
) -> tuple[Network, int]:
    """Complete a network; returns it with the VNI that comes next."""
    _check(net, others)
    if net.swarm:
        return net, int(following.value) if following else FIRST_VNI  # each node allots its own
    pools = _pools(swarm, net, [pool.subnet for other in others for pool in other.pools])
    numbers, after_them = vnis.allot(
        sum(pool.subnet.version == 4 for pool in pools),
        net.overlay.vnis,
        int(following.value) if following else FIRST_VNI,
        (vni for other in others for vni in other.overlay.vnis),
    )
    options = replace(net.overlay, vnis=numbers, port=swarm.port)
    return replace(net, pools=pools, overlay=options), after_them


def _check(net: Network, others: Sequence[Network]) -> None:
    """Refuse what Docker's manager refuses, and subnets that overlap, which it takes."""
    if net.overlay.ingress and net.attachable:
        raise Invalid("ingress network cannot be attachable")
    for other in others:
        if other.name == net.name:
            raise Conflict(f"network with name {net.name} already exists")
        if other.overlay.ingress and net.overlay.ingress:
            raise Conflict(f"ingress network ({other.id}) is already present")
        for pool in net.pools:
            if any(_overlap(pool.subnet, theirs.subnet) for theirs in other.pools):
                raise Conflict(
                    "invalid pool request: Pool overlaps with other one on this address space",
                    f"{pool.subnet} overlaps a subnet of network {other.name}:"
                    " choose another one, or none",
                )


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _pools(swarm: Swarm, net: Network, taken: Sequence[IPNetwork]) -> tuple[Pool, ...]:
    """Add a subnet for each family without one, the lowest that is free, and the gateways."""
    pools = list(net.pools)
    if net.pool(4) is None:
        cut = [AddressPool(base, swarm.mask_length) for base in swarm.pools]
        pools.insert(0, Pool(ipam.choose_subnet(cut, taken), given=False))
    if net.ipv6 and net.pool(6) is None:
        pools.append(Pool(ipam.choose_subnet([ipam.unique_local(swarm.id)], taken), given=False))
    return tuple(_with_gateway(pool) for pool in pools)


def _with_gateway(pool: Pool) -> Pool:
    if pool.gateway is not None:
        return pool
    spoken_for = [ip for _, ip in pool.aux]
    gateway = ipam.lowest_free(pool, lambda ip: ip in spoken_for)
    if gateway is None:
        raise Invalid(f"no address is left for a gateway in {pool.range or pool.subnet}")
    return replace(pool, gateway=gateway)


def _record(etcd: Etcd, net: Network, following: int, before: KeyValue | None) -> bool:
    """Write a network, if no other was made meanwhile."""
    puts: list[Operation] = [
        Put(keys.NETWORKS + net.id, codec.dumps(net)),
        Put(keys.NAMES + net.name, net.id),
        Put(keys.NEXT_VNI, str(following)),
    ]
    puts += [serial.beginning(net, pool) for pool in net.pools]
    puts += [Put(keys.address(net.id, ip), keys.NETWORKS + net.id) for ip in addresses.own(net)]
    answer = etcd.txn(
        [
            unchanged(keys.NEXT_VNI, before),
            absent(keys.NAMES + net.name),
            absent(keys.NETWORKS + net.id),
        ],
        puts,
    )
    return answer.succeeded


# -- removing -------------------------------------------------------------------------


def _erase(etcd: Etcd, net: Network, addressed: list[str], node: str) -> bool:
    """Remove a network's keys, if no address was given since, nor a part built but the node's."""
    place = keys.ADDRESSES + net.id + "/"
    answer = etcd.txn(
        [
            present(keys.NETWORKS + net.id),
            *none_but(place, addressed),
            *none_but(keys.part(net.id), [node] if node else []),
        ],
        [
            Delete(keys.NETWORKS + net.id),
            Delete(keys.NAMES + net.name),
            delete_below(place),
            delete_below(keys.part(net.id)),
            delete_below(keys.SERIAL + net.id + "/"),
            delete_below(keys.ENDPOINTS + net.id + "/"),
        ],
    )
    return answer.succeeded


def _drop(etcd: Etcd, owners: Sequence[str]) -> None:
    """Remove reservations in a network that is gone."""
    left = iter(owners)
    while some := list(islice(left, 100)):
        etcd.txn([], [Delete(key) for key in some])


def _network(found: KeyValue) -> Network:
    return codec.loads(Network, found.value)
