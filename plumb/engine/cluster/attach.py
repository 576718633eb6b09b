"""Networks of the cluster on this host: built with their first member here, gone with the last.

A container's place in such a network has two halves. The manager reserves its addresses; this host
copies the network into its own intent, with the endpoints that are on other hosts, puts a balancer
beside its containers, and builds all of it like anything else that is its own. The endpoint's
record, by which other hosts send to it, is a thing of the endpoint: it is published when all else
stands, and withdrawn first.

A **balancer** is a sandbox of plumb's own with one endpoint: the address from which this host
speaks on the network for a service. The ingress network's is called ingress_sbox, has a way out as
well, and is there as long as the host is a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Interface, IPv6Interface

from plumb.drivers import driver_of
from plumb.engine import allocate, networks
from plumb.engine.cluster import configurations
from plumb.engine.desired_state import endpoint_owner, peer_owner
from plumb.engine.lookup import ENCRYPTION
from plumb.engine.operation import Operation
from plumb.errors import Exhausted, Invalid, Unsupported
from plumb.frozen import frozen, replace
from plumb.model.cluster import (
    INGRESS_SANDBOX,
    Attached,
    AttachRequest,
    Encryption,
    RemoteEndpoint,
    balancer_id,
    balancer_sandbox,
    is_balancer,
)
from plumb.model.cnm import Attachment, Endpoint, Network, Role, Sandbox, Status
from plumb.model.net.dns_names import dns_names
from plumb.store import codec
from plumb.things.layer3 import Sysctl

IPVS = (
    ("net/ipv4/vs/conn_reuse_mode", "0"),
    ("net/ipv4/vs/expire_nodest_conn", "1"),
    ("net/ipv4/vs/expire_quiescent_template", "1"),
)
"""Settings with which a balancer lets go of a task that is gone, where the kernel has them."""


# -- a container's place ---------------------------------------------------------------


def endpoint(
    op: Operation, net: Network, box: Sandbox, wish: Attachment, used: set[str]
) -> Endpoint:
    """Create a container's endpoint on a network of the cluster; the network comes with it.

    Args:
        net: the network, of this host's intent or as the cluster has it.
        wish: what is asked of its place there; used: interface names that are taken.

    Raises:
        Invalid: containers may not be put on it by hand.
        Unsupported: it is encrypted, and this host has no keys yet, or a kernel without ESP.
        Conflict, Exhausted: the cluster has no such address, or this host another network of the
            name.
    """
    if not net.attachable:
        raise Invalid(
            f"Could not attach to network {net.name}: rpc error: code = PermissionDenied "
            f"desc = network {net.name} not manually attachable",
            "networks made with --attachable take containers; others are for services",
        )
    configurations.check_name(op, net)  # before an address is reserved
    if net.overlay.encrypted:
        _have_keys(op)
    ident = op.system.new_id()
    names = tuple(dns_names(box, wish.aliases or ()))
    mac, follows = allocate.wanted_mac(box, wish), op.network(net.id) is not None
    found = op.reservations.make(
        AttachRequest(ident, net.id, box.id, names, wish.ip, wish.ip6, mac, follows)
    )
    materialise(op, found)
    return given(op, box, wish, Given(ident, found), used)


@frozen
class Given:
    """A place in a network of the cluster that was given already.

    Attributes:
        endpoint: the endpoint's id; attached: the answer of a manager about it.
    """

    endpoint: str
    attached: Attached


def given(op: Operation, box: Sandbox, wish: Attachment, place: Given, used: set[str]) -> Endpoint:
    """Create the endpoint of a place in a network that is in this host's intent."""
    found = place.attached
    here = op.network(found.network.id) or materialise(op, found)
    ifname = allocate.interface_name(here, wish, used)
    made = _placed(op, here, box, place.endpoint, found, ifname, wish)
    op.put(made)
    _balance(op, here, found)
    return made


def _placed(
    op: Operation,
    net: Network,
    box: Sandbox,
    ident: str,
    found: Attached,
    ifname: str,
    wish: Attachment,
) -> Endpoint:
    return Endpoint(
        ident,
        net.id,
        box.id,
        link=_port_name(op, net),
        ifname=ifname,
        mac=found.mac,
        ip=found.ip,
        ip6=found.ip6 if allocate.wants_ipv6(net, box, wish) else None,
        link_local=wish.link_local,
        sysctls=wish.sysctls,
        gw_priority=wish.gw_priority,
        number=op.number(Endpoint),
    )


