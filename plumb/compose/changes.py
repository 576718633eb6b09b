"""Changes from what there is to what a project says: a pure function of both.

containers removed   orphans, superfluous ones, those that are not as the file says
networks removed     those that are not as the file says
networks created, containers created, containers started: what is needed first
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from plumb.compose import labels, normal_form
from plumb.compose.project import ComposeNetwork, ComposeService, Project
from plumb.errors import Conflict, NotFound
from plumb.frozen import frozen
from plumb.model.cnm import PREDEFINED, Network, Sandbox, Status


class Policy(StrEnum):
    """Rules about containers that are there already."""

    CHANGED = "changed"
    ALWAYS = "always"
    NEVER = "never"


@frozen
class Present:
    """Networks and containers of a host."""

    networks: tuple[Network, ...] = ()
    containers: tuple[Sandbox, ...] = ()

    def named(self, name: str) -> Network | None:
        """Return a network by its name."""
        return next((net for net in self.networks if net.name == name), None)

    def of_project(self, name: str) -> list[Sandbox]:
        """Return the containers of a project."""
        return [box for box in self.containers if labels.label(box, labels.PROJECT) == name]

    def networks_of(self, project: str) -> list[Network]:
        """Return the networks of a project."""
        return [net for net in self.networks if labels.label(net, labels.PROJECT) == project]


@frozen
class Creation:
    """Container to be created.

    Attributes:
        again: it takes the place of one that is removed.
    """

    service: str
    number: int
    name: str
    again: bool = False


@frozen
class Changes:
    """Changes of an `up` or a `down`, in the order in which they are made.

    Attributes:
        start: names of containers to start; running: of those that run already.
        orphans: names of containers of services that the files do not have, which stay.
    """

    remove: tuple[Sandbox, ...] = ()
    remove_networks: tuple[Network, ...] = ()
    create_networks: tuple[ComposeNetwork, ...] = ()
    create: tuple[Creation, ...] = ()
    start: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()

    @property
    def none(self) -> bool:
        """True if there is nothing to change."""
        return not (
            self.remove or self.remove_networks or self.create_networks or self.create or self.start
        )


def up(
    project: Project,
    present: Present,
    services: Sequence[ComposeService],
    policy: Policy = Policy.CHANGED,
    *,
    remove_orphans: bool = False,
) -> Changes:
    """Return the changes after which networks and containers are as a project says.

    Args:
        services: those that are meant, what is needed first.
        policy: which containers that are there already are made anew.

    Raises:
        NotFound: an external network is not there.
        Conflict: a network of that name is there, and is not the project's.
    """
    old, new = _networks(project, present, services)
    found = _Comparison(project, present, policy, old)
    for service in services:
        found.compare(service)
    orphans = _orphans(project, present)
    gone = [*found.remove, *(orphans if remove_orphans else ())]
    return Changes(
        remove=_dependents_first(project, gone),
        remove_networks=tuple(old),
        create_networks=tuple(new),
        create=tuple(found.create),
        start=tuple(found.start),
        running=tuple(found.running),
        orphans=() if remove_orphans else tuple(box.name for box in orphans),
    )


def down(project: Project, present: Present, *, remove_orphans: bool = False) -> Changes:
    """Return the changes after which nothing of a project is there.

    Args:
        project: with its services; containers of others are orphans, which stay without
            remove_orphans.
    """
    orphans = _orphans(project, present)
    staying = [] if remove_orphans else orphans
    gone = [box for box in present.of_project(project.name) if box not in staying]
    used = {wish.network for box in staying for wish in box.attachments}
    nets = present.networks_of(project.name)
    return Changes(
        remove=_dependents_first(project, gone),
        remove_networks=tuple(net for net in nets if net.id not in used),
        orphans=tuple(box.name for box in staying),
    )


# -- networks ---------------------------------------------------------------


def _networks(
    project: Project, present: Present, services: Iterable[ComposeService]
) -> tuple[list[Network], list[ComposeNetwork]]:
    """Networks to remove, and those to create."""
    used = dict.fromkeys(joined.network for each in services for joined in each.networks)
    old: list[Network] = []
    new: list[ComposeNetwork] = []
    for wanted in (project.networks[key] for key in used):
        there = present.named(wanted.name)
        if wanted.external:
            _require(wanted, there)
        elif there is None:
            new.append(wanted)
        elif not _is_as_wanted(project, wanted, there):
            old.append(there)
            new.append(wanted)
    return old, new


def _require(wanted: ComposeNetwork, there: Network | None) -> None:
    if there is None:
        raise NotFound(
            f"{wanted.place}: network {wanted.name} declared as external, but could not be found",
            f"plumb network create {wanted.name}",
        )


def _is_as_wanted(project: Project, wanted: ComposeNetwork, there: Network) -> bool:
    """Compare a network's hash.

    Raises:
        Conflict: the network is not the project's.
    """
    if labels.label(there, labels.PROJECT) != project.name:
        raise Conflict(
            f"{wanted.place}: a network with name {wanted.name} exists but was not created for "
            f"project {project.name}",
            "set external: true to use it",
        )
    wanted_hash = normal_form.hash_of(normal_form.network(wanted))
    return labels.label(there, labels.HASH) == wanted_hash


# -- containers ---------------------------------------------------------------


class _Comparison:
    """Comparison of services with the containers that there are.

    Attributes:
        remove: containers that go; create: those to create; start: names of those to start.
        running: names of those that run and stay.
    """

    def __init__(
        self, project: Project, present: Present, policy: Policy, old: Sequence[Network]
    ) -> None:
        self._project, self._present, self._policy = project, present, policy
        self._kept = {net.name: net.id for net in present.networks if net not in old}
        self._again: set[str] = set()
        self.remove: list[Sandbox] = []
        self.create: list[Creation] = []
        self.start: list[str] = []
        self.running: list[str] = []

    def compare(self, service: ComposeService) -> None:
        """Compare a service with its containers, after the services that it needs."""
        there = self._containers(service)
        for at, name in enumerate(self._project.container_names(service), 1):
            box = there.pop(at, None)
            if box is not None and not self._outdated(service, box):
                (self.running if _runs(box) else self.start).append(box.name)
                continue
            self.create.append(Creation(service.name, at, name, again=box is not None))
            self.start.append(name)
            if box is not None:
                self.remove.append(box)
                self._again.add(service.name)
        self.remove += there.values()

    def _containers(self, service: ComposeService) -> dict[int, Sandbox]:
        """Containers of a service by number."""
        return {
            labels.number(box): box
            for box in self._present.of_project(self._project.name)
            if labels.label(box, labels.SERVICE) == service.name
        }

    def _outdated(self, service: ComposeService, box: Sandbox) -> bool:
        """Test whether a container is to be made anew."""
        follows = {each.service for each in service.depends_on if each.restart} | {service.shared}
        if self._policy is Policy.ALWAYS or not follows.isdisjoint(self._again):
            return True
        names = {self._project.networks[each.network].name for each in service.networks}
        wanted = {self._kept.get(name) for name in names - PREDEFINED}
        if not wanted <= {wish.network for wish in box.attachments}:
            return True
        same = labels.label(box, labels.HASH) == labels.hash_of_service(service)
        return self._policy is Policy.CHANGED and not same


def _runs(box: Sandbox) -> bool:
    return box.status in (Status.RUNNING, Status.RESTARTING)


def _orphans(project: Project, present: Present) -> list[Sandbox]:
    """Containers of services that the files do not have, enabled or not; without files none."""
    if not project.files:
        return []
    known = {*project.services, *project.disabled}
    return [
        box
        for box in present.of_project(project.name)
        if labels.label(box, labels.SERVICE) not in known
    ]


def _dependents_first(project: Project, boxes: Iterable[Sandbox]) -> tuple[Sandbox, ...]:
    """Put containers into the order in which they are removed: who needs another goes before it."""
    order = [service.name for service in project.chosen(())]

    def place(box: Sandbox) -> int:
        name = labels.label(box, labels.SERVICE)
        return -order.index(name) if name in order else 1

    return tuple(sorted({box.id: box for box in boxes}.values(), key=place))
