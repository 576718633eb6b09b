"""Refusals of services that this host's kernel cannot balance: when made, and when changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plumb.engine.cluster.services import ServiceClient
from plumb.engine.cluster.swarm import SwarmClient
from plumb.errors import Unsupported
from plumb.frozen import replace
from plumb.kernel import system
from plumb.model.cnm import Network
from plumb.model.paths import Layout
from plumb.model.ports import ServicePort
from plumb.model.service.changes import Change
from plumb.model.service.spec import Balancing, EndpointMode, ServiceNetwork, ServiceSpec
from tests.fake_services import Managers, managers

ON_N1 = ServiceSpec("web", networks=(ServiceNetwork("n1"),))
NAMED = replace(ON_N1, endpoint_mode=EndpointMode.DNSRR)
RULES = "neither IPVS nor rules that can choose"


@pytest.fixture
def swarm() -> Iterator[Managers]:
    """Managers in this process."""
    with managers() as made:
        yield made


@pytest.fixture
def services(swarm: Managers, tmp_path: Path) -> ServiceClient:
    """The services, as this host asks for them."""
    return ServiceClient(SwarmClient(Layout(str(tmp_path))))


def kernel(monkeypatch: pytest.MonkeyPatch, ipvs: bool = False, rules: bool = False) -> None:
    """Give this host a kernel with IPVS or without, and with rules that can choose or without."""
    real = system.this_system()
    able = replace(real, has_ipvs=lambda: ipvs, has_choice=lambda backend, by_address: rules)
    monkeypatch.setattr(system, "this_system", lambda: able)


def changes(swarm: Managers) -> list[str]:
    """Requests that have changed something."""
    return [name for name, _ in swarm.asked]


@pytest.mark.parametrize(
    ("was", "change", "reason"),
    [
        (ON_N1, {"balancing": Balancing.LC}, "--lb-algorithm lc needs IPVS"),
        (ON_N1, {"balancing": Balancing.SH}, RULES),
        (NAMED, {"endpoint_mode": EndpointMode.VIP}, RULES),
        (ServiceSpec("web"), {"ports": (ServicePort(80, 8080),)}, RULES),
    ],
)
def test_an_update_to_what_the_kernel_cannot_balance_is_refused(
    swarm: Managers,
    services: ServiceClient,
    monkeypatch: pytest.MonkeyPatch,
    was: ServiceSpec,
    change: dict[str, object],
    reason: str,
) -> None:
    kernel(monkeypatch, ipvs=True)
    services.create(was)
    kernel(monkeypatch)
    with pytest.raises(Unsupported, match=reason):
        services.update("web", Change(change))
    assert changes(swarm) == ["service-create"]


@pytest.mark.parametrize("able", ["ipvs", "rules"])
def test_an_update_to_what_the_kernel_can_balance_is_taken(
    swarm: Managers, services: ServiceClient, monkeypatch: pytest.MonkeyPatch, able: str
) -> None:
    kernel(monkeypatch, **{able: True})
    services.create(NAMED)
    services.update("web", Change({"endpoint_mode": EndpointMode.VIP, "balancing": Balancing.SH}))
    assert changes(swarm) == ["service-create", "service-update"]


@pytest.mark.parametrize("network", ["bridge", "host", "n2"])
def test_a_service_without_a_virtual_address_is_taken_whatever_this_kernel_can(
    swarm: Managers, services: ServiceClient, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    """Nothing is balanced on a network that every node has, or builds for itself as n2."""
    kernel(monkeypatch)
    swarm.networks.append(Network("2" * 64, "n2", "macvlan", swarm=True))
    services.create(ServiceSpec("web", networks=(ServiceNetwork(network),)))
    services.update("web", Change({"replicas": 3}))
    assert changes(swarm) == ["service-create", "service-update"]


@pytest.mark.parametrize("change", [{"replicas": 3}, {"hostname": "www"}])
def test_an_update_of_something_else_is_taken_whatever_this_kernel_can(
    swarm: Managers, services: ServiceClient, monkeypatch: pytest.MonkeyPatch, change: object
) -> None:
    """The service is balanced by other hosts, or this one has had another kernel since."""
    kernel(monkeypatch, ipvs=True)
    services.create(ON_N1)
    kernel(monkeypatch)
    services.update("web", Change(change))  # type: ignore[arg-type]  # fields by name
    assert changes(swarm) == ["service-create", "service-update"]


def test_a_rollback_is_taken_whatever_this_kernel_can(
    swarm: Managers, services: ServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back to what has worked, which must not depend on who asks for it."""
    kernel(monkeypatch, ipvs=True)
    services.create(ON_N1)
    services.update("web", Change({"replicas": 2}))
    kernel(monkeypatch)
    assert services.rollback("web").spec.replicas == 1