def _port_name(op: Operation, net: Network) -> str:
    """Choose the lowest free name of veth0, veth1 … for a port of the network's bridge."""
    taken = {end.link for end in op.endpoints(network=net.id)}
    return next(name for number in range(len(taken) + 1) if (name := f"veth{number}") not in taken)


def leave(op: Operation, end: Endpoint) -> None:
    """Drop an endpoint of any network.

    That of the last container on a network of the cluster takes the network's part on this host
    along.
    """
    net = op.network(end.network)
    op.drop(end)
    if net is None or not net.multi_host:
        if net is not None:
            configurations.left(op, net)
        return
    op.reservations.let_go(end.id)
    rest = [(left, op.sandbox(left.sandbox)) for left in op.endpoints(network=net.id)]
    if any(box is not None and box.role is not Role.BALANCER for _, box in rest):
        return
    for left, box in rest:
        op.drop(left)
        op.reservations.let_go(left.id)
        if box is not None:
            _end_balancer(op, box)
    forget(op, net)


# -- the network ---------------------------------------------------------------


def materialise(op: Operation, found: Attached) -> Network:
    """Put a network of the cluster into this host's intent, with its endpoints on other hosts.

    Of a network that is there already the cluster process follows these (`node.follow`). An
    encrypted one takes the keys, whoever brings it: a container, a task or the node itself.

    Raises:
        Unsupported: it is encrypted, and this host has no keys yet, or a kernel without ESP.
        Conflict: this host has another network of its name.
    """
    if found.network.overlay.encrypted:
        _have_keys(op)
    here = op.network(found.network.id)
    if here is None:
        configurations.check_name(op, found.network)
        here = driver_of(found.network).materialise(found.network, allocate.OperationHost(op))
        here = replace(here, number=op.number(Network))
        op.put(here)
        apply(op, here.id, found.remotes)
    return here


def forget(op: Operation, net: Network) -> None:
    """Take a network of the cluster, and its endpoints on other hosts, out of the intent."""
    if net.overlay.encrypted:
        _touch_peers(op, op.remotes(net.id))
    for end in op.remotes(net.id):
        op.drop(end)
    from plumb.engine.cluster import balancing  # lazy: few networks are a cluster's

    balancing.forget(op, net.id)
    op.drop(net)
    if net.overlay.encrypted and not any(left.overlay.encrypted for left in op.all(Network)):
        op.remark(ENCRYPTION, "")  # keys are where they are needed, and nowhere else


def apply(op: Operation, network: str, remotes: Sequence[RemoteEndpoint]) -> None:
    """Make a network's endpoints on other hosts those of a listing.

    Args:
        network: its id; one that has no part on this host is passed over.
        remotes: all that there are on other hosts.
    """
    here = op.network(network)
    if here is None:
        return
    if here.overlay.encrypted:
        _touch_peers(op, [*op.remotes(network), *remotes])
    if here.overlay.preserve_source:
        _touch_tasks(op, here, remotes)
    wanted = {end.id: end for end in remotes}
    for end in op.remotes(network):
        if end.id not in wanted:
            op.drop(end)
        elif (new := wanted.pop(end.id)) != end:
            op.put(new)
    for end in wanted.values():
        op.put(end)


def _touch_tasks(op: Operation, net: Network, remotes: Sequence[RemoteEndpoint]) -> None:
    """Have tasks here narrated again that answer by way of balancers, if these are others now."""
    before, after = (
        {(end.id, end.ip) for end in ends if is_balancer(end)}
        for ends in (op.remotes(net.id), remotes)
    )
    for end in op.endpoints(network=net.id) if before != after else ():
        box = op.sandbox(end.sandbox)
        if box is not None and box.task is not None:
            op.touch(endpoint_owner(end))


def _have_keys(op: Operation) -> None:
    """Take the keys of encrypted networks, with the first of them on this host."""
    if op.encryption() is None:
        keys = op.cluster.encryption()
        if keys is None:
            raise Unsupported("cannot join secure network: encryption keys not present")
        encrypt(op, keys)


def encrypt(op: Operation, keys: Encryption) -> None:
    """Use these keys from now on between this host and others, for encrypted networks."""
    op.remark(ENCRYPTION, codec.dumps(keys))
    for net in op.all(Network):
        if net.overlay.encrypted:
            _touch_peers(op, op.remotes(net.id))


