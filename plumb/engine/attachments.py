"""Containers' places in networks: made when they start or connect, ended when they disconnect."""

from __future__ import annotations

from collections.abc import Sequence

from plumb.drivers import driver_of
from plumb.engine import allocate, container_links, networks, port_publishing
from plumb.engine.allocate import resolving
from plumb.engine.cluster import attach, configurations
from plumb.engine.operation import Operation
from plumb.errors import Conflict, Invalid, NotFound
from plumb.frozen import replace
from plumb.model.cnm import DEFAULT_NETWORK, Attachment, Endpoint, Network, Sandbox, Status


def join(op: Operation, net: Network, box: Sandbox, wish: Attachment, used: set[str]) -> Endpoint:
    """Put a running container on a network; used: names that its other interfaces have."""
    if net.multi_host:
        return attach.endpoint(op, net, box, wish, used)
    configurations.check_join(net, task=box.task is not None)
    net = configurations.part(op, net)
    driver_of(net).check_join(net, allocate.OperationHost(op))
    end = allocate.endpoint(op, net, box, wish, used)
    op.put(end)
    return end


def connect(op: Operation, network: str, container: str, wish: Attachment) -> Sandbox:
    """Put a container on one more network; at once if it runs, else when it starts.

    A container that does not run, and is on that network already, stays as it is (Docker's rule).

    Raises:
        Conflict: it runs and is on that network already.
        Invalid: it can be on no other network than its own.
    """
    net = networks.known(op, network)
    box = op.the_sandbox(container)
    _check_joins(net, box)
    if box.status is Status.RUNNING:
        net = configurations.part(op, net)
    wish = replace(
        wish, network=net.id if not net.default else DEFAULT_NETWORK, aliases=wish.aliases or ()
    )
    check_endpoint(net, wish)
    if box.attachment(net) is not None:
        if box.status is not Status.RUNNING:
            return box
        raise Conflict(f"endpoint with name {box.name} already exists in network {net.name}")
    box = replace(box, attachments=(*box.attachments, wish))
    if box.status is Status.RUNNING:
        join(op, net, box, wish, {end.ifname for end in op.endpoints(sandbox=box.id)})
        networks.way_out(op, box)
        box = resolving(op, box)
        port_publishing.publish(op, box)
        container_links.moved(op, box)
    op.put(box)
    return box


def _check_joins(net: Network, box: Sandbox) -> None:
    if net.name == "host" and box.mode != "host":
        raise Invalid(
            "cannot connect container to host network - "
            "container must be created in host network mode"
        )
    if box.shares:
        raise Invalid(
            "container sharing network namespace with another container or host "
            "cannot be connected to any other network"
        )
    if box.mode == "none" or net.name == "none":
        raise Invalid(
            "container cannot be connected to multiple networks "
            "with one of the networks in private (none) mode"
        )


def check_endpoint(net: Network, wish: Attachment) -> Network:
    """The network, if an endpoint of it can have what is asked for.

    Raises:
        Invalid: it cannot, in Docker's words.
    """
    wrong = []
    if net.default and (wish.ip or wish.ip6):
        wrong.append("user-specified IP address is supported on user-defined networks only")
    if net.default and wish.links:
        wrong.append("links are only supported for user-defined networks")
    if net.default and wish.aliases:
        wrong.append("network-scoped aliases are only supported for user-defined networks")
    wrong += [
        f"no configured subnet contains IP address {ip}"
        for ip in (wish.ip, wish.ip6)
        if ip and net.pool_of(ip) is None and (net.pools or not net.swarm)
    ]
    if wrong:
        raise unfit(wrong)
    return net


def unfit(wrong: Sequence[str]) -> Invalid:
    """Make the error of an endpoint that cannot have what is asked for.

    Args:
        wrong: all that cannot be, in Docker's words.
    """
    listed = wrong[0] if len(wrong) == 1 else " ".join(f"* {each}" for each in wrong)
    return Invalid(f"invalid endpoint settings: {listed}")


def disconnect(op: Operation, network: str, container: str, force: bool = False) -> Sandbox:
    """Take a container off a network.

    Args:
        force: also where the network is not there any more.

    Raises:
        Conflict: it is not on that network.
    """
    if force and op.find(Sandbox, container) is None:
        there = networks.known(op, network)
        raise NotFound(f"endpoint {container} not found", f"nobody on {there.name} is called so")
    box = op.the_sandbox(container)
    forgiving = force or box.status is not Status.RUNNING
    net = op.find(Network, network) if forgiving else networks.known(op, network)
    if net is not None and net.name == "host" and box.mode == "host":
        raise Invalid(
            "cannot disconnect container from host network - "
            "container was created in host network mode"
        )
    if net is not None and net.name == "none" and box.mode == "none":
        box = replace(box, mode="network", made_with="none")  # from now on it can be on others
        op.put(box)
        return box
    wish = (
        box.attachment(net)
        if net
        else next((w for w in box.attachments if w.network == network), None)
    )
    if wish is None:
        the = "network" if net and box.status is Status.RUNNING else "the network"
        raise Conflict(
            f"container {box.id} is not connected to {the} {net.name if net else network}"
        )
    for end in op.endpoints(sandbox=box.id):
        if net is not None and end.network == net.id:
            attach.leave(op, end)
    made_with = box.made_with or (
        (net.name if net else network) if wish is box.attachments[0] else ""
    )
    others = tuple(other for other in box.attachments if other is not wish)
    box = replace(box, attachments=others, made_with=made_with)
    op.put(box)
    if net is not None:
        configurations.left(op, net)
    if box.status is Status.RUNNING:
        networks.way_out(op, box)
    container_links.moved(op, box)
    port_publishing.publish(op, box)
    return box
