"""Causes at sockets: no process listens at the port, or at another address only."""

from __future__ import annotations

from collections.abc import Sequence

from plumb.address import IPAddress
from plumb.foreign.values import Engine
from plumb.model.cnm import Sandbox
from plumb.model.net import targets
from plumb.model.netns_state import HOLDERS, Facts, Listener
from plumb.model.observations import HOST, Netns
from plumb.things.dns import ADDRESS as RESOLVER
from plumb.things.host_ports import at
from plumb.things.layer3 import dotted
from plumb.trace.causes import owners
from plumb.trace.causes.case import Case, Cause
from plumb.trace.causes.remedies import within
from plumb.trace.path import Ending

NAMES = 53
"""Port of name servers."""


def holder(case: Case) -> Listener | None:
    """Find the holder that the kernel has answered for; None if the packet did not end there."""
    crossed = case.story.crossings()
    last = crossed[-1] if crossed else None
    if last is None or not last.inbound or last.place.name != HOST or case.protocol != "tcp":
        return None
    taking = (
        each
        for each in case.host.listeners
        if each.port == last.packet.dport and each.takes(last.packet.dst)
    )
    return next((each for each in taking if _only_holds(case, each, last.packet.dst)), None)


def _only_holds(case: Case, by: Listener, ip: IPAddress) -> bool:
    """True of conmon, and of dockerd where the port is a container's.

    dockerd itself serves its API, and the swarm's managers and gossip.
    """
    return by.who.startswith(HOLDERS) and (
        not by.who.startswith("dockerd, ")
        or targets.published(case.members, ip, by.port, by.protocol) is not None
    )


def held(case: Case, by: Listener, box: Sandbox | None) -> Cause:
    """Build the cause of an answer that leads to nobody.

    Args:
        by: who holds the port; box: the container that it is published for, as far as it is known.
    """
    program, name = by.who.partition(",")[0], box.name if box else "a container"
    remedy = owners.republish(case, box) if box else ""
    return Cause(
        "port-held",
        f"{program} only holds port {by.port} for {name}, so that no other program takes it; the"
        " rule of nat that would lead there is gone, or does not match this packet",
        (f"{HOST}: {_listener(by)}", f"{HOST}: no rule of nat has rewritten the packet"),
        (remedy,) if remedy else (),
    )


def find(case: Case) -> Cause | None:
    """Find a cause in the listeners of the namespace that refused, or in its echo settings."""
    if case.gone:
        return _echo_ignored(case)
    if case.end.ending is not Ending.REFUSED:
        return None
    place, ip, port = case.end.place or case.source, *_refused(case)
    facts = case.of(place)
    if facts.place.name and not facts.has(ip):
        return None
    own = [each for each in facts.listeners if each.protocol == case.protocol and each.port == port]
    if own and any(each.takes(ip) for each in own):
        return None  # the proxy behind a port has closed it, or a firewall sends RSTs
    if place.name == HOST:
        cause = _host(case, ip, port) or _names(case, ip, port)
        if cause is not None:
            return cause
    if own:
        return _other_address(place, ip, port, own)
    return _no_listener(facts, port, case.protocol)


def _refused(case: Case) -> tuple[IPAddress, int]:
    """Address and port that were refused, before NAT rewrote the refusal."""
    packet = case.end.packet
    if packet is None:
        return case.ip, case.port
    return (packet.about.dst, packet.about.dport) if packet.about else (packet.src, packet.sport)


