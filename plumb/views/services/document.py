"""JSON of `service inspect`, in Docker's words."""

from __future__ import annotations

from typing import Any

from plumb.model.ports import ServicePort
from plumb.model.service.service import Service, UpdateState
from plumb.model.service.spec import (
    EndpointMode,
    Health,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    UpdatePolicy,
)

Json = dict[str, Any]
HOST, HOST_ID = "host", "host".rjust(25, "0")
"""The network that is the hosts' own, and an id for it as Docker's swarm has one."""


def document(service: Service) -> Json:
    """A service in Docker's JSON, and plumb's own `Balancing`."""
    made: Json = {
        "ID": service.id,
        "Version": {"Index": service.version},
        "CreatedAt": service.created,
        "UpdatedAt": service.updated or service.created,
        "Spec": specification(service.spec),
        "Endpoint": {
            "Spec": _endpoint(service.spec),
            **_ports(service.spec.ports),
            "VirtualIPs": _addresses(service),
        },
    }
    if service.previous is not None:
        made["PreviousSpec"] = specification(service.previous)
    if service.update.state is not UpdateState.NONE:
        made["UpdateStatus"] = {
            "State": service.update.state.value,
            "StartedAt": service.update.started,
            **({"CompletedAt": service.update.completed} if service.update.completed else {}),
            "Message": service.update.message,
        }
    return made


def _addresses(service: Service) -> list[Json]:
    """Virtual addresses by network; the hosts' own network gives none."""
    found = [{"NetworkID": own.network, "Addr": str(own.ip)} for own in service.addresses]
    on_host = any(net.network == HOST for net in service.spec.networks)
    if on_host and service.spec.endpoint_mode is EndpointMode.VIP:
        found.append({"NetworkID": HOST_ID})
    return found


def specification(spec: ServiceSpec) -> Json:
    """A specification in Docker's JSON."""
    made: Json = {
        "Name": spec.name,
        "Labels": dict(spec.labels),
        "TaskTemplate": {
            "ContainerSpec": _container(spec),
            "Resources": {"Limits": {}, "Reservations": {}},
            "RestartPolicy": _restart(spec.restart),
            "Placement": {"Constraints": list(spec.constraints)} if spec.constraints else {},
            "Networks": [
                {
                    "Target": HOST_ID if net.network == HOST else net.network,
                    **({"Aliases": list(net.aliases)} if net.aliases else {}),
                }
                for net in spec.networks
            ],
            "ForceUpdate": spec.forced,
            "Runtime": "container",
            **_log(spec),
        },
        "Mode": _mode(spec),
        "EndpointSpec": _endpoint(spec),
        "Balancing": spec.balancing.value,
    }
    if not spec.job:
        made["UpdateConfig"] = _policy(spec.update)
        made["RollbackConfig"] = _policy(spec.rollback)
    return made


def _log(spec: ServiceSpec) -> Json:
    if not (spec.log_driver or spec.log_options):
        return {}
    options = {key: value for key, _, value in (one.partition("=") for one in spec.log_options)}
    return {"LogDriver": {"Name": spec.log_driver, **({"Options": options} if options else {})}}


def _mode(spec: ServiceSpec) -> Json:
    if spec.mode is ServiceMode.REPLICATED:
        return {"Replicated": {"Replicas": spec.replicas}}
    if spec.mode is ServiceMode.REPLICATED_JOB:
        return {
            "ReplicatedJob": {
                "MaxConcurrent": spec.concurrent or spec.replicas,
                "TotalCompletions": spec.replicas,
            }
        }
    return {"Global": {}} if spec.mode is ServiceMode.GLOBAL else {"GlobalJob": {}}


def _container(spec: ServiceSpec) -> Json:
    made: Json = {
        "Image": "",
        "Args": list(spec.argv),
        "Hostname": spec.hostname,
        "Env": list(spec.environment),
        "Dir": spec.working_dir,
        "User": spec.user,
        "StopSignal": spec.stop_signal,
        "Sysctls": {name.replace("/", "."): value for name, value in spec.sysctls},
        "CapabilityAdd": [_capability(name) for name in spec.cap_add],
        "CapabilityDrop": [_capability(name) for name in spec.cap_drop],
        "Labels": dict(spec.container_labels),
        "Hosts": [f"{ip} {name}" for name, ip in spec.extra_hosts],
        "Healthcheck": _health(spec.health),
    }
    dns = {
        "Nameservers": list(map(str, spec.dns)),
        "Search": list(spec.dns_search),
        "Options": list(spec.dns_options),
    }
    return {
        **{key: value for key, value in made.items() if value},
        "StopGracePeriod": nanoseconds(spec.stop_grace),
        "DNSConfig": {key: value for key, value in dns.items() if value},
    }


def _capability(name: str) -> str:
    return name if name == "ALL" else f"CAP_{name}"


def _health(health: Health) -> Json:
    if not health.command:
        return {}
    return {
        "Test": ["CMD-SHELL", health.command],
        "Interval": nanoseconds(health.interval),
        "Timeout": nanoseconds(health.timeout),
        "StartPeriod": nanoseconds(health.start_period),
        **({"StartInterval": nanoseconds(health.start_interval)} if health.start_interval else {}),
        "Retries": health.retries,
    }


def _restart(policy: RestartPolicy) -> Json:
    return {
        "Condition": policy.condition.value,
        "Delay": nanoseconds(policy.delay),
        "MaxAttempts": policy.attempts,
        **({"Window": nanoseconds(policy.window)} if policy.window else {}),
    }


def _policy(policy: UpdatePolicy) -> Json:
    return {
        "Parallelism": policy.parallelism,
        **({"Delay": nanoseconds(policy.delay)} if policy.delay else {}),
        "FailureAction": policy.failure.value,
        "Monitor": nanoseconds(policy.monitor),
        "MaxFailureRatio": policy.failure_ratio,
        "Order": policy.order.value,
    }


def _endpoint(spec: ServiceSpec) -> Json:
    return {"Mode": spec.endpoint_mode.value, **_ports(spec.ports)}


def _ports(ports: tuple[ServicePort, ...]) -> Json:
    found = [
        {
            **({"Name": port.name} if port.name else {}),
            "Protocol": port.protocol,
            "TargetPort": port.target,
            **({"PublishedPort": port.published} if port.published else {}),
            "PublishMode": port.mode.value,
        }
        for port in ports
    ]
    return {"Ports": found} if found else {}


def nanoseconds(seconds: float) -> int:
    """Seconds as Go's durations are in JSON."""
    return round(seconds * 1e9)
