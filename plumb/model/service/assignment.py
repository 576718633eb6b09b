"""Task as its node is told of it, with its specification and its networks; the node's report."""

from __future__ import annotations

import re
from collections.abc import Mapping

from plumb.errors import Invalid
from plumb.frozen import frozen
from plumb.model.cluster import Attached, Node
from plumb.model.cnm import DEFAULT_NETWORK, Network
from plumb.model.ports import ServicePort
from plumb.model.service.spec import ServiceSpec
from plumb.model.service.task import Task, TaskState

EVERYWHERE = frozenset({"host", DEFAULT_NETWORK})
"""Names of the networks that every node has, by which a service is on them."""
PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")
LABEL = re.compile(r'index \.(Service|Node)\.Labels "([^"]*)"')


@frozen
class Assignment:
    """A task on its node.

    Attributes:
        task: the task.
        spec: what its container is made from.
        attached: its places, in the order of `Task.places`, with their networks, the node's own
            addresses there, and the endpoints on other nodes; empty until all of it is known.
        own: networks that it is on and each node builds for itself.
    """

    task: Task
    spec: ServiceSpec
    attached: tuple[Attached, ...] = ()
    own: tuple[Network, ...] = ()

    @property
    def complete(self) -> bool:
        """True if its container can be built."""
        known = {place.network for place in self.task.places} | {net.id for net in self.own}
        wanted = {one.network for one in self.spec.networks} - EVERYWHERE
        return len(self.attached) == len(self.task.places) and wanted <= known

    @property
    def name(self) -> str:
        """Name of its container."""
        return self.task.name(self.spec.name)


@frozen
class TaskStatus:
    """Report of a node about one of its tasks; the attributes are those of `Task`."""

    task: str
    state: TaskState
    message: str = ""
    error: str = ""
    container: str = ""
    exit_code: int = 0
    healthy: bool = True
    ports: tuple[ServicePort, ...] = ()


def filled(text: str, assignment: Assignment, node: Node) -> str:
    """Fill in the placeholders of a host name or a variable, as {{.Task.Slot}}.

    Raises:
        Invalid: there is no such placeholder.
    """
    if "{{" not in text:
        return text
    values = _values(assignment, node)

    def value(found: re.Match[str]) -> str:
        label = LABEL.fullmatch(found[1])
        if label:
            labels = assignment.spec.labels if label[1] == "Service" else node.labels
            return dict(labels).get(label[2], "")
        if found[1] not in values:
            raise Invalid(
                f"invalid template {found[0]}: no such placeholder",
                f"there are {', '.join(values)}",
            )
        return values[found[1]]

    return PLACEHOLDER.sub(value, text)


def _values(assignment: Assignment, node: Node) -> Mapping[str, str]:
    task = assignment.task
    return {
        ".Service.ID": task.service,
        ".Service.Name": assignment.spec.name,
        ".Node.ID": node.id,
        ".Node.Hostname": node.hostname,
        ".Task.ID": task.id,
        ".Task.Name": assignment.name,
        ".Task.Slot": str(task.slot or node.id),
    }
