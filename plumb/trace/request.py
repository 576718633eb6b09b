"""Errands: words about who asks whom, made into a question from one namespace to an address, and the ground between."""

from __future__ import annotations

from plumb.engine.reader import Reader
from plumb.errors import Invalid, NotFound
from plumb.kernel.net import name_lookup
from plumb.model.observations import Netns
from plumb.trace import link_labels, target_syntax
from plumb.trace.link_labels import HOST
from plumb.trace.probe_socket import ProbePacket
from plumb.trace.report import TraceRequest, Wishes
from plumb.trace.target_syntax import IPAddress, Target
from plumb.trace.topology import Topology, TopologyReader


class Errands:
    """Understands words by plumb's record.

    Args:
        reader: the record.
        surveyor: who knows places.
    """

    def __init__(self, reader: Reader, surveyor: TopologyReader) -> None:
        self._layout = reader.layout
        self._surveyor = surveyor

    def errand(self, source: str, to: str, wishes: Wishes) -> tuple[TraceRequest, Topology]:
        """What is meant, and the ground of all places concerned.

        Both ends and the host, and what else shall be watched.

        Args:
            source: a container, "host", or another namespace.
            to: TO[:PORT][/PROTOCOL].

        Raises:
            Conflict: a container is not running.
            Invalid: it cannot be asked so.
            NotFound: there is no such container, place or name.
        """
        target, place, host = (
            target_syntax.target(to),
            self._surveyor.place(source),
            Netns(HOST, ""),
        )
        named = self._named(target.name)
        further = [self._surveyor.place(name) for name in wishes.also]
        ground = self._surveyor.ground([place, *([named] if named else []), host])
        ip = target_syntax.literal(target.name)
        if ip is None:
            ip = (
                self._address(ground, place, named, wishes)
                if named
                else self._resolved(target, place, wishes)
            )
        members = self._surveyor.members
        ours = ground.has(host, ip) and not (ip.is_loopback and place != host)
        hole = link_labels.published(members, ip, target.port, target.protocol) if ours else None
        member = hole.member if hole else link_labels.holder(members, ip)
        aim = (
            member.place
            if hole and member
            else named or (member.place if member else ground.having(ip))
        )
        everybody = [each.place for each in members] if wishes.everywhere else []
        concerned = [place, host, *([aim] if aim else []), *further, *everybody]
        if set(concerned) - set(ground.places):
            ground = self._surveyor.ground(concerned)
        question = ProbePacket(
            place, ip, target.protocol, target.port, wishes.sport, wishes.size, wishes.ttl
        )
        words = (
            place.name,
            to.replace(target.name, named.name) if named and "/" in target.name else to,
        )
        return TraceRequest(words, question, aim, hole, wishes.seconds), ground

    def _named(self, name: str) -> Netns | None:
        """The place of that name, None for an address or a host name."""
        if target_syntax.literal(name) is not None:
            return None
        try:
            return self._surveyor.place(name)
        except NotFound:
            if "/" in name or name.startswith("pid:"):
                raise
            return None

    def _resolved(self, target: Target, place: Netns, wishes: Wishes) -> IPAddress:
        """What a host name means to who asks."""
        member = next(
            (each for each in self._surveyor.members if each.place == place and place.name != HOST),
            None,
        )
        folder = self._layout.container(member.box.id) if member else "/etc"
        found = name_lookup.addresses(target.name, place.ns, folder, wishes.versions)
        if not found:
            raise NotFound(
                f"{place.name} does not know {target.name}: no container, no namespace, and no name that resolves there",
                "'plumb ps' shows the containers",
            )
        return found[0]

    def _address(self, ground: Topology, place: Netns, named: Netns, wishes: Wishes) -> IPAddress:
        """By which of its addresses a place is asked."""
        found = target_syntax.address(ground.ips(named), ground.ips(place), wishes.versions)
        if found is None:
            family = f"IPv{wishes.version} " if wishes.version else ""
            raise Invalid(
                f"{named.name} has no {family}address that could be asked",
                f"'plumb network connect NETWORK {named.name}' gives it one",
            )
        return found
