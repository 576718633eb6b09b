"""Services of a compose file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plumb.compose.project import DEFAULT, ComposeService, Joined
from plumb.compose.reading import environment, no_effect
from plumb.compose.reading.document import Node
from plumb.compose.reading.fields import Remarks, read
from plumb.compose.reading.service_keys import SERVICE, deploy, ports
from plumb.frozen import frozen, replace
from plumb.model.net.attachment import make_attachment


@frozen
class Surroundings:
    """Files and variables that a service's keys refer to.

    Attributes:
        folder: the project's, which paths are relative to.
        variables: those of the caller and of .env.
    """

    folder: str
    variables: Mapping[str, str]


def service(name: str, node: Node, around: Surroundings, remarks: Remarks) -> ComposeService:
    """Read a service.

    Args:
        remarks: takes a line for each key without effect.

    Raises:
        Invalid: a key is unknown, or a value makes no sense; with file and line.
        NotFound: a file of variables is not there.
    """
    found = keys(node, remarks)
    deployed = found.pop("deploy", {})
    if "stop_grace_period" in found:
        found["stop_timeout"] = found.pop("stop_grace_period")
    made = ComposeService(
        name,
        command=(*found.pop("entrypoint", ()), *found.pop("command", ())),
        environment=environment.of_service(
            found.pop("env_file", ()), found.pop("environment", ()), around.folder, around.variables
        ),
        labels=environment.labels(
            found.pop("label_file", ()), found.pop("labels", ()), around.folder
        ),
        replicas=_replicas(node, found, deployed),
        restart=found.pop("restart", "") or deployed.get("restart_policy", "no"),
        place=node.place,
    )
    made = replace(made, **{**found.pop("logging", {}), **found.pop("x-plumb", {}), **found})
    _remark_on_image(node, made, remarks)
    return _checked(node, _on_default(made))


def keys(node: Node, remarks: Remarks) -> dict[str, Any]:
    """Read the keys of a service; of one that no profile enables nothing else is looked at.

    Raises:
        Invalid: a key is unknown, or a value makes no sense; with file and line.
    """
    readers = {
        **SERVICE,
        "deploy": lambda each: deploy(each, remarks),
        "ports": lambda each: ports(each, remarks),
    }
    return read(node, readers, no_effect.SERVICE, remarks)


def _replicas(node: Node, found: dict[str, Any], deployed: Mapping[str, Any]) -> int:
    """Containers of a service, by `scale` or `deploy.replicas`."""
    scale, replicas = found.pop("scale", None), deployed.get("replicas")
    if scale is not None and replicas is not None and scale != replicas:
        raise node.refused(
            f"scale is {scale} and deploy.replicas {replicas}: they are the same number",
            "leave one of them out",
        )
    return next((count for count in (scale, replicas) if count is not None), 1)


def _remark_on_image(node: Node, made: ComposeService, remarks: Remarks) -> None:
    if not made.image and made.command:
        return
    place = node.mapping["image"].place if made.image else node.place
    what = f"{place}: image: {no_effect.NO_IMAGES}" if made.image else f"{place}: {made.name}"
    bare = "without `command` the container is a network namespace alone"
    remarks.append(what if made.command else f"{what}; {bare}" if made.image else f"{what}: {bare}")


def _on_default(made: ComposeService) -> ComposeService:
    """A service that names no networks, on the project's default network."""
    if made.networks or made.network_mode:
        return made
    return replace(made, networks=(Joined(DEFAULT, make_attachment(DEFAULT)),))


def _checked(node: Node, made: ComposeService) -> ComposeService:
    """A service whose keys go together.

    Raises:
        Invalid: they do not.
    """
    if made.network_mode and made.networks:
        raise node.refused("network_mode and networks exclude each other")
    if made.container_name and made.replicas > 1:
        raise node.refused(
            f"{made.replicas} containers cannot all be named {made.container_name}",
            "leave out container_name",
        )
    if made.network_mode.startswith(("service:", "container:")) and (made.ports or made.expose):
        raise node.refused(
            f"ports are those of the container that has the network stack ({made.network_mode})",
            "publish them there",
        )
    return made
