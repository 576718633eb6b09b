"""Normal form of a project: each key in its long form, in the file's words.

`compose config` prints it, and its hash tells a container or a network that is as the file says
from one that is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from plumb.compose.project import ComposeNetwork, ComposeService, Dependency, Joined, Project
from plumb.model.lifecycle import HealthCheck
from plumb.model.lifecycle.durations import spelt
from plumb.model.ports import PortBinding

Document = dict[str, Any]
NOT_IN_HASH = ("depends_on", "scale", "profiles")
"""Keys that change nothing of a container that is there."""
OWN = ("publish_all", "read_only_host", "isolate", "auto_remove")
"""Flags of `run` that the specification has no key for, in a service's x-plumb."""


def project(of: Project) -> Document:
    """Return a project."""
    used = {joined.network for each in of.services.values() for joined in each.networks}
    return _given(
        name=of.name,
        services={name: service(each) for name, each in of.services.items()},
        networks={key: network(each) for key, each in of.networks.items() if key in used},
    )


def text(document: Document, form: str) -> str:
    """Print a document; read again, it is the same.

    Args:
        form: "yaml" or "json".
    """
    return printed(escaped(document), form)


def printed(document: Document, form: str) -> str:
    """Print a document whose dollar signs are those of variables, or doubled.

    Args:
        form: "yaml" or "json".
    """
    if form == "json":
        return json.dumps(document, indent=2) + "\n"
    from plumb.compose import yaml_text  # lazy: hashes need no PyYAML

    return yaml_text.dumped(document)


def escaped(document: Document) -> Document:
    """Double the dollar signs of all values: a single one is a variable's."""
    return {key: _escaped(value) for key, value in document.items()}


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return value.replace("$", "$$")
        case dict():
            return escaped(value)
        case list():
            return [_escaped(each) for each in value]
        case _:
            return value


def network(of: ComposeNetwork) -> Document:
    """Return a network."""
    if of.external:
        return {"name": of.name, "external": True}
    config = [
        _given(
            subnet=each.subnet,
            ip_range=each.ip_range,
            gateway=each.gateway,
            aux_addresses=dict(each.aux_addresses),
        )
        for each in of.subnets
    ]
    return _given(
        name=of.name,
        driver=of.driver if of.driver != "bridge" else "",
        driver_opts=dict(of.driver_opts),
        ipam={"config": config} if config else {},
        internal=of.internal,
        attachable=of.attachable,
        enable_ipv4=of.enable_ipv4,
        enable_ipv6=of.enable_ipv6,
        labels=dict(of.labels),
    )


def service(of: ComposeService) -> Document:
    """Return a service."""
    return _given(
        image=of.image,
        container_name=of.container_name,
        scale=of.replicas if of.replicas != 1 else None,
        command=list(of.command),
        depends_on={each.service: _dependency(each) for each in of.depends_on},
        network_mode=of.network_mode,
        networks={each.network: _joined(each) for each in of.networks},
        ports=[_port(each) for each in of.ports],
        expose=list(of.expose),
        dns=[str(ip) for ip in of.dns],
        dns_search=list(of.dns_search),
        dns_opt=list(of.dns_opt),
        extra_hosts=[f"{name}={ip}" for name, ip in of.extra_hosts],
        hostname=of.hostname,
        domainname=of.domainname,
        links=[f"{name}:{alias}" for name, alias in of.links],
        external_links=[f"{name}:{alias}" for name, alias in of.external_links],
        environment=dict(word.partition("=")[::2] for word in of.environment),
        healthcheck=_healthcheck(of.healthcheck),
        sysctls={name.replace("/", "."): value for name, value in of.sysctls},
        cap_add=list(of.cap_add),
        cap_drop=list(of.cap_drop),
        privileged=of.privileged,
        labels=dict(of.labels),
        restart=of.restart if of.restart != "no" else "",
        **_command_options(of),
        mac_address=of.mac_address,
        logging=_given(driver=of.log_driver, options=dict(_option(each) for each in of.log_opt)),
        profiles=list(of.profiles),
        **{"x-plumb": _own(of)},
    )


def _own(of: ComposeService) -> Document:
    """Return a service's x-plumb: flags of `run` that the specification has no key for."""
    return _given(**{key: getattr(of, key) for key in OWN})


def hash_of(document: Mapping[str, Any]) -> str:
    """Hash of what a container or a network consists of, in 64 hex digits."""
    kept = {key: value for key, value in document.items() if key not in NOT_IN_HASH}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _given(**values: Any) -> Document:
    """Return the values that are given: no empty text, list or mapping, no False and no None."""
    return {
        key: value
        for key, value in values.items()
        if value not in ("", [], {}, None) and (value is not False or key.startswith("enable_"))
    }


def _option(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _command_options(of: ComposeService) -> Document:
    return {
        "init": of.init,
        "user": of.user,
        "working_dir": of.working_dir,
        "stop_signal": of.stop_signal,
        "stop_grace_period": None if of.stop_timeout is None else spelt(of.stop_timeout),
    }


def _dependency(of: Dependency) -> Document:
    found = {"condition": str(of.condition), "required": of.required}
    return {**found, "restart": True} if of.restart else found


def _joined(of: Joined) -> Document | None:
    wish = of.wish
    return (
        _given(
            aliases=list(wish.aliases or ()),
            ipv4_address=str(wish.ip or ""),
            ipv6_address=str(wish.ip6 or ""),
            link_local_ips=[str(ip) for ip in wish.link_local],
            mac_address=wish.mac,
            priority=of.priority or None,
            gw_priority=wish.gw_priority or None,
            driver_opts=dict(wish.driver_opts),
        )
        or None
    )


def _port(of: PortBinding) -> Document:
    published = ""
    if of.first is not None:
        published = str(of.first) if of.first == of.last else f"{of.first}-{of.last}"
    return _given(
        target=of.port, published=published, protocol=of.protocol, host_ip=str(of.host_ip or "")
    )


def _healthcheck(of: HealthCheck) -> Document:
    if of.disabled:
        return {"disable": True}
    return _given(
        test=["CMD-SHELL", of.command] if of.command else [],
        retries=of.retries or None,
        **{
            key: spelt(value)
            for key in ("interval", "timeout", "start_period", "start_interval")
            if (value := getattr(of, key))
        },
    )
