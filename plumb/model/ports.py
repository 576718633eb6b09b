"""Published ports as values: as a container requests them, and as its endpoints have them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from plumb.address import IPAddress
from plumb.frozen import frozen

PROTOCOLS = ("tcp", "udp", "sctp")
"""Protocols that have ports, in the order of listings."""


class PortBinding(NamedTuple):
    """Published port as asked for: `-p [[ip:][first[-last]]:]port/protocol`.

    First None: any free port.
    """

    port: int
    protocol: str
    host_ip: IPAddress | None = None
    first: int | None = None
    last: int | None = None


class Port(NamedTuple):
    """A published port as it is: a port of an endpoint, at an address and a port of the host.

    Attributes:
        port: the container's port.
        protocol: "tcp", "udp" or "sctp".
        host_ip, host_port: where it is published; port 0: nowhere, the network is routed and the
        port just open.
    """

    port: int
    protocol: str
    host_ip: IPAddress
    host_port: int


class PublishMode(StrEnum):
    """Place of a published port: on every node of the cluster, or on those with a task."""

    INGRESS = "ingress"
    HOST = "host"


@frozen
class ServicePort:
    """A published port.

    Attributes:
        target: the port of the task's command; published: the hosts' port, 0: any that is free.
        protocol: "tcp", "udp" or "sctp".
        name: by which SRV records tell the port; empty: none does.
    """

    target: int
    published: int = 0
    protocol: str = "tcp"
    mode: PublishMode = PublishMode.INGRESS
    name: str = ""


def shown(ports: Iterable[Port]) -> list[Port]:
    """Ports in the order of listings."""

    def place(port: Port) -> tuple[int, int, int, int, int]:
        return (
            port.port,
            PROTOCOLS.index(port.protocol),
            port.host_ip.version,
            int(port.host_ip),
            port.host_port,
        )

    return sorted(ports, key=place)
