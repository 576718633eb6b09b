"""Resolution of names: the network namespaces and addresses that a target's words stand for.

plumb's containers and "host" are known from the record, other engines' containers from those
engines (`plumb.foreign`); namespace files and processes from the kernel; any other name is asked of
the asker's own resolver, as its programs would.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator

from plumb.address import IPAddress
from plumb.engine.reader import Reader
from plumb.errors import Conflict, Invalid, NotFound
from plumb.foreign import names, namespaces, read_host
from plumb.foreign.values import ForeignHost
from plumb.frozen import frozen
from plumb.kernel.net import name_lookup
from plumb.kernel.netns import references
from plumb.model.cluster import balancer_sandbox
from plumb.model.cnm import Endpoint, Ends, Network, Sandbox, Status
from plumb.model.net.targets import Balanced, Member, Published, address_of, holder, published
from plumb.model.observations import HOST, Netns
from plumb.model.service.virtual import VirtualService


@frozen
class ResolvedTarget:
    """The namespace or addresses that a target's name stands for.

    Attributes:
        name: the name to print: a container's own name, "host", or the text of the command line.
        place: its namespace; None for an address or a host name.
        addresses: the address itself, or those of a host name; empty for a namespace.
    """

    name: str
    place: Netns | None = None
    addresses: tuple[IPAddress, ...] = ()


@frozen
class Destination:
    """The namespace in which a packet to an address should arrive.

    Attributes:
        place: the namespace; None where no known namespace has the address.
        published: the published port that leads there.
    """

    place: Netns | None
    published: Published | None = None


class TargetResolver:
    """Finds namespaces and addresses by the names of one root, and by those of other engines.

    Args:
        reader: plumb's record.
        foreign: other engines' containers and networks; None: read those of this host.

    Attributes:
        networks: all networks; members: the running containers, plumb's own first.
        own: plumb's own running containers.
        foreign: other engines' containers, under names that nobody else has.
    """

    def __init__(self, reader: Reader, foreign: ForeignHost | None = None) -> None:
        known = {net.id: net for net in reader.networks()}
        self._reader = reader
        boxes = reader.containers()
        running = [box for box in boxes if box.status is Status.RUNNING]
        ends = defaultdict[str, list[tuple[Endpoint, Network]]](list)
        for end in reader.store.all(Endpoint):
            if end.network in known:
                ends[end.sandbox].append((end, known[end.network]))
        self.own = members_of((box, ends[box.id], reader.namespace(box)) for box in running)
        self.foreign = names.named_apart(
            read_host.read() if foreign is None else foreign, {box.name for box in boxes}
        )
        self.networks = (*known.values(), *(each.network for each in self.foreign.networks))
        self.members = (*self.own, *self.foreign.members)

    def place(self, reference: str) -> Netns:
        """Return the namespace of a container, of the host, or that `references.file_of` finds.

        Args:
            reference: a container's name or ID, "host", the path of a namespace file, or pid:N.

        Raises:
            Conflict: the container is not running, or several are called so.
            NotFound: no container and no namespace matches.
        """
        if reference == HOST:
            return Netns(HOST, "")
        member = self._member(reference)
        return self._foreign(reference) if member is None else member.place

    def name_files(self, reference: str, place: Netns) -> str:
        """Return the folder with the hosts file and the resolv.conf of a namespace.

        Args:
            reference: the text by which the namespace was found; place: the namespace.
        """
        member = None if reference == HOST else self._own(names.qualifier(reference))
        if member is not None:
            return self._reader.layout.container(member.box.target or member.box.id)
        for each in self.foreign.containers:
            if place.ns and each.member.place == place and each.etc:
                return each.etc
        given = f"{namespaces.ETC}/{place.name}"  # as `ip netns exec` mounts them over /etc
        return given if "/" not in place.name and os.path.isdir(given) else "/etc"

    def resolve(
        self, name: str, source: Netns, files: str, versions: tuple[int, ...]
    ) -> ResolvedTarget:
        """Resolve a name as programs in a namespace do.

        The beginning of a container's id stands behind a name that the source's networks know, as
        c2 of a container elsewhere.

        Args:
            source: the namespace of the probe's source.
            files: the folder of `name_files` of the source.
            versions: the address families that may be taken, the preferred first.

        Raises:
            Conflict: the name is that of a container that is not running.
            NotFound: no container, namespace or host name matches.
        """
        if (literal := address_of(name)) is not None:
            return ResolvedTarget(name, None, (literal,))
        if name == HOST:
            return ResolvedTarget(HOST, Netns(HOST, ""))
        if (member := self._member(name)) is not None:
            if _is_abbreviated(name, member) and self._is_name_on(source, name):
                return self._host_name(name, source, files, versions)
            return ResolvedTarget(member.box.name, member.place)
        try:
            place = self._foreign(name)
        except NotFound:
            if "/" in name or name.startswith("pid:"):
                raise
            return self._host_name(name, source, files, versions)
        return ResolvedTarget(place.name, place)

    def _host_name(
        self, name: str, source: Netns, files: str, versions: tuple[int, ...]
    ) -> ResolvedTarget:
        found = name_lookup.addresses(name, source.ns, files, versions)
        if not found:
            raise NotFound(
                f"{source.name} does not know {name}: no container, no namespace, and no name that"
                " resolves there",
                f"'plumb ps' shows the containers,"
                f" 'plumb probe {source.name} {name}/dns' asks the name servers",
            )
        return ResolvedTarget(name, None, tuple(found))

    def _is_name_on(self, source: Netns, name: str) -> bool:
        """True if the networks of a container of plumb's have a name: here, elsewhere, a service's.

        So the name servers of the world are not asked for what may be an id.
        """
        from plumb.model.net.dns_names import dns_names  # lazy: few targets are parts of an id

        ours = next((member for member in self.own if member.place == source), None)
        for net in [net for _, net in ours.ends] if ours else ():
            known = {each for end in self._reader.store.remotes(net.id) for each in end.names}
            for one in self._reader.store.services(net.id):
                known |= {one.name, *one.aliases}
            for member in self.own:
                if (wish := member.box.attachment(net)) is not None:
                    known.update(dns_names(member.box, wish.aliases or ()))
            if name in known:
                return True
        return False

    def destination(
        self, ip: IPAddress, port: int, protocol: str, *, of_host: bool, named: Netns | None = None
    ) -> Destination:
        """Find the namespace in which a packet should arrive.

        Args:
            port: 0 where the protocol has none.
            of_host: whether the address is the host's own, where published ports are.
            named: the namespace that was asked for by name.
        """
        found = published(self.members, ip, port, protocol) if of_host and port else None
        if found is not None:
            return Destination(found.member.place, found)
        member = holder(self.members, ip)
        return Destination(named or (member.place if member else None))

    def located(self, nets: Iterable[Network]) -> list[Network]:
        """Return overlay networks with the files of their namespaces on this host.

        dockerd tells nobody where those are, so plumb looks at the processes for it: only when a
        packet is about to cross such a network.
        """
        nets = list(nets)
        if all(net.overlay.netns for net in nets):
            return nets
        from plumb.foreign import overlays  # lazy: few hosts are nodes of a swarm

        self.networks = tuple(overlays.located(self.networks))
        known = {net.id: net for net in self.networks}
        return [known[net.id] for net in nets]

    def balancer(self, net: Network) -> Netns:
        """Return the namespace of a network's balancer on this host, whether it is there or not."""
        name = balancer_sandbox(net.id, net.overlay.ingress)
        return Netns(f"balancer {net.name}", self._reader.layout.namespace(name))

    def balanced(
        self, ip: IPAddress, port: int, protocol: str, *, of_host: bool
    ) -> Balanced | None:
        """Find the service of the cluster that a packet is for; None without one on this host.

        Args:
            ip, port, protocol: the packet's destination.
            of_host: whether the address is the host's own, where published ports are.
        """
        for net in self.networks:
            for one in self._reader.store.services(net.id) if net.multi_host else ():
                ports = {(each.published, str(each.protocol)) for each in one.ports}
                virtual = any(own.ip == ip for own in one.ips)
                if virtual or (of_host and (port, protocol) in ports):
                    place = self.balancer(net)
                    tasks = tuple(self._tasks(one))
                    return Balanced(one, net, place, tasks) if os.path.exists(place.ns) else None
        return None

    def _tasks(self, one: VirtualService) -> Iterator[Member]:
        for end in one.backends:
            member = holder(self.members, end.ip.ip)
            if member is not None:
                yield member

    def vtep(self, net: Network, ip: IPAddress) -> IPAddress | None:
        """Return the end of the tunnel behind which an overlay's address is.

        None for an address that no endpoint on another host has.
        """
        remotes = self._reader.store.remotes(net.id)
        return next((end.vtep for end in remotes if any(own.ip == ip for own in end.ips)), None)

    def _member(self, reference: str) -> Member | None:
        """Return the running container of that name, None if no container has it."""
        engine, name = names.qualifier(reference)
        own = self._own((engine, name))
        other = names.find(self.foreign, reference) if engine != names.OWN else None
        if other is None or (own and own.box.name == name != other.name):
            return own
        if own is not None and own.box.name == name:
            raise names.ambiguous(name, [f"{names.OWN}:{name}", other.qualified])
        return other.member

    def _own(self, qualified: tuple[str, str]) -> Member | None:
        """Return plumb's own running container of that name, None if none has it."""
        engine, name = qualified
        if engine not in ("", names.OWN):
            return None
        try:
            box = self._reader.container(name)
        except NotFound:
            return None
        member = next((each for each in self.own if each.box.id == box.id), None)
        if member is None:
            raise Conflict(
                f"container {box.name} is not running", f"'plumb start {box.name}' starts it"
            )
        return member

    def _foreign(self, reference: str) -> Netns:
        name, file = references.file_of(reference)
        if references.same(file, ""):
            return Netns(HOST, "")
        taken = {HOST, *(member.place.name for member in self.members)}
        own = next(
            (member.place for member in self.members if references.same(file, member.place.ns)),
            None,
        )
        return own or Netns(name if name not in taken else file, file)


def _is_abbreviated(name: str, member: Member) -> bool:
    """Test for a member that was found by the beginning of its id."""
    return member.box.name != name != member.box.id and member.box.id.startswith(name)


def members_of(boxes: Iterable[tuple[Sandbox, Ends, str]]) -> tuple[Member, ...]:
    """Build members from running containers.

    A container that shares another's namespace has the other's name as the name of its namespace.
    The name of the host's is taken.

    Args:
        boxes: the containers with their endpoints and the file of their namespace.
    """
    names: dict[str, str] = {"": HOST}
    found = []
    for box, ends, ns in sorted(boxes, key=lambda each: bool(each[0].target)):
        own = f"plumb:{box.name}" if box.name == HOST else box.name
        found.append(Member(box, Netns(names.setdefault(ns, own), ns), tuple(ends)))
    return tuple(found)


def without_address(name: str, version: int = 0) -> Invalid:
    """Build the error for a target that has no address to probe.

    Args:
        version: 4 or 6 if the probe needs that family, else 0.
    """
    return Invalid(
        f"{name} has no {f'IPv{version} ' if version else ''}address that could be asked",
        f"'plumb network connect NETWORK {name}' gives it one",
    )