def _host(case: Case, ip: IPAddress, port: int) -> Cause | None:
    """Find a published port of the host's that is open at another address only."""
    found = targets.published(case.members, ip, port, case.protocol, exact=False)
    if found is None:
        return None
    own = found.port
    where = at(own.host_ip, own.host_port)
    if own.host_ip.is_loopback:
        return Cause(
            "published-on-loopback",
            f"port {port} is published on {own.host_ip} only: it leads to"
            f" {found.member.box.name} for this host itself, for nobody else",
            (f"published: {where} is {found.member.box.name}'s port {own.port}/{own.protocol}",),
            (f"publish it for all: -p {port}:{own.port}",),
        )
    if own.host_ip != ip and not own.host_ip.is_unspecified:
        return Cause(
            "published-elsewhere",
            f"port {port} is published on {own.host_ip}, not on {ip}",
            (f"published: {where} is {found.member.box.name}'s port {own.port}/{own.protocol}",),
            (f"ask {own.host_ip}", f"publish it for all: -p {port}:{own.port}"),
        )
    if own.host_ip.version != ip.version or any(line.rewrites for line in case.story.lines()):
        return None
    return Cause(
        "port-rules-gone",
        f"port {port} is published for {found.member.box.name}, and no rule of nat leads there: the"
        " engine's rules are gone, or do not match this packet",
        (
            f"published: {where} is {found.member.box.name}'s port {own.port}/{own.protocol}",
            f"{HOST}: no rule of nat has rewritten the packet",
        ),
        (owners.republish(case, found.member.box),),
    )


def _names(case: Case, ip: IPAddress, port: int) -> Cause | None:
    """Find a network of Podman's whose name server does not run."""
    nets = (net for net in case.networks if case.engines.get(net.id) is Engine.PODMAN)
    net = next((net for net in nets for pool in net.pools if pool.gateway == ip), None)
    if net is None or port != NAMES or case.protocol not in ("udp", "tcp"):
        return None
    return Cause(
        "name-server-gone",
        f"the name server of {net.name}, aardvark-dns, does not run",
        (f"{HOST}: nobody listens at {at(ip, port)}",),
        (owners.rebuild(case, net),),
    )


def _other_address(place: Netns, ip: IPAddress, port: int, own: Sequence[Listener]) -> Cause:
    """Cause for a port with listeners at other addresses."""
    observed = tuple(f"{place.name}: {_listener(each)}" for each in own)
    if all(each.ip.is_loopback for each in own):
        return Cause(
            "listens-on-loopback",
            f"in {place.name} port {port} is listened to on {own[0].ip} only,"
            f" where nobody but {place.name} itself gets",
            observed,
            (f"have the program listen on 0.0.0.0 (or ::) rather than on {own[0].ip}",),
        )
    if not any(each.ip.version == ip.version for each in own):
        return Cause(
            "other-family",
            f"in {place.name} port {port} is listened to by IPv{own[0].ip.version} only",
            observed,
            (f"ask by IPv{own[0].ip.version}", "have the program listen on ::, which takes both"),
        )
    return Cause(
        "listens-elsewhere",
        f"in {place.name} port {port} is listened to on {own[0].ip}, not on {ip}",
        observed,
        ("have the program listen on 0.0.0.0 (or ::)",),
    )


def _no_listener(facts: Facts, port: int, protocol: str) -> Cause:
    others = sorted(
        {
            _listener(each)
            for each in facts.listeners
            if each.protocol == protocol and each.ip != RESOLVER
        }
    )
    observed = f"{facts.place.name}: {', '.join(others[:8]) or 'nobody'} listens by {protocol}"
    ports = sorted(
        {
            each.port
            for each in facts.listeners
            if each.protocol == protocol and not each.ip.is_loopback
        }
    )
    return Cause(
        "nobody-listens",
        f"nobody listens at port {port}/{protocol} in {facts.place.name}",
        (observed,),
        (
            "start the program there, or ask a port that it listens at"
            + (f" ({ports[0]})" if len(ports) == 1 else ""),
        ),
    )


def _listener(each: Listener) -> str:
    return at(each.ip, each.port) + (f" ({each.who})" if each.who else "")


def _echo_ignored(case: Case) -> Cause | None:
    """Find a namespace whose sysctls keep the kernel from answering echo requests."""
    facts = case.of(case.end.place)
    name = (
        "net/ipv4/icmp_echo_ignore_all" if case.ip.version == 4 else "net/ipv6/icmp/echo_ignore_all"
    )
    if case.protocol != "icmp" or facts.setting(name) != "1" or not facts.has(case.goal):
        return None
    return Cause(
        "echo-ignored",
        f"{facts.place.name} is told not to answer echo requests",
        (f"{facts.place.name}: {name} = 1",),
        (within(facts.place, f"sysctl -w {dotted(name)}=0"),),
    )
