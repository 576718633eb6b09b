"""Parties: who asks and who is asked, as places and addresses, from the words of a command line and the record."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ipaddress import ip_address

from plumb.engine.reader import Reader
from plumb.errors import Conflict, Invalid, NotFound
from plumb.kernel.net import name_lookup
from plumb.kernel.net.neighbours import own_addresses
from plumb.kernel.netns import references
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import IPAddress, Sandbox, Status
from plumb.model.observations import Netns
from plumb.probes.probe_syntax import HOST, ProbeSpec, Wanted, address_of, behind, holder
from plumb.probes.promises.promise import Member

LOOPBACK: dict[int, IPAddress] = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}


class Parties:
    """Who there is under one root.

    Args:
        reader: plumb's record.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        known = {net.id: net for net in reader.networks()}
        self.networks = list(known.values())
        running = [box for box in reader.containers() if box.status is Status.RUNNING]
        ends = [
            [(end, known[end.network]) for end in reader.endpoints(box) if end.network in known]
            for box in running
        ]
        self.members: list[tuple[Member, Netns]] = [
            ((box, theirs), Netns(box.name, reader.namespace(box)))
            for box, theirs in zip(running, ends, strict=True)
        ]

    def place(self, reference: str) -> Netns:
        """Where somebody is who is called so.

        A container, "host", the path of a namespace file, pid:N.

        Raises:
            Conflict: the container is not running.
            NotFound: there is neither.
        """
        if reference == HOST:
            return Netns(HOST, "")
        box = self._container(reference)
        return (
            Netns(*references.file_of(reference))
            if box is None
            else Netns(box.name, self._reader.namespace(box))
        )

    def _container(self, reference: str) -> Sandbox | None:
        try:
            box = self._reader.container(reference)
        except NotFound:
            return None
        if box.status is not Status.RUNNING:
            raise Conflict(f"container {box.name} is not running", f"plumb start {box.name}")
        return box

    def files(self, place: Netns) -> str:
        """The folder with the hosts file and the resolv.conf of somebody."""
        box = next((box for (box, _), where in self.members if where == place), None)
        if box is not None:
            return self._reader.layout.container(box.target or box.id)
        given = f"/etc/netns/{place.name}"
        return given if os.path.isdir(given) else "/etc"

    def questions(
        self, source: Netns, wanted: Wanted, versions: tuple[int, ...]
    ) -> list[ProbeSpec]:
        """A question to each address of whoever is meant.

        Args:
            versions: the address families that may be taken, the preferred first.

        Raises:
            Conflict, NotFound: whoever is meant cannot be asked.
        """
        name, addresses = self._addresses(source, wanted, versions)
        if not addresses:
            raise Invalid(
                f"{name} has no address to ask",
                "a container without a network shares its stack with somebody, or has none",
            )
        return [self._question(source, name, address, wanted) for address in addresses]

    def _addresses(
        self, source: Netns, wanted: Wanted, versions: tuple[int, ...]
    ) -> tuple[str, list[IPAddress]]:
        if (literal := address_of(wanted.name)) is not None:
            return wanted.name, [literal]
        if wanted.name == HOST:
            return HOST, self.of_host(source, versions)
        box = self._container(wanted.name)
        if box is None:
            found = name_lookup.addresses(wanted.name, source.ns, self.files(source), versions)
            if not found:
                raise NotFound(
                    f"there is no container {wanted.name}, and {source.name}'s resolver knows no address of that name",
                    f"plumb probe {source.name} {wanted.name}/dns",
                )
            return wanted.name, found
        if box.mode == "host":
            return box.name, self.of_host(source, versions)
        owner = box.target or box.id
        ends = next((ends for (other, ends), _ in self.members if other.id == owner), [])
        return box.name, [
            ip.ip
            for version in versions
            for end, _ in ends
            for ip in end.ips
            if ip.version == version
        ]

    def of_host(self, source: Netns, versions: Sequence[int]) -> list[IPAddress]:
        """The host's addresses by which somebody may try it.

        Those of the networks that they share, and those of its other links.
        """
        shared = {
            net.link for (_, ends), place in self.members if place == source for _, net in ends
        }
        bridges = {net.link for net in self.networks if net.bridge_in_host}
        found = [ip.ip for dev, ip in own_addresses() if dev in shared or dev not in bridges]
        if source.ns == "":
            found = [*LOOPBACK.values(), *found]
        return [ip for version in versions for ip in found if ip.version == version]

    def _question(self, source: Netns, name: str, address: IPAddress, wanted: Wanted) -> ProbeSpec:
        host = Netns(HOST, "")
        kind, port = wanted.kind, wanted.port
        of_host = address in [ip.ip for _, ip in own_addresses()] or (
            address.is_loopback and source.ns == ""
        )
        if of_host and port and (hole := behind(self.members, address, port, kind)) is not None:
            place, end, own_port = hole
            own = end.target(
                next(each for each in end.ports if each.port == own_port and each.host_port == port)
            ).version
            where = end.address(own)
            return ProbeSpec(
                source, name, address, kind, port, place, where.ip if where else None, own_port
            )
        target = (
            host
            if of_host
            else source
            if address.is_loopback
            else holder([(m, p) for m, p in self.members], address)
        )
        return ProbeSpec(
            source, name, address, kind, port, target, address if target else None, port
        )

    def inside(self, place: Netns) -> list[IPAddress]:
        """The global addresses of a place."""
        with entered(place.ns):
            return [ip.ip for _, ip in own_addresses()]
