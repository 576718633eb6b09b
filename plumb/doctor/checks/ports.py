"""Published ports: nobody listens behind them, or somebody else listens in front of them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from ipaddress import ip_network

from plumb.doctor import firewalls, remedies
from plumb.frozen import replace
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import (
    ContainerState,
    EndState,
    NamespaceState,
    NetworkState,
    Snapshot,
)
from plumb.model.foreign_firewall import Traffic, TrafficKind
from plumb.model.netns_state import Listener
from plumb.model.ports import Port
from plumb.things.layer3 import dotted

ANYBODY = ip_network("0.0.0.0/0")
RANGE = 4
"""Ports in a row that count as a range."""
HOLDERS = re.compile(r"(docker|rootlesskit|plumb|slirp4netns|pasta|conmon|rootlessport|netavark)")
"""Programs that hold published ports for their engine."""


def _published(
    snapshot: Snapshot,
) -> Iterator[tuple[ContainerState, EndState, NetworkState, Port, NamespaceState]]:
    for box, end, net in snapshot.ends():
        space = snapshot.space(box)
        for port in end.ports if space is not None else ():
            if space is not None and end.ip is not None:
                yield box, end, net, port, space


def behind(snapshot: Snapshot) -> Iterator[Finding]:
    """Find published ports that lead to nobody, or to a program on the container's loopback.

    Of a range of ports a program takes some when it needs them, for media or FTP: nothing is told
    of them where the container listens at another of its published ports.
    """
    reported: set[tuple[str, int, str]] = set()
    published = _by_protocol(snapshot.containers)
    for box, end, net, port, space in _published(snapshot):
        where = (box.name, port.port, port.protocol)
        if not box.program or where in reported or port.protocol == "sctp":
            continue
        finding = listening(box, end, net, port.port, port.protocol, space)
        if finding is None:
            continue
        row = _row(published[box.name, port.protocol], port.port)
        if len(row) < RANGE:
            reported.add(where)
            yield finding
            continue
        reported |= {(box.name, each, port.protocol) for each in row}
        if not _serves(box, space):
            words = f"{row[0]}-{row[-1]}/{port.protocol}"
            yield replace(
                finding,
                grade=Grade.HINT,
                severity=Severity.WARNING,
                subject=f"nobody listens at any of the published ports {words} of {box.name}",
            )


def _by_protocol(boxes: Iterable[ContainerState]) -> dict[tuple[str, str], set[int]]:
    """The published ports of each container by its name and the protocol."""
    found: dict[tuple[str, str], set[int]] = {}
    for box in boxes:
        for end in box.ends:
            for each in end.ports:
                found.setdefault((box.name, each.protocol), set()).add(each.port)
    return found


def _row(ports: Container[int], port: int) -> range:
    """The ports in a row with one."""
    first = last = port
    while first - 1 in ports:
        first -= 1
    while last + 1 in ports:
        last += 1
    return range(first, last + 1)


def _serves(box: ContainerState, space: NamespaceState) -> bool:
    """True if somebody listens at a published port of a container."""
    there = {(each.protocol, each.port) for each in space.listeners if not each.ip.is_loopback}
    return any((each.protocol, each.port) in there for end in box.ends for each in end.ports)


def listening(
    box: ContainerState,
    end: EndState,
    net: NetworkState,
    port: int,
    protocol: str,
    space: NamespaceState,
) -> Finding | None:
    """Find why nobody listens at a container's port; None if somebody does."""
    at = space.listening(protocol, port)
    if any(each.takes(own.ip) for each in at for own in end.ips):
        return None
    link = space.link_with(end.ip.ip) if end.ip is not None else None
    asked = Traffic(
        TrafficKind.PROXIED, "", ANYBODY, frozenset({link.name} if link else ()), protocol, port
    )
    if firewalls.rewriting(space, asked):
        return None  # to another port, or to another machine
    if at and all(each.ip.is_loopback for each in at):
        return Finding(
            "listens-on-loopback",
            Grade.PROVEN,
            Severity.PROBLEM,
            f"the program in {box.name} listens at {at[0].ip}:{port} only",
            (box.name, net.name),
            (f"{box.name}: ss -ln: {_text(at[0])}",),
            "A packet from outside is for the container's address, and its loopback address is"
            " another one. The program's configuration must say 0.0.0.0, or [::].",
            (f"have the program in {box.name} listen on 0.0.0.0:{port}",),
        )
    there = [each for each in space.listeners if each.protocol == protocol]
    others = sorted({each.port for each in there if not each.ip.is_loopback})
    return Finding(
        "nobody-listens",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"port {port}/{protocol} of {box.name} is published, and nobody listens there",
        (box.name, net.name),
        (f"{box.name}: ss -ln: {', '.join(map(_text, there)) or f'no {protocol} at all'}",),
        _answer(protocol, box.engine) + " The program has not started, or listens at another port.",
        (
            f"{remedies.words_of(box.engine)} run -p HOSTPORT:{others[0]} …"
            if others
            else f"{remedies.words_of(box.engine)} logs {remedies.own(box.name)}",
        ),
    )


