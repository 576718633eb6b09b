"""Values of a project: what a compose file says about networks and containers, read and checked.

    Project ──< ComposeService ──< Joined >── ComposeNetwork

Names in them are the file's; `Project.container_name` and `ComposeNetwork.name` are those that
`ps` and `network ls` show.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from enum import StrEnum

from plumb.address import IPAddress
from plumb.compose.reading.document import Place
from plumb.errors import NotFound
from plumb.frozen import frozen
from plumb.model.cnm import Attachment, Pairs
from plumb.model.lifecycle import HealthCheck
from plumb.model.net.targets import Target
from plumb.model.ports import PortBinding

DEFAULT = "default"
"""The network of services that name none."""


class Condition(StrEnum):
    """States of a service that another can wait for."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@frozen
class Dependency:
    """Service that another needs.

    Attributes:
        service: its name.
        condition: its state before the other starts.
        restart: the other is made anew when it is.
        required: it is an error if there is no such service.
    """

    service: str
    condition: Condition = Condition.STARTED
    restart: bool = False
    required: bool = True


@frozen
class Joined:
    """Place of a service in a network.

    Attributes:
        network: the network's key in the file.
        wish: addresses, aliases and options; its network is still the key.
        priority: networks are joined from the highest.
    """

    network: str
    wish: Attachment
    priority: int = 0


@frozen
class ComposeNetwork:
    """Network of a project.

    Attributes:
        key: its key in the file; name: its name on the host.
        external: it is there already, and stays.
        subnets: subnet, ip_range and gateway of each, empty where not given.
        aux_addresses: addresses that are not handed out, by name.
        place: its line.
    """

    key: str
    name: str
    external: bool = False
    driver: str = "bridge"
    driver_opts: Pairs = ()
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    labels: Pairs = ()
    place: Place = Place("", 0)


@frozen
class Subnet:
    """Entry of ipam.config; what is not given is empty."""

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: Pairs = ()


@frozen
class ComposeService:
    """Service of a project.

    Attributes:
        name: its key in the file.
        replicas: containers of it.
        network_mode: empty, bridge, host, none, service:NAME or container:NAME.
        networks: its places in networks, in the order in which they are joined.
        command: entrypoint and command, word by word; empty: a container without a command.
        expose: "80/tcp"; ports: those to publish.
        links: name and alias of services; external_links: of containers.
        environment: NAME=value words, those of env_file first.
        healthcheck: its health check; place: its line.
        publish_all, read_only_host, isolate, auto_remove: those of x-plumb.
        The others are as in the file, parsed.
    """

    name: str
    replicas: int = 1
    image: str = ""
    container_name: str = ""
    network_mode: str = ""
    networks: tuple[Joined, ...] = ()
    command: tuple[str, ...] = ()
    ports: tuple[PortBinding, ...] = ()
    expose: tuple[str, ...] = ()
    dns: tuple[IPAddress, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    extra_hosts: Pairs = ()
    hostname: str = ""
    domainname: str = ""
    links: Pairs = ()
    external_links: Pairs = ()
    environment: tuple[str, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    healthcheck: HealthCheck = HealthCheck()
    sysctls: Pairs = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    labels: Pairs = ()
    restart: str = "no"
    init: bool = False
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    stop_timeout: int | None = None
    mac_address: str = ""
    log_driver: str = ""
    log_opt: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    publish_all: bool = False
    read_only_host: bool = False
    isolate: bool = False
    auto_remove: bool = False
    place: Place = field(default=Place("", 0))

    @property
    def shared(self) -> str:
        """Name of the service whose network stack it shares, or empty."""
        kind, _, name = self.network_mode.partition(":")
        return name if kind == "service" else ""

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the services that are to start before it."""
        return tuple(
            dict.fromkeys(
                [
                    *(each.service for each in self.depends_on),
                    *(name for name, _ in self.links),
                    *([self.shared] if self.shared else []),
                ]
            )
        )


@frozen
class Expectation:
    """Promise that a compose file makes.

    Attributes:
        source: a service, or another name that `plumb probe` knows.
        target: the other end, a service by its name as well.
        reached: it is reached, or it is not.
        text: the promise as it was written.
        place: its line.
    """

    source: str
    target: Target
    reached: bool
    text: str
    place: Place


@frozen
class Project:
    """Compose files, read.

    Attributes:
        name: the project's.
        folder: its working directory; files: absolute paths.
        services: those that are enabled, by name; disabled: names of the others.
        networks: all that the files declare or services use, by key.
        remarks: what of the files is without effect, a line each.
        expect: the promises of x-plumb.
    """

    name: str
    folder: str = ""
    files: tuple[str, ...] = ()
    services: dict[str, ComposeService] = field(default_factory=dict)
    disabled: tuple[str, ...] = ()
    networks: dict[str, ComposeNetwork] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    expect: tuple[Expectation, ...] = ()

    def container_name(self, service: ComposeService, number: int) -> str:
        """Name of a service's container, numbered from 1."""
        return service.container_name or f"{self.name}-{service.name}-{number}"

    def container_names(self, service: ComposeService) -> list[str]:
        """Names of all containers of a service."""
        return [self.container_name(service, 1 + at) for at in range(service.replicas)]

    def chosen(self, names: Iterable[str]) -> list[ComposeService]:
        """Return services and all that they need, what is needed first; without names, all.

        Raises:
            NotFound: there is no such service.
        """
        found: dict[str, ComposeService] = {}
        for name in names or self.services:
            if name not in self.services:
                raise NotFound(f"no such service: {name}", f"there are {', '.join(self.services)}")
            self._add(name, found)
        return list(found.values())

    def _add(self, name: str, found: dict[str, ComposeService]) -> None:
        service = self.services.get(name)
        if service is None or name in found:
            return
        for other in service.needed:
            self._add(other, found)
        found[name] = service
