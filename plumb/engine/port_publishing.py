"""Choice of host ports for the published ports of a running container, as its networks change."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from itertools import combinations

from plumb.engine.operation import Operation
from plumb.errors import Conflict, Exhausted
from plumb.frozen import replace
from plumb.model import port_mapping
from plumb.model.cnm import Endpoint, Sandbox
from plumb.model.port_mapping import Request
from plumb.model.ports import Port
from plumb.things.host_ports import at


def publish(op: Operation, box: Sandbox) -> None:
    """Assign to each endpoint of a running container the ports that it publishes now.

    A port that stays with its endpoint keeps its number; for a port that moves to another endpoint
    plumb chooses a new one, as Docker does.

    Raises:
        Conflict: another container or a program of the host has a port.
        Exhausted: no port of a range is free.
    """
    bindings = port_mapping.wanted(box)
    if not bindings:
        return
    ends = op.ends(box)
    versions = {end.id: port_mapping.families(end, net, ends) for end, net in ends}
    proxied = op.settings.userland_proxy
    for end, _ in ends:  # release ports before any is allocated
        kept = tuple(
            port
            for port in end.ports
            if port.host_ip.version in versions[end.id]
            and (proxied or not port.host_port or end.rewrites(port))
        )
        if kept != end.ports:
            op.put(replace(end, ports=kept))
    for end, net in op.ends(box):
        missing = versions[end.id] - {port.host_ip.version for port in end.ports}
        requests = port_mapping.requests(
            bindings, end, net, sorted(missing), proxy=proxied, ipv6=op.system.listens_v6()
        )
        if requests:
            _give(op, box, end, requests)


def _give(op: Operation, box: Sandbox, end: Endpoint, requests: Iterable[Request]) -> None:
    try:
        for group in port_mapping.groups(requests):
            number = 0 if group[0].routed else _number(op, group)
            end = replace(
                end,
                ports=(*end.ports, *(Port(r.port, r.protocol, r.host_ip, number) for r in group)),
            )
            op.put(end)
    except (Conflict, Exhausted) as error:
        doing = f"driver failed programming external connectivity on endpoint {box.name} ({end.id})"
        raise type(error)(f"{doing}: {error}", error.hint) from None


def _number(op: Operation, group: list[Request]) -> int:
    """Choose a host port that is free on all addresses of a group."""
    one = group[0]
    for request, other in combinations(group, 2):
        if port_mapping.clash(request.host_ip, other.host_ip):
            where = at(other.host_ip, other.first) if other.exact else str(other.host_ip)
            raise Conflict(
                f"Bind for {where} failed: port is already allocated",
                f"{one.port}/{one.protocol} is published twice there",
            )
    if one.exact:
        _must_be_free(op, group, one.first)
        return one.first
    first, last, reserved = (
        (one.first, one.last, frozenset[int]()) if one.first else op.system.ephemeral()
    )
    turn = f"port {one.protocol} {one.host_ip} {first}-{last}"
    previous = int(op.remarked(turn) or 0)
    for number in port_mapping.candidates(first, last, previous, reserved):
        if not any(
            op.publisher(r.protocol, r.host_ip, number) or _taken(op, r, number) for r in group
        ):
            op.remark(turn, str(number))
            return number
    where = " and ".join(str(request.host_ip) for request in group)
    raise Exhausted(
        f"all ports are allocated: none of {first}-{last}/{one.protocol} is free on {where}",
        "'plumb port' shows those that containers have",
    )


def _must_be_free(op: Operation, group: list[Request], number: int) -> None:
    for request in group:
        where = at(request.host_ip, number)
        rival = op.publisher(request.protocol, request.host_ip, number)
        if rival:
            raise Conflict(f"Bind for {where} failed: port is already allocated", _whose(op, rival))
        if _taken(op, request, number):
            program = op.system.holder(request.protocol, request.host_ip, number)
            raise Conflict(
                f"failed to bind host port {where}/{request.protocol}: address already in use",
                f"{program or 'another program of this host'} has it:"
                " stop that, or publish another port",
            )


def _taken(op: Operation, request: Request, number: int) -> bool:
    """Report a host port that a program of the host has bound.

    The port is free if this operation itself takes it from one container for another.
    """
    if op.gives_back(request.protocol, request.host_ip, number):
        return False
    return op.system.trial(request.protocol, request.host_ip, number) == errno.EADDRINUSE


def _whose(op: Operation, endpoint: str) -> str:
    end = op.endpoint(endpoint)
    box = op.sandbox(end.sandbox) if end else None
    return f"container {box.name} has it" if box else "another container has it"
