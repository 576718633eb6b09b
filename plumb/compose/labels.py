"""Docker's labels of a project's networks and containers: by them they are found again."""

from __future__ import annotations

from plumb.compose import normal_form
from plumb.compose.project import ComposeNetwork, ComposeService, Project
from plumb.model.cnm import Network, Pairs, Sandbox

PREFIX = "com.docker.compose."
PROJECT = PREFIX + "project"
NETWORK = PREFIX + "network"
SERVICE = PREFIX + "service"
NUMBER = PREFIX + "container-number"
ONEOFF = PREFIX + "oneoff"
HASH = PREFIX + "config-hash"
FILES = PREFIX + "project.config_files"
FOLDER = PREFIX + "project.working_dir"
DEPENDS_ON = PREFIX + "depends_on"


def of_network(project: Project, net: ComposeNetwork) -> Pairs:
    """Labels of a network: its own and the project's."""
    return (
        *net.labels,
        (PROJECT, project.name),
        (NETWORK, net.key),
        (HASH, normal_form.hash_of(normal_form.network(net))),
    )


def of_container(project: Project, service: ComposeService, number: int) -> Pairs:
    """Labels of a container: its service's and the project's."""
    depends_on = ",".join(
        f"{each.service}:{each.condition}:{str(each.restart).lower()}"
        for each in service.depends_on
    )
    return (
        *service.labels,
        (PROJECT, project.name),
        (SERVICE, service.name),
        (NUMBER, str(number)),
        (ONEOFF, "False"),
        (HASH, hash_of_service(service)),
        (FILES, ",".join(project.files)),
        (FOLDER, project.folder),
        (DEPENDS_ON, depends_on),
    )


def hash_of_service(service: ComposeService) -> str:
    """Hash of what containers of a service consist of."""
    return normal_form.hash_of(normal_form.service(service))


def label(of: Network | Sandbox, key: str) -> str:
    """Value of a label, empty without it."""
    return dict(of.labels).get(key, "")


def number(box: Sandbox) -> int:
    """Number of a container of a service; 0 if it is none."""
    text = label(box, NUMBER)
    return int(text) if text.isdecimal() else 0
