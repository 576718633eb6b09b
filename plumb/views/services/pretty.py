"""`service inspect --pretty`: a service as text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from plumb.model.service.service import Service, UpdateState
from plumb.model.service.spec import ServiceMode, ServiceSpec, UpdatePolicy
from plumb.views.services import rows


def pretty(service: Service, networks: Mapping[str, str]) -> str:
    """A service as text.

    Args:
        networks: names of networks by id.
    """
    return "\n".join(_lines(service, networks))


def _lines(service: Service, networks: Mapping[str, str]) -> Iterator[str]:
    spec = service.spec
    yield _line("ID:", service.id)
    yield _line("Name:", spec.name)
    yield from _pairs("Labels:", spec.labels)
    yield _line("Service Mode:", rows.mode(spec.mode).title())
    if spec.mode in (ServiceMode.REPLICATED, ServiceMode.REPLICATED_JOB):
        yield _line(" Number of Replicas:", str(spec.replicas))
    if service.update.state is not UpdateState.NONE:
        yield "UpdateStatus:"
        yield _line(" State:", service.update.state.value)
        yield _line(" Started:", service.update.started)
        if service.update.completed:
            yield _line(" Completed:", service.update.completed)
        yield _line(" Message:", service.update.message)
    yield "Placement:"
    if spec.constraints:
        yield _line(" Constraints:", ", ".join(spec.constraints))
    for name, policy in (("UpdateConfig:", spec.update), ("RollbackConfig:", spec.rollback)):
        yield from _policy(name, policy) if not spec.job else ()
    yield from _container(spec)
    if spec.networks:
        names = [networks.get(net.network, net.network) for net in spec.networks]
        yield _line("Networks:", " ".join(names))
    yield _line("Endpoint Mode:", spec.endpoint_mode.value)
    yield _line("Balancing:", spec.balancing.value)
    yield from _endpoint(service, networks)


def _container(spec: ServiceSpec) -> Iterator[str]:
    yield "ContainerSpec:"
    if spec.argv:
        yield _line(" Args:", shlex.join(spec.argv))
    if spec.environment:
        yield _line(" Env:", " ".join(spec.environment))
    if spec.hostname:
        yield _line(" Hostname:", spec.hostname)
    if spec.health.command:
        yield _line(" Health Check:", spec.health.command)


def _policy(name: str, policy: UpdatePolicy) -> Iterator[str]:
    yield name
    yield _line(" Parallelism:", str(policy.parallelism))
    if policy.delay:
        yield _line(" Delay:", f"{policy.delay:g}s")
    yield _line(" On failure:", policy.failure.value)
    yield _line(" Monitoring Period:", f"{policy.monitor:g}s")
    yield _line(" Max failure ratio:", f"{policy.failure_ratio:g}")
    yield _line(" Order:", policy.order.value)


def _endpoint(service: Service, networks: Mapping[str, str]) -> Iterator[str]:
    for own in service.addresses:
        yield _line("Virtual IP:", f"{own.ip} on {networks.get(own.network, own.network)}")
    if service.spec.ports:
        yield "Ports:"
    for port in service.spec.ports:
        yield _line(" PublishedPort =", str(port.published))
        yield _line("  Protocol =", port.protocol)
        yield _line("  TargetPort =", str(port.target))
        yield _line("  PublishMode =", port.mode.value)


def _pairs(name: str, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    if pairs:
        yield name
    for key, value in pairs:
        yield f" {key}{f'={value}' if value else ''}"


def _line(name: str, value: str) -> str:
    return f"{name:<24}{value}".rstrip()
