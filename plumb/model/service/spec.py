"""Specification of a service, as `service create` and `service update` take it."""

from __future__ import annotations

from enum import StrEnum

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.ports import PublishMode, ServicePort
from plumb.model.service.virtual import Balancing as Balancing

Pairs = tuple[tuple[str, str], ...]


class ServiceMode(StrEnum):
    """Number of a service's tasks: a given one, or one on each node; jobs run to their end."""

    REPLICATED = "replicated"
    GLOBAL = "global"
    REPLICATED_JOB = "replicated-job"
    GLOBAL_JOB = "global-job"


class EndpointMode(StrEnum):
    """Answer to a service's name: its virtual address, or the addresses of all its tasks."""

    VIP = "vip"
    DNSRR = "dnsrr"


class Condition(StrEnum):
    """Condition under which a task that has ended is replaced."""

    NONE = "none"
    ON_FAILURE = "on-failure"
    ANY = "any"


class Order(StrEnum):
    """Order in which an update replaces a task."""

    STOP_FIRST = "stop-first"
    START_FIRST = "start-first"


class FailureAction(StrEnum):
    """Reaction to an update whose new tasks fail."""

    PAUSE = "pause"
    CONTINUE = "continue"
    ROLLBACK = "rollback"


@frozen
class ServiceNetwork:
    """A network that a service is on; "host" is the hosts' own.

    Attributes:
        network: the network's id; its name in what a user asks for.
        aliases: further names of the service on it.
    """

    network: str
    aliases: tuple[str, ...] = ()


@frozen
class RestartPolicy:
    """Replacement of tasks that have ended.

    Attributes:
        delay: seconds before a task is started in an ended one's place.
        attempts: how often at most for one slot within `window`, 0: without a limit.
        window: seconds within which attempts count, 0: all of them.
    """

    condition: Condition = Condition.ANY
    delay: float = 5.0
    attempts: int = 0
    window: float = 0.0


@frozen
class UpdatePolicy:
    """Pace of an update, or of a rollback.

    Attributes:
        parallelism: tasks that are replaced at a time, 0: all at once.
        delay: seconds between two such groups.
        monitor: seconds for which a new task is watched for its failure.
        failure_ratio: share of new tasks that may fail, 0 to 1.
    """

    parallelism: int = 1
    delay: float = 0.0
    order: Order = Order.STOP_FIRST
    failure: FailureAction = FailureAction.PAUSE
    monitor: float = 5.0
    failure_ratio: float = 0.0


@frozen
class Health:
    """Check of a task's health: a command in the container, as `run --health-cmd` has it.

    Attributes:
        command: for the container's shell; empty: no check.
        interval, timeout, start_period: seconds; retries: failures in a row until unhealthy.
        start_interval: seconds between checks in the start period, 0: five.
    """

    command: str = ""
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float = 0.0


@frozen
class ServiceSpec:
    """A service as asked for.

    Attributes:
        replicas: tasks of a replicated service; of a job, how many must complete.
        concurrent: tasks of a job that run at a time, 0: all.
        argv: the tasks' command; empty: they stay until they are stopped.
        labels: the service's; container_labels: those of its tasks' containers.
        hostname: may have templates: {{.Node.Hostname}}, {{.Service.Name}}, {{.Task.Slot}}, …
        extra_hosts: name and address, as `run --add-host`.
        constraints: "node.hostname==h1", "node.labels.zone!=a", …: all must hold.
        sysctls, cap_add, cap_drop: of its tasks' containers, as `run` has them.
        user, working_dir: of the tasks' command; stop_signal: asks it to end; empty: SIGTERM.
        stop_grace: seconds between the stop signal and the end by force.
        log_driver: of its tasks' containers, empty: json-file; log_options: KEY=VALUE of it.
        forced: raised by `update --force`, so that all tasks are replaced.
    """

    name: str
    mode: ServiceMode = ServiceMode.REPLICATED
    replicas: int = 1
    concurrent: int = 0
    argv: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    labels: Pairs = ()
    container_labels: Pairs = ()
    hostname: str = ""
    extra_hosts: Pairs = ()
    dns: tuple[IPAddress, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    networks: tuple[ServiceNetwork, ...] = ()
    endpoint_mode: EndpointMode = EndpointMode.VIP
    ports: tuple[ServicePort, ...] = ()
    balancing: Balancing = Balancing.RR
    constraints: tuple[str, ...] = ()
    restart: RestartPolicy = RestartPolicy()
    update: UpdatePolicy = UpdatePolicy()
    rollback: UpdatePolicy = UpdatePolicy()
    health: Health = Health()
    stop_grace: float = 10.0
    forced: int = 0
    sysctls: Pairs = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    log_driver: str = ""
    log_options: tuple[str, ...] = ()

    @property
    def job(self) -> bool:
        """True if its tasks run to their end and are not replaced."""
        return self.mode in (ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB)

    @property
    def everywhere(self) -> bool:
        """True if it has a task on each node."""
        return self.mode in (ServiceMode.GLOBAL, ServiceMode.GLOBAL_JOB)

    @property
    def on_ingress(self) -> tuple[ServicePort, ...]:
        """Ports that every node of the cluster publishes."""
        return tuple(port for port in self.ports if port.mode is PublishMode.INGRESS)
