"""A file's networks and containers made on a host, as one change: whole or not at all.

Unlike `up`, what is made belongs to no project: networks and containers are as those of
`network create` and `run`, and one that is there already is compared by what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plumb.compose import labels, options
from plumb.compose.project import ComposeNetwork, ComposeService, Condition, Project
from plumb.compose.transfer import asked
from plumb.compose.transfer.described import Present
from plumb.compose.transfer.differences import Comparison, Difference
from plumb.compose.transfer.portable import variable
from plumb.engine.host import Host
from plumb.engine.operation import Operation
from plumb.engine.verbs import Transaction
from plumb.errors import Conflict, Invalid, NotFound, Unsupported
from plumb.frozen import frozen, replace
from plumb.model.cluster import NodeRole
from plumb.model.cnm import PREDEFINED, Attachment, Network, Sandbox, Status


@frozen
class Item:
    """Network or container of a file, and what becomes of it.

    Attributes:
        kind: "Network" or "Container".
        there: whether the host has one of that name; differences: what of it is otherwise.
        again: whether it was made anew; started: whether it is a container that was started.
        place: its line in the file.
    """

    kind: str
    name: str
    there: bool
    differences: tuple[Difference, ...] = ()
    again: bool = False
    started: bool = False

    @property
    def is_new(self) -> bool:
        """True if it is to be made, or made anew."""
        return not self.there or self.again or bool(self.differences)


@frozen
class Import:
    """Import of a file.

    Attributes:
        replace: what is there and differs is made anew; else nothing at all is changed.
        start: containers are started.
    """

    project: Project
    replace: bool = False
    start: bool = True

    def compare(self, present: Present) -> list[Item]:
        """Compare a host with the file.

        Raises:
            NotFound: an external network is not there.
            Invalid: the file describes a predefined network.
        """
        found = []
        comparison = Comparison(self.project, present)
        for wanted in self._networks():
            net = present.network(wanted.name)
            if wanted.external:
                if net is None:
                    raise NotFound(
                        f"{wanted.place}: network {wanted.name} is external, and is not there",
                        f"plumb network create {wanted.name}",
                    )
                continue
            unlike = comparison.network(wanted, net) if net else ()
            found.append(Item("Network", wanted.name, net is not None, tuple(unlike)))
        boxes = {box.name: box for box in present.containers}
        for service in self.containers():
            box = boxes.get(service.name)
            unlike = comparison.container(service, box) if box else ()
            found.append(Item("Container", service.name, box is not None, tuple(unlike)))
        return found

    def remarks(self) -> Iterator[str]:
        """Yield what of the file an import does not heed, a line each."""
        for service in self.project.services.values():
            for each in service.depends_on:
                if self.start and each.condition is not Condition.STARTED:
                    yield (
                        f"{service.place}: service {service.name} is started without waiting for "
                        f"{each.service} ({each.condition}): an import is one operation"
                    )

    def carry_out(self, host: Host) -> list[Item]:
        """Make what is not there, or differs; start containers that do not run, and have not ended.

        Raises:
            Conflict: something that is there differs, and is not to be replaced; or a container
                that the file does not have is on a network that is to be made anew.
            Unsupported: a network of a cluster differs.
            Others as the verbs of the library have them. Nothing has changed then.
        """
        with host.change() as op:
            present = present_of(op)
            found = self.compare(present)
            _require_links(op, self._networks())
            if not self.replace:
                _refuse(found)
            transaction = Transaction(op)
            again = _remove(transaction, found, present)
            for wanted in self._networks():
                if any(
                    each.is_new and (each.kind, each.name) == ("Network", wanted.name)
                    for each in found
                ):
                    transaction.create_network(
                        wanted.name, **asked.network_options(self.project, wanted)
                    )
            started = self._make(op, transaction, found, again)
        boxes = {
            each.name: replace(each, again=each.name in again, started=each.name in started)
            for each in found
            if each.kind == "Container"
        }
        return [boxes[each.name] if each.kind == "Container" else each for each in found]

    def _make(
        self, op: Operation, transaction: Transaction, found: Sequence[Item], again: set[str]
    ) -> set[str]:
        """Create and start containers; return the names of those that are started."""
        new = {each.name for each in found if each.kind == "Container" and each.is_new} | again
        for service in self.containers():
            if service.name in new:
                transaction.create(service.name, **asked.container_options(self.project, service))
        started: set[str] = set()
        for service in self.containers() if self.start else ():
            if not _has_run(op.the_sandbox(service.name)):
                transaction.start(service.name)
                started.add(service.name)
        return started

    def _networks(self) -> Iterator[ComposeNetwork]:
        """Yield the networks that the file has, and the project's own where a service is on it."""
        used = {each.network for of in self.project.services.values() for each in of.networks}
        for key, net in self.project.networks.items():
            if net.name in PREDEFINED and not net.external:
                raise Invalid(
                    f"{net.place}: network {net.name} is predefined, and no file makes it",
                    f"{key}: {{external: true, name: {net.name}}} is that of the host",
                )
            if net.name not in PREDEFINED and (net.place.file or key in used):
                yield net

    def containers(self) -> Iterator[ComposeService]:
        """Yield a service of its own for each container, what is needed first."""
        for service in self.project.chosen(()):
            for name in self.project.container_names(service):
                yield settled(self.project, service, name)


