"""Service as the cluster keeps it."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface

from plumb.frozen import frozen
from plumb.model.ports import ServicePort
from plumb.model.service.spec import ServiceSpec


class UpdateState(StrEnum):
    """State of the last update; empty where there was none."""

    NONE = ""
    UPDATING = "updating"
    PAUSED = "paused"
    COMPLETED = "completed"
    ROLLING_BACK = "rollback_started"
    ROLLBACK_PAUSED = "rollback_paused"
    ROLLED_BACK = "rollback_completed"


@frozen
class UpdateStatus:
    """Progress of the last update; the moments are as in RFC 3339."""

    state: UpdateState = UpdateState.NONE
    started: str = ""
    completed: str = ""
    message: str = ""


@frozen
class VirtualAddress:
    """A service's own address on a network, with the subnet's prefix length."""

    network: str
    ip: IPv4Interface
    ip6: IPv6Interface | None = None


@frozen
class Service:
    """A service.

    Attributes:
        id: 25 of 0-9a-z.
        spec: its specification; its networks by id, its ports with their numbers allotted.
        previous: the specification before the last update, to which a rollback goes back.
        version: raised by every change of `spec`; a task has that of the specification it was made
            for.
        addresses: virtual addresses, one for each network, that on ingress first where it is
            published from the start; none with endpoint mode dnsrr.
        created, updated: moments as in RFC 3339.
    """

    id: str
    spec: ServiceSpec
    previous: ServiceSpec | None = None
    version: int = 1
    addresses: tuple[VirtualAddress, ...] = ()
    created: str = ""
    updated: str = ""
    update: UpdateStatus = UpdateStatus()

    @property
    def ports(self) -> tuple[ServicePort, ...]:
        """Ports that it publishes."""
        return self.spec.ports
