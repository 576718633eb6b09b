"""Ports, proxies, resolvers and names, which the agent holds, as commands of `plumb agent`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from plumb.kernel import agent_verbs as verbs
from plumb.model.paths import DEFAULT_ROOT, Layout
from plumb.things.cluster import EndpointRecord
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import Agent, HostPort, Proxy, at
from plumb.things.supervision import DelayedStart, HealthProbe


def _agent(folder: str, words: str) -> str:
    root = "" if folder == Layout(DEFAULT_ROOT).run else f"PLUMB_ROOT={shlex.quote(folder)} "
    return f"{root}plumb agent {words}"


def add_agent(thing: Agent) -> list[str]:
    return [_agent(thing.folder, "start")]


def remove_agent(thing: Agent) -> list[str]:
    return [_agent(thing.folder, "stop")]


def _port(thing: HostPort | Proxy, verb: str) -> str:
    return f"{verb} {thing.protocol} {shlex.quote(at(thing.ip, thing.port))}"


def add_port_or_proxy(thing: HostPort | Proxy) -> list[str]:
    verb = verbs.HOLD if isinstance(thing, HostPort) else verbs.PROXY
    return [
        _agent(thing.agent, f"{_port(thing, verb)} {shlex.quote(at(thing.to_ip, thing.to_port))}")
    ]


def remove_port_or_proxy(thing: HostPort | Proxy) -> list[str]:
    verb = verbs.RELEASE if isinstance(thing, HostPort) else verbs.UNPROXY
    return [_agent(thing.agent, _port(thing, verb))]


def publish(thing: EndpointRecord) -> list[str]:
    return [f"# plumb-cluster publishes {thing.endpoint[:12]} {_place(thing)}"]


def withdraw(thing: EndpointRecord) -> list[str]:
    return [f"# plumb-cluster withdraws {thing.endpoint[:12]} {_place(thing)}"]


def check(thing: HealthProbe) -> list[str]:
    return [f"# plumb-agent runs in {thing.id[:12]}: {shlex.join(thing.process.argv)}"]


def uncheck(thing: HealthProbe) -> list[str]:
    return [f"# plumb-agent ends the health check of {thing.id[:12]}"]


def delay(thing: DelayedStart) -> list[str]:
    return [f"# plumb-agent starts {thing.id[:12]} in {thing.seconds:g} s"]


def undelay(thing: DelayedStart) -> list[str]:
    return [f"# plumb-agent no longer waits to start {thing.id[:12]}"]


def _place(thing: EndpointRecord) -> str:
    ips = " ".join(str(ip.ip) for ip in (thing.ip, thing.ip6) if ip is not None)
    return f"{ips} {thing.mac} of network {thing.network[:12]}"


def _each(option: str, values: Iterable[str]) -> str:
    return "".join(f" --{option} {shlex.quote(value)}" for value in values)


def add_resolver(thing: Resolver) -> list[str]:
    servers = (f"{'sandbox' if inside else 'host'}={ip}" for ip, inside in thing.upstreams)
    options = (
        _each("network", thing.networks)
        + _each("link", map(",".join, thing.links))
        + _each("upstream", servers)
    )
    flags = ("" if thing.outside else " --no-way-out") + (" --ndots" if thing.ndots else "")
    return [
        _agent(
            thing.agent,
            f"{verbs.SERVE} {shlex.quote(thing.ns)} {thing.udp} {thing.tcp}{options}{flags}",
        )
    ]


def remove_resolver(thing: Resolver) -> list[str]:
    return [_agent(thing.agent, f"{verbs.UNSERVE} {shlex.quote(thing.ns)}")]


def add_names(thing: Names) -> list[str]:
    ports = (f"{name},{protocol},{port}" for name, protocol, port in thing.ports)
    options = _each("name", thing.names) + _each("ip", map(str, thing.ips)) + _each("port", ports)
    options += " --service" if thing.service else ""
    return [
        _agent(
            thing.agent,
            f"{verbs.NAME} {thing.endpoint} {thing.network} {shlex.quote(thing.title)}{options}",
        )
    ]


def remove_names(thing: Names) -> list[str]:
    return [_agent(thing.agent, f"{verbs.UNNAME} {thing.endpoint}")]
