"""Options of networks and containers: a project's values as keywords of the library's verbs."""

from __future__ import annotations

from collections.abc import Mapping

from plumb.compose import labels
from plumb.compose.project import ComposeNetwork, ComposeService, Joined, Project
from plumb.frozen import replace
from plumb.model.cnm import PREDEFINED, Attachment, Pairs
from plumb.model.keywords import ContainerOptions, NetworkOptions
from plumb.model.lifecycle import HealthCheck


def network(project: Project, net: ComposeNetwork) -> NetworkOptions:
    """Return the keywords of `create_network`."""
    return {
        "driver": net.driver,
        "options": net.driver_opts,
        "subnet": [each.subnet for each in net.subnets if each.subnet],
        "ip_range": [each.ip_range for each in net.subnets if each.ip_range],
        "gateway": [each.gateway for each in net.subnets if each.gateway],
        "aux_addresses": [pair for each in net.subnets for pair in each.aux_addresses],
        "internal": net.internal,
        "attachable": net.attachable,
        "ipv4": net.enable_ipv4,
        "ipv6": net.enable_ipv6,
        "labels": labels.of_network(project, net),
    }


def container(
    project: Project, service: ComposeService, number: int, networks: Mapping[str, str]
) -> ContainerOptions:
    """Return the keywords of `create`.

    Args:
        number: the container's, from 1.
        networks: ids of the networks by their keys.
    """
    linked = links(project, service)
    plain: ContainerOptions = {
        "network": _networks(project, service, number, networks, linked),
        "command": service.command,
        "ports": service.ports,
        "exposed": service.expose,
        "dns": service.dns,
        "dns_search": service.dns_search,
        "dns_options": service.dns_opt,
        "extra_hosts": service.extra_hosts,
        "hostname": service.hostname,
        "domainname": service.domainname,
        "mac": service.mac_address,
        "links": linked if service.network_mode == "bridge" else (),
        "environment": service.environment,
        "sysctls": service.sysctls,
        "cap_add": service.cap_add,
        "cap_drop": service.cap_drop,
        "privileged": service.privileged,
        "labels": labels.of_container(project, service, number),
        "restart": service.restart,
        "init": service.init,
        "user": service.user,
        "working_dir": service.working_dir,
        "stop_signal": service.stop_signal,
        "stop_timeout": service.stop_timeout,
        "log_driver": service.log_driver,
        "log_opt": service.log_opt,
        "publish_all": service.publish_all,
        "read_only_host": service.read_only_host,
        "isolate": service.isolate,
        "auto_remove": service.auto_remove,
    }
    return {**plain, **_health(service.healthcheck)}


def _health(check: HealthCheck) -> ContainerOptions:
    if check == HealthCheck():
        return {}
    if check.disabled:
        return {"no_healthcheck": True}
    return {
        "health_cmd": check.command,
        "health_interval": check.interval,
        "health_timeout": check.timeout,
        "health_retries": check.retries,
        "health_start_period": check.start_period,
        "health_start_interval": check.start_interval,
    }


def _networks(
    project: Project,
    service: ComposeService,
    number: int,
    networks: Mapping[str, str],
    links: Pairs,
) -> list[str | Attachment]:
    """Networks in the order in which they are joined, or the mode."""
    if service.shared:
        other = project.services[service.shared]
        return [f"container:{project.container_name(other, 1)}"]
    if service.network_mode:
        return [service.network_mode]
    name = project.container_name(service, number)
    return [
        _attachment(service, name, joined, networks, links, project) for joined in service.networks
    ]


def _attachment(
    service: ComposeService,
    name: str,
    joined: Joined,
    networks: Mapping[str, str],
    links: Pairs,
    project: Project,
) -> Attachment:
    """Place in a network: as asked for, with the names that Compose adds.

    A predefined network, declared as external, has no names.
    """
    network = networks[joined.network]
    if project.networks[joined.network].name in PREDEFINED:
        return replace(joined.wish, network=network)
    aliases = dict.fromkeys((name, service.name, *(joined.wish.aliases or ())))
    return replace(joined.wish, network=network, aliases=tuple(aliases), links=links)


def links(project: Project, service: ComposeService) -> Pairs:
    """Containers that are linked to, under the names that Compose gives them."""
    found: dict[tuple[str, str], None] = {}
    for name, alias in service.links:
        other = project.services[name]
        for at, container_name in enumerate(project.container_names(other), 1):
            for known in (alias, f"{name}-{at}", container_name):
                found[container_name, known] = None
    return (*found, *service.external_links)
