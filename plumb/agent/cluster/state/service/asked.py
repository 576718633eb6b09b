"""Services as they are asked for: their networks found, and what cannot be refused at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plumb.errors import Conflict, Invalid, NotFound, PlumbError
from plumb.frozen import replace
from plumb.model.cnm import Network
from plumb.model.service import constraints
from plumb.model.service.assignment import EVERYWHERE as EVERYWHERE
from plumb.model.service.spec import Condition, EndpointMode, ServiceSpec

HOST = "host"
"""Name of the network that is the hosts' own."""
NO_INGRESS = "service needs ingress network, but no ingress network is present"


def resolved(spec: ServiceSpec, nets: Sequence[Network]) -> ServiceSpec:
    """A specification with its networks by id.

    Raises:
        NotFound: there is no such network.
        Invalid: parts of it do not go together.
    """
    found = tuple(replace(one, network=_id(one.network, nets)) for one in spec.networks)
    made = replace(spec, networks=found)
    check(made, nets)
    return made


def _id(reference: str, nets: Sequence[Network]) -> str:
    if reference in EVERYWHERE:
        return reference
    for matches in (
        [net for net in nets if net.id == reference],
        [net for net in nets if net.name == reference],
        [net for net in nets if reference and net.id.startswith(reference)],
    ):
        if len(matches) == 1:
            return matches[0].id
        if matches:
            raise Invalid(f"network {reference} is ambiguous ({len(matches)} matches found)")
    raise NotFound(
        f"network {reference} not found",
        "services are on networks of the cluster: 'plumb network create -d overlay'",
    )


def check(spec: ServiceSpec, nets: Sequence[Network]) -> None:
    """Refuse what cannot work, before anything is recorded.

    Raises:
        Invalid: parts of it do not go together. PlumbError: it needs what is not there.
    """
    if not spec.name:
        raise Invalid("name must be provided")
    names = [one.network for one in spec.networks]
    if len(set(names)) < len(names):
        raise Invalid("a network is given twice")
    _check_host(spec)
    by_id = {net.id: net for net in nets}
    for one in spec.networks:
        net = by_id.get(one.network)
        if net is not None and net.overlay.ingress:
            raise Invalid(
                f'Service cannot be explicitly attached to the ingress network "{net.name}"',
                "a port that it publishes puts it there",
            )
    if spec.on_ingress and spec.endpoint_mode is EndpointMode.DNSRR:
        raise Invalid(
            "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
            "publish it with mode=host, or leave the endpoint mode out",
        )
    if spec.on_ingress and ingress_of(nets) is None:
        raise PlumbError(NO_INGRESS, "'plumb network create -d overlay --ingress NAME' makes one")
    _check_numbers(spec)
    constraints.parsed(spec.constraints)


def _check_host(spec: ServiceSpec) -> None:
    """Docker takes a service on the hosts' network with a port, whose tasks all fail."""
    if HOST not in (one.network for one in spec.networks):
        return
    if len(spec.networks) > 1:
        raise Invalid("conflicting options: the host network cannot be joined together with others")
    if spec.ports:
        raise Invalid(
            "conflicting options: port publishing and the host network",
            "its tasks have the hosts' ports already: leave --publish out",
        )


def _check_numbers(spec: ServiceSpec) -> None:
    if spec.replicas < 0:
        raise Invalid("Number of replicas must be non-negative")
    for port in spec.ports:
        if not (0 < port.target < 65536 and 0 <= port.published < 65536):
            raise Invalid(f"invalid port {port.published}:{port.target}")
        if port.protocol not in ("tcp", "udp", "sctp"):
            raise Invalid(f"invalid protocol '{port.protocol}'", "there are tcp, udp and sctp")
    if spec.job and spec.restart.condition is Condition.ANY:
        raise Invalid("Restart policy of a job must be on-failure or none")


def changed(before: ServiceSpec, after: ServiceSpec) -> None:
    """Refuse a change that a service cannot go through.

    Raises:
        Conflict: its name or its mode would be another one.
    """
    if after.name != before.name:
        raise Conflict("renaming services is not supported")
    if after.mode is not before.mode:
        raise Conflict("service mode change is not allowed")


def ingress_of(nets: Sequence[Network]) -> Network | None:
    """The network by which published ports are reached on any node, None while there is none."""
    return next((net for net in nets if net.overlay.ingress), None)


def joined(spec: ServiceSpec, nets: Mapping[str, Network]) -> tuple[Network, ...]:
    """Networks that give its tasks addresses, in their order: ingress first, then by name.

    Those that each node builds for itself are not among them.

    Raises:
        NotFound: one of them is gone.
    """
    own = [one.network for one in spec.networks if one.network not in EVERYWHERE]
    for ident in own:
        if ident not in nets:
            raise NotFound(f"network {ident} not found", "it was removed")
    shared = (nets[ident] for ident in own if not nets[ident].swarm)
    found = sorted(shared, key=lambda net: net.name)
    ingress = ingress_of(list(nets.values())) if spec.on_ingress else None
    return (ingress, *found) if ingress is not None else tuple(found)


def balanced(spec: ServiceSpec, nets: Mapping[str, Network]) -> tuple[Network, ...]:
    """Networks on which it has an address of its own: ingress first, then as given."""
    if spec.endpoint_mode is EndpointMode.DNSRR:
        return ()
    given = (nets[one.network] for one in spec.networks if one.network in nets)
    own = tuple(net for net in given if not net.swarm)
    ingress = ingress_of(list(nets.values())) if spec.on_ingress else None
    return (ingress, *own) if ingress is not None else own