def _touch_peers(op: Operation, remotes: Iterable[RemoteEndpoint]) -> None:
    for peer in {end.vtep for end in remotes}:
        op.touch(peer_owner(peer))


# -- balancers ---------------------------------------------------------------


def _balance(op: Operation, net: Network, found: Attached) -> None:
    """Put the network's balancer beside its first container here, if there is an address for it."""
    ident = balancer_sandbox(net.id, net.overlay.ingress)
    if found.balancer is not None and not net.overlay.ingress and op.sandbox(ident) is None:
        box = _balancer(op, net, ident, f"/lb-{net.name}", Role.BALANCER)
        end = _balancer_endpoint(op, net, box, found.balancer, found.balancer6)
        op.reservations.note(end.id)
        op.put(end)
        op.put(allocate.resolving(op, box))
        from plumb.engine.cluster import balancing  # lazy: few networks are a cluster's

        balancing.touch(op, net.id)


def _balancer(op: Operation, net: Network, ident: str, name: str, role: Role) -> Sandbox:
    now = op.system.now()
    asked = [Sysctl(setting, value) for setting, value in IPVS]
    has_ipvs = op.system.has_ipvs()
    there = [has_ipvs and was is not None for was in op.kernel.look(asked)]
    box = Sandbox(
        ident,
        name,
        attachments=(Attachment(net.id),),
        sysctls=tuple(pair for pair, has in zip(IPVS, there, strict=True) if has),
        created=now,
        started=now,
        number=op.number(Sandbox),
        status=Status.RUNNING,
        resolv_source=op.system.resolv_source(),
        resolv_path=op.system.resolv_path(),
        role=role,
    )
    op.put(box)
    return box


def _balancer_endpoint(
    op: Operation, net: Network, box: Sandbox, ip: IPv4Interface, ip6: IPv6Interface | None
) -> Endpoint:
    node = op.cluster.node()
    if node is None:
        raise Exhausted(f"no address for the balancer of network {net.name}: this is no node")
    return Endpoint(
        balancer_id(net.id, node.id),
        net.id,
        box.id,
        link=_port_name(op, net),
        ifname="eth0",
        mac="02:42:" + ip.ip.packed.hex(":"),
        ip=ip,
        ip6=ip6,
        number=op.number(Endpoint),
    )


# -- a node's own ---------------------------------------------------------------


def join(op: Operation, ingress: Attached) -> None:
    """Build what every node has: the ingress network and its balancer, with a way out.

    Args:
        ingress: the ingress network, with the node's own address there as the balancer's.

    Raises:
        Exhausted: it has no address left.
    """
    net = materialise(op, ingress)
    if op.sandbox(INGRESS_SANDBOX) is not None:
        return
    if ingress.balancer is None:
        raise Exhausted(f"network {net.name} has no address left for this node")
    box = _balancer(op, net, INGRESS_SANDBOX, "/ingress-sbox", Role.INGRESS)
    op.put(_balancer_endpoint(op, net, box, ingress.balancer, ingress.balancer6))
    networks.way_out(op, box)
    op.put(allocate.resolving(op, box))
    from plumb.engine.cluster import balancing  # lazy: few networks are a cluster's

    balancing.touch(op, net.id)


def end_ingress(op: Operation) -> None:
    """Take this host's part in the ingress network away, its balancer too."""
    box = op.sandbox(INGRESS_SANDBOX)
    if box is None:
        return
    nets = [op.network(end.network) for end in op.endpoints(sandbox=box.id)]
    _end_balancer(op, box)
    for net in nets:
        if net is not None and net.multi_host:
            forget(op, net)


def depart(op: Operation) -> None:
    """Take this host's part in all networks of the cluster away; containers run on without."""
    for net in [net for net in op.all(Network) if net.of_cluster]:
        for end in op.endpoints(network=net.id):
            box = op.sandbox(end.sandbox)
            op.drop(end)
            op.reservations.let_go(end.id)
            if box is not None and box.role:
                _end_balancer(op, box)
            elif box is not None:
                networks.way_out(op, box)
                op.put(box)
        forget(op, net)


def _end_balancer(op: Operation, box: Sandbox) -> None:
    for end in op.endpoints(sandbox=box.id):
        op.drop(end)
    op.drop(box)