def _answer(protocol: str, engine: str) -> str:
    if protocol == "udp":
        return "The container answers a datagram with an ICMP error, port unreachable."
    proxied = "; docker-proxy takes it and closes it." if engine == "docker" else "."
    return f"The container answers a connection with a RST{proxied}"


def _text(each: Listener) -> str:
    at = f"[{each.ip}]" if each.ip.version == 6 else str(each.ip)
    return f"{each.protocol} {at}:{each.port}" + (f" ({each.who})" if each.who else "")


def in_front(snapshot: Snapshot) -> Iterator[Finding]:
    """Find programs of the host that listen at a published port."""
    for box, _, _, port, _ in _published(snapshot):
        for each in snapshot.host.listening(port.protocol, port.host_port):
            if (
                each.who
                and not HOLDERS.match(each.who)
                and (each.takes(port.host_ip) or port.host_ip.is_unspecified)
                and each.ip.version == port.host_ip.version
            ):
                yield Finding(
                    "port-shadowed",
                    Grade.PROVEN,
                    Severity.PROBLEM,
                    f"port {port.host_port}/{port.protocol} of {box.name} is another program's",
                    (box.name,),
                    (f"ss -lnp: {_text(each)}", f"{box.name}: -p {port.host_port}:{port.port}"),
                    "Packets from outside are rewritten to the container, and those of the host's"
                    " own programs reach the other one. Only one of them can mean this port.",
                    (f"stop {each.who}, or publish another port",),
                )


def proxied(host: NamespaceState, number: int) -> bool:
    """True if a program serves a TCP port of the host; dockerd itself only holds it."""
    return any(not each.who.startswith("dockerd,") for each in host.listening("tcp", number))


def localhost(snapshot: Snapshot) -> Iterator[Finding]:
    """Find published ports that the host's own programs do not reach at 127.0.0.1."""
    host = snapshot.host
    reported = set()
    for box, _, net, port, _ in _published(snapshot):
        if box.engine != "docker" or port.host_ip.version != 4 or port.protocol != "tcp":
            continue
        name = f"net/ipv4/conf/{net.link}/route_localnet"
        local = "1" in (host.setting(name), host.setting("net/ipv4/conf/all/route_localnet"))
        if (
            not proxied(host, port.host_port)
            and not local
            and net.bridged
            and port.host_port not in reported
        ):
            reported.add(port.host_port)
            yield Finding(
                "no-localhost",
                Grade.PROVEN,
                Severity.WARNING,
                f"127.0.0.1:{port.host_port} does not lead to {box.name}",
                (box.name,),
                (f"sysctl {dotted(name)} = 0", f"ss -ln: nobody at port {port.host_port}"),
                "No docker-proxy listens at the port, and the host does not route packets of"
                " 127.0.0.1 to a bridge. Either would do.",
                (remedies.setting(host, name, "1"), remedies.rebuild("docker")),
            )
