"""Things of an agent as rows of requests to it and of its answers."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from ipaddress import IPv4Address, ip_address
from typing import Any

from plumb import root
from plumb.kernel import agent_verbs as verbs
from plumb.plan import Step
from plumb.things.dns import NamedPort, Names, Resolver, Upstream
from plumb.things.host_ports import HostPort, OfAgent, Proxy
from plumb.things.sandbox import Process
from plumb.things.supervision import DelayedStart, HealthProbe

Row = tuple[Any, ...]

# -- answers ---------------------------------------------------------------


def things_of(folder: str, answer: Mapping[str, Any]) -> list[OfAgent]:
    """Read the things that an agent has from its answer to `list`."""
    found: list[OfAgent] = []
    for protocol, ip, port, to_ip, to_port, proxied_ip, proxied_port in answer["ports"]:
        found.append(HostPort(folder, protocol, ip_address(ip), port, ip_address(to_ip), to_port))
        if proxied_ip:
            found.append(
                Proxy(folder, protocol, ip_address(ip), port, ip_address(proxied_ip), proxied_port)
            )
    return [
        *found,
        *(_resolver(folder, **row) for row in answer["resolvers"]),
        *(_names(folder, **row) for row in answer["names"]),
        *(_probe(folder, **row) for row in answer.get("checks", ())),
        *(DelayedStart(folder, **row) for row in answer.get("starts", ())),
    ]


def _probe(folder: str, *, process: dict[str, Any], **row: Any) -> HealthProbe:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in process.items()
    }
    return HealthProbe(folder, process=Process(**fields), **row)


def _resolver(
    folder: str,
    *,
    ip: str,
    networks: list[str],
    links: list[list[str]],
    upstreams: list[list[Any]],
    **row: Any,
) -> Resolver:
    return Resolver(
        folder,
        ip=IPv4Address(ip),
        networks=tuple(networks),
        links=tuple((net, alias, name) for net, alias, name in links),
        upstreams=tuple(Upstream(ip_address(ip), inside) for ip, inside in upstreams),
        **row,
    )


def _names(
    folder: str, *, names: list[str], ips: list[str], ports: list[list[Any]], **row: Any
) -> Names:
    return Names(
        folder,
        names=tuple(names),
        ips=tuple(map(ip_address, ips)),
        ports=tuple(NamedPort(*port) for port in ports),
        **row,
    )


# -- requests ---------------------------------------------------------------


def rows_of(step: Step) -> list[Row]:
    """Build the rows that ask the agent for a step."""
    thing = step.thing
    match thing:
        case HostPort() | Proxy():
            words = (
                (verbs.HOLD, verbs.RETARGET, verbs.RELEASE)
                if isinstance(thing, HostPort)
                else (verbs.PROXY, "", verbs.UNPROXY)
            )
            made, changed, removed = (
                (word, thing.protocol, str(thing.ip), thing.port, str(thing.to_ip), thing.to_port)
                for word in words
            )
            if step.before is None or step.after is None:
                return [removed if step.after is None else made]
            return [changed] if changed[0] else [removed, made]
        case Resolver():
            moves = isinstance(step.before, Resolver) and (step.before.udp, step.before.tcp) != (
                thing.udp,
                thing.tcp,
            )
            gone = [(verbs.UNSERVE, thing.ns)] if step.after is None or moves else []
            return [*gone, *([(verbs.SERVE, _fields_of(thing))] if step.after else [])]
        case Names():
            return [
                (verbs.UNNAME, thing.endpoint)
                if step.after is None
                else (verbs.NAME, _fields_of(thing))
            ]
        case HealthProbe():
            return [(verbs.UNCHECK, thing.id) if step.after is None else _check_row(thing)]
        case DelayedStart():
            return [(verbs.UNDELAY, thing.id) if step.after is None else _delay_row(thing)]
    raise NotImplementedError(type(thing))


def _check_row(thing: HealthProbe) -> Row:
    from plumb.kernel.process.starting import description

    fields = {
        each.name: getattr(thing, each.name)
        for each in dataclasses.fields(thing)
        if each.name != "agent"
    }
    process = dataclasses.asdict(thing.process)
    return (verbs.CHECK, {**fields, "process": process}, description.spec(thing.process))


def _delay_row(thing: DelayedStart) -> Row:
    fields = {name: value for name, value in dataclasses.asdict(thing).items() if name != "agent"}
    environment = {
        "PLUMB_ROOT": thing.root,
        "PLUMB_CONFIG": thing.config,
        "PYTHONPATH": root.IMPORT_PATH,
    }
    return (verbs.DELAY, fields, [sys.executable, "-m", "plumb", "resume"], environment)


def _fields_of(thing: Resolver | Names) -> dict[str, Any]:
    """List the fields of a thing, as the agent takes them."""
    fields = {
        each.name: getattr(thing, each.name)
        for each in dataclasses.fields(thing)
        if each.name != "agent"
    }
    if isinstance(thing, Names):
        if not thing.service:  # an agent of an earlier version does not know it
            del fields["service"]
        return {**fields, "ips": [str(ip) for ip in thing.ips]}
    return {
        **fields,
        "ip": str(thing.ip),
        "upstreams": [(str(server.ip), server.inside) for server in thing.upstreams],
    }