def present_of(op: Operation) -> Present:
    """Return networks and containers as an operation has them, a manager the cluster's as well.

    Raises:
        PlumbError: the cluster does not answer.
    """
    here = op.all(Network)
    known = {net.id for net in here}
    return Present(
        (*here, *(net for net in _of_cluster(op) if net.id not in known)),
        tuple(box for box in op.all(Sandbox) if not box.role and box.task is None),
        lambda ident: op.endpoints(sandbox=ident),
        op.settings,
    )


def _of_cluster(op: Operation) -> Sequence[Network]:
    node = op.cluster.node()
    return op.cluster.networks() if node is not None and node.role is NodeRole.MANAGER else ()


def settled(project: Project, service: ComposeService, name: str) -> ComposeService:
    """Return a service as its one container: under its name, with links and modes by names.

    A service's name is known on its networks, where the container has another.
    """
    aliases = (service.name,) if service.name != name else ()
    networks = tuple(
        replace(each, wish=_known_as(each.wish, aliases))
        if project.networks[each.network].name not in PREDEFINED
        else each
        for each in service.networks
    )
    links = options.links(project, service)
    mode = service.network_mode
    if service.shared:
        mode = f"container:{project.container_name(project.services[service.shared], 1)}"
    return replace(
        service,
        name=name,
        container_name=name,
        replicas=1,
        networks=networks,
        network_mode=mode,
        links=(),
        external_links=links,
    )


def _known_as(wish: Attachment, aliases: tuple[str, ...]) -> Attachment:
    return replace(wish, aliases=tuple(dict.fromkeys((*aliases, *(wish.aliases or ())))) or None)


def _has_run(box: Sandbox) -> bool:
    """True if a container runs, or its command has ended by itself: a job is not done twice."""
    ended = box.status is Status.EXITED and not box.restarts.stopped
    return ended or box.status in (Status.RUNNING, Status.RESTARTING)


def _require_links(op: Operation, networks: Iterator[ComposeNetwork]) -> None:
    """See that the links that networks stand on are there.

    Raises:
        NotFound: some are not; all of them are named.
    """
    missing = []
    for net in networks:
        parent = dict(net.driver_opts).get("parent", "")
        below = parent.rpartition(".")[0]
        if parent and not any(op.system.kind_of(each) for each in (parent, below) if each):
            missing.append((net, parent))
    if missing:
        named = ", ".join(f"{parent} of network {net.name}" for net, parent in missing)
        variables = " ".join(f"{variable(net.key, 'PARENT')}=…" for net, _ in missing)
        raise NotFound(
            f"{missing[0][0].place}: this host has no such parent link: {named}",
            f"with a file of 'network export': {variables} plumb network import …",
        )


def _refuse(found: Sequence[Item]) -> None:
    unlike = [each for each in found if each.differences]
    if unlike:
        lines = [
            f"{each.kind.lower()} {each.name} ({'; '.join(map(str, each.differences))})"
            for each in unlike
        ]
        raise Conflict(
            f"nothing is changed: not as in the file: {', '.join(lines)}",
            "--replace makes them anew",
        )


def _remove(transaction: Transaction, found: Sequence[Item], present: Present) -> set[str]:
    """Remove what differs; return the names of the containers that are made anew.

    Raises:
        Conflict: a container that the file does not have is on a network that goes, or a network
            or container that is to go belongs to a compose project.
        Unsupported: a network of a cluster is to go.
    """
    old = {each.name for each in found if each.kind == "Network" and each.differences}
    gone = {each.name for each in found if each.kind == "Container" and each.differences}
    own = {each.name for each in found if each.kind == "Container"}
    nets = [net for net in present.networks if net.name in old]
    for net in nets:
        if net.of_cluster:
            raise Unsupported(
                f"network {net.name} of the cluster differs from the file, and other hosts use it",
                f"plumb network rm {net.name}",
            )
    for box, where in _with_them(nets, present, gone):
        if box.name not in own:
            raise Conflict(
                f"{where} is to be made anew, and container {box.name}, which is not in the file, "
                "is on it",
                "take it away first, or write it into the file",
            )
        gone.add(box.name)
    _refuse_projects([*nets, *(box for box in present.containers if box.name in gone)])
    for box in reversed(present.containers):
        if box.name in gone:
            transaction.remove(box, force=True)
    for net in nets:
        transaction.remove_network(net)
    return gone


def _refuse_projects(goes: Sequence[Network | Sandbox]) -> None:
    """See that nothing that goes is of a compose project, which would not know it afterwards.

    Raises:
        Conflict: something is.
    """
    for each in goes:
        if name := labels.label(each, labels.PROJECT):
            kind = "network" if isinstance(each, Network) else "container"
            raise Conflict(
                f"{kind} {each.name} is to be made anew, and belongs to the compose project {name}",
                "change it by the project's own file, with 'plumb up'",
            )


def _with_them(
    nets: Sequence[Network], present: Present, gone: set[str]
) -> Iterator[tuple[Sandbox, str]]:
    """Yield containers that go with networks, or with containers whose network stack they share."""
    for box in present.containers:
        for net in nets:
            if box.attachment(net) is not None:
                yield box, f"network {net.name}"
    for box in present.containers:
        owner = next((each for each in present.containers if each.id == box.target), None)
        if owner is not None and owner.name in gone:
            yield box, f"container {owner.name}"
