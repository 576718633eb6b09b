"""Networks and containers that a file asks for, as the library's verbs would make them.

Both a host and a file are compared as values that the same parsers have read: a default that the
file spells out, or a flag that brings another along, is no difference then.
"""

from __future__ import annotations

from collections.abc import Mapping

from plumb.compose import options
from plumb.compose.project import ComposeNetwork, ComposeService, Project
from plumb.drivers import options as driver_options
from plumb.frozen import replace
from plumb.model import keywords
from plumb.model.cnm import DEFAULT_NETWORK, PREDEFINED, Attachment, Network, Sandbox
from plumb.model.keywords import ContainerOptions, NetworkOptions
from plumb.model.settings import Settings


def network_options(project: Project, net: ComposeNetwork) -> NetworkOptions:
    """Return the keywords of `create_network`; without a project's labels."""
    return {**options.network(project, net), "labels": net.labels}


def container_options(project: Project, service: ComposeService) -> ContainerOptions:
    """Return the keywords of `create`; without a project's labels, nor names that Compose adds.

    Args:
        service: as its one container: `importing.settled`.
    """
    names = {key: net.name for key, net in project.networks.items()}
    made = options.container(project, service, 1, names)
    if service.networks:
        made["network"] = [
            replace(
                each.wish,
                network=names[each.network],
                links=() if names[each.network] in PREDEFINED else service.external_links,
            )
            for each in service.networks
        ]
    made["labels"] = service.labels
    return made


def network(project: Project, wanted: ComposeNetwork, settings: Settings) -> Network:
    """Return a network as it would be made; its id is its name."""
    made = driver_options.asked(
        settings, wanted.name, **keywords.network(network_options(project, wanted))
    )
    return replace(made, id=wanted.name)


def container(
    project: Project, service: ComposeService, settings: Settings, idents: Mapping[str, str]
) -> Sandbox:
    """Return a container as it would be made; it knows its networks by name.

    Args:
        service: as its one container: `importing.settled`.
        idents: ids of the containers that are there, by name.
    """
    asked = container_options(project, service)
    box = keywords.sandbox(service.name, asked, settings.log_driver, settings.log_opts)
    box = replace(
        box, read_only_host=box.read_only_host or box.isolate, owns_hostname=bool(box.hostname)
    )
    if not box.attachments:
        box = replace(box, attachments=(Attachment(DEFAULT_NETWORK),))
    (first, *others) = (each.network for each in box.attachments)
    kind, _, other = first.partition(":")
    if others or kind not in ("host", "none", "container"):
        return box
    mode = f"container:{idents.get(other, other)}" if other else kind
    return replace(box, attachments=(), mode=mode)
