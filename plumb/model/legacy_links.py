"""Links: environment variables that describe a linked container (`--link`) to a command.

Before there were networks with names, this was how a program found a server: Docker 0.6 set
variables like

    DATABASE_PORT=tcp://172.17.0.2:5432              the first port, TCP before others
    DATABASE_PORT_5432_TCP_ADDR=172.17.0.2           of every port the address, number, protocol
    DATABASE_ENV_POSTGRES_USER=app                   and the other container's environment

A command's environment cannot change while it runs, so the variables say what was so when it was
started. The hosts file, which has the linked container's names too, follows when that one comes
back with another address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from plumb.address import IPAddress
from plumb.model.cnm import Linked, Sandbox
from plumb.model.ports import PROTOCOLS

Open = tuple[int, str]
"""A port and its protocol."""


def known(box: Sandbox, alias: str, ips: Sequence[IPAddress]) -> Linked:
    """Description of this container for another one that links to it by that alias.

    Args:
        ips: its addresses on the default network.
    """
    names = [alias, box.hostname, *([box.name] if box.name != alias else [])]
    exposed = [spec for spec in box.exposed if spec.partition("/")[2] in PROTOCOLS]
    ports = dict.fromkeys((*exposed, *(f"{port.port}/{port.protocol}" for port in box.ports)))
    return Linked(box.id, alias, " ".join(names), tuple(ips), tuple(ports))


def environment(parent: str, link: Linked, given: Sequence[str]) -> Iterator[str]:
    """The variables of one link.

    Args:
        parent: the name of the container that has the link.
        given: the linked container's own variables; HOME and PATH are not handed on.
    """
    prefix = link.alias.upper().replace("-", "_")
    ip = next((ip for ip in link.ips if isinstance(ip, IPv4Address)), "")
    ports = sorted(
        (_open(spec) for spec in link.ports), key=lambda port: (port[1] != "tcp", port[1], port[0])
    )
    if ports:
        yield f"{prefix}_PORT={_at(ip, ports[0])}"
    for run in _runs(ports):
        for port in run:
            yield from _one(prefix, ip, port)
        if len(run) > 1:
            yield from _range(_named(prefix, run[0]), ip, run[0], run[-1])
    yield f"{prefix}_NAME=/{parent}/{link.alias}"
    for word in given:
        name, equals, value = word.partition("=")
        if equals and name not in ("HOME", "PATH"):
            yield f"{prefix}_ENV_{name}={value}"


def _open(spec: str) -> Open:
    number, _, protocol = spec.partition("/")
    return int(number), protocol


def _at(ip: object, port: Open) -> str:
    return f"{port[1]}://{ip}:{port[0]}"


def _named(prefix: str, port: Open) -> str:
    return f"{prefix}_PORT_{port[0]}_{port[1].upper()}"


def _one(prefix: str, ip: object, port: Open) -> Iterator[str]:
    name = _named(prefix, port)
    yield f"{name}={_at(ip, port)}"
    yield f"{name}_ADDR={ip}"
    yield f"{name}_PORT={port[0]}"
    yield f"{name}_PROTO={port[1]}"


def _range(name: str, ip: object, first: Open, last: Open) -> Iterator[str]:
    yield f"{name}_START={_at(ip, first)}"
    yield f"{name}_PORT_START={first[0]}"
    yield f"{name}_END={_at(ip, last)}"
    yield f"{name}_PORT_END={last[0]}"


def _runs(ports: Sequence[Open]) -> list[list[Open]]:
    """Neighbouring ports of one protocol together."""
    runs: list[list[Open]] = []
    for port in ports:
        if runs and runs[-1][-1] == (port[0] - 1, port[1]):
            runs[-1].append(port)
        else:
            runs.append([port])
    return runs
