"""Links: the resolution of --link and --add-host when a container starts.

A link on the default network is a line in the hosts file, environment variables of the command
and, with icc: false, firewall rules that accept the traffic between the two containers. On a
user-defined network it is only a DNS name, which no other container can resolve.
"""

from __future__ import annotations

from plumb.address import IPAddress
from plumb.engine.desired_state import endpoint_owner
from plumb.engine.operation import Operation
from plumb.errors import Conflict, Invalid, NotFound, PlumbError
from plumb.frozen import replace
from plumb.model import legacy_links
from plumb.model.cnm import DEFAULT_NETWORK, Network, Pairs, Sandbox, Status
from plumb.model.etc_files import HOST_GATEWAY

NO_HOST = (
    "conflicting options: host type networking can't be used with links."
    " This would result in undefined behavior"
)


def asked(op: Operation, box: Sandbox) -> Sandbox:
    """Store a new container's links with its first network, or with the container.

    Links on a user-defined network belong to the attachment, those on the default network to the
    container.

    Raises:
        NotFound: the container to link to on the default network does not exist.
        Invalid: the container to link to is on the host's network.
    """
    if not box.links:
        return box
    first, *others = box.attachments or (None,)
    if first is not None and first.network != DEFAULT_NETWORK:
        return replace(
            box, links=(), attachments=(replace(first, links=(*first.links, *box.links)), *others)
        )
    return replace(
        box, links=tuple((_other(op, reference).name, alias) for reference, alias in box.links)
    )


def _other(op: Operation, reference: str) -> Sandbox:
    """Find a container to link to; for one that shares another's namespace, the other."""
    other = op.find(Sandbox, reference)
    while other is not None and other.target:
        reference, other = other.target, op.sandbox(other.target)
    if other is None:
        raise NotFound(f"could not get container for {reference}: No such container: {reference}")
    if other.mode == "host":
        raise Invalid(NO_HOST)
    return other


def linked(op: Operation, box: Sandbox) -> Sandbox:
    """Resolve the links of a container that starts to addresses and environment variables.

    Raises:
        Conflict: a linked container does not run.
        Invalid: a linked container is not on the default network.
    """
    if not any(wish.network == DEFAULT_NETWORK for wish in box.attachments):
        return replace(box, linked=(), link_environment=())
    found, environment = [], list[str]()
    for name, alias in box.links:
        other = op.named(Sandbox, name)
        if other is None or other.status is not Status.RUNNING:
            raise Conflict(
                f"Cannot link to a non running container: /{name} AS /{box.name}/{alias}"
            )
        link = legacy_links.known(other, alias, addresses(op, other))
        if not link.ips:
            raise Invalid(
                f"container {other.id} not attached to default bridge network",
                f"{other.name} is on other networks",
            )
        found.append(link)
        environment += legacy_links.environment(box.name, link, other.environment)
        if box.id not in other.linked_by:
            op.put(replace(other, linked_by=(*other.linked_by, box.id)))
    return replace(box, linked=tuple(found), link_environment=tuple(environment))


def addresses(op: Operation, box: Sandbox) -> list[IPAddress]:
    """Return a running container's addresses on the default network."""
    return [ip.ip for end, net in op.ends(box) if net.default for ip in end.ips]


def moved(op: Operation, box: Sandbox) -> None:
    """Update the running containers that link to a container with its current addresses.

    plumb updates their hosts files and firewall rules. If the container is no longer on the default
    network, plumb removes the rules; the line of the hosts file stays, as in Docker.
    """
    ips = tuple(addresses(op, box))
    for ident in box.linked_by:
        other = op.sandbox(ident)
        if other is None or other.status is not Status.RUNNING:
            continue
        if ips:
            op.put(
                replace(
                    other,
                    linked=tuple(
                        link._replace(ips=ips) if link.id == box.id else link
                        for link in other.linked
                    ),
                )
            )
        for end in op.endpoints(sandbox=other.id):
            op.touch(endpoint_owner(end))


def forget(op: Operation, box: Sandbox) -> None:
    """Remove a container that is being removed from the records of its linked containers."""
    for name, _ in box.links:
        other = op.named(Sandbox, name)
        if other is not None:
            op.put(
                replace(
                    other, linked_by=tuple(known for known in other.linked_by if known != box.id)
                )
            )


def remove(op: Operation, link: str) -> None:
    """Remove a link of a container on the default network; the other container stays.

    Args:
        link: PARENT/ALIAS, the container that has the link and its name for the other.

    Raises:
        Invalid: it names no link.
        NotFound: there is no such container, or it has no such link.
    """
    parent, _, alias = link.strip("/").rpartition("/")
    if not parent:
        raise Invalid(f"{link} names no link", "as PARENT/ALIAS")
    box = op.the_sandbox(parent)
    others = [name for name, known in box.links if known == alias]
    if not others:
        raise NotFound(f"container {box.name} has no link {alias}")
    left = tuple(pair for pair in box.links if pair[1] != alias)
    op.put(replace(box, links=left, linked=tuple(one for one in box.linked if one.alias != alias)))
    other = op.named(Sandbox, others[0])
    if other is not None and other.name not in [name for name, _ in left]:
        known = tuple(ident for ident in other.linked_by if ident != box.id)
        op.put(replace(other, linked_by=known))
    for end in op.endpoints(sandbox=box.id):
        op.touch(endpoint_owner(end))


def host_gateways(op: Operation, extra: Pairs) -> tuple[IPAddress, ...]:
    """Return the addresses of "host-gateway".

    These are the addresses of the settings, or the gateways of the default network.

    Raises:
        PlumbError: --add-host names host-gateway, and neither exists.
    """
    if not any(text == HOST_GATEWAY for _, text in extra):
        return ()
    default = op.named(Network, DEFAULT_NETWORK)
    pools = sorted(default.pools, key=lambda pool: pool.subnet.version) if default else ()
    found = op.settings.host_gateway_ips or tuple(
        pool.gateway for pool in pools if pool.gateway is not None
    )
    if not found:
        raise PlumbError(
            "unable to derive the IP value for host-gateway",
            'there is no default network: set "host-gateway-ips"',
        )
    return found
