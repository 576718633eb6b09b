"""Files as people publish them, each held against a table of what Docker Compose makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plumb import Host, Network, Sandbox
from plumb.compose import carry_out, labels
from plumb.compose.files import Request
from plumb.compose.load import load
from plumb.compose.project import Project
from plumb.model.cnm import Attachment
from plumb.model.lifecycle import HealthCheck
from plumb.model.lifecycle.durations import spelt
from plumb.model.ports import PortBinding
from tests.compose import up

FILES = Path(__file__).parent / "files"
NAMES = sorted(path.stem for path in FILES.glob("*.txt"))
PROFILES = {"profiles": ("admin",)}
"""Profiles that the caller enables."""
COMMANDS = ("layers", "health", "files")
"""Files whose tables have commands, too."""
VARIABLES = ("anchors", "layers", "files")
"""Files whose tables have variables, too."""


def loaded(name: str) -> Project:
    """The project of a file; it is named after it."""
    paths = (FILES / f"{name}.yaml", FILES / f"{name}.override.yaml")
    return load(
        Request(
            files=tuple(str(path) for path in paths if path.exists()),
            name=name,
            profiles=PROFILES.get(name, ()),
            environment={"CALLER": "given"},
        )
    )


@pytest.fixture
def neighbours(host: Host) -> Host:
    """A host with a network and a container that are no project's."""
    host.create_network("office")
    host.run("resident")
    return host


# -- the tables ---------------------------------------------------------------


def network_line(net: Network) -> str:
    """A network as its table has it."""
    words = [net.name, net.driver]
    for pool in net.pools:
        if pool.given:
            words += [str(pool.subnet), *([f"range {pool.range}"] if pool.range else [])]
            words += [f"gateway {pool.gateway}"] if pool.gateway else []
            words += [f"aux {name}={ip}" for name, ip in pool.aux]
    words += [word for word in ("internal", "attachable") if getattr(net, word)]
    words += ["ipv6 only" if not net.ipv4 else "ipv6"] if net.ipv6 else []
    words += [f"{key}={value}" for key, value in net.options]
    words += [f"{key}={value}" for key, value in own_labels(net)]
    return f"network {' '.join(words)}"


def own_labels(of: Network | Sandbox) -> list[tuple[str, str]]:
    """Labels that are not the project's."""
    return [pair for pair in of.labels if not pair[0].startswith(labels.PREFIX)]


def container_lines(host: Host, box: Sandbox, name: str) -> Iterator[str]:
    """A container as its table has it."""
    number = labels.label(box, labels.NUMBER)
    head = [f"container {box.name} of {labels.label(box, labels.SERVICE)} {number}"]
    yield ", ".join([*head, *options(box, name)])
    if box.mode != "network":
        shown = host.container(box.target).name if box.target else ""
        yield f"  network stack of {shown}" if shown else f"  {box.mode}"
    for wish in box.attachments:
        yield attachment_line(host, wish)
    if box.ports:
        yield f"  publishes {', '.join(port(each) for each in box.ports)}"
    if box.exposed:
        yield f"  exposes {' '.join(box.exposed)}"


def options(box: Sandbox, name: str) -> Iterator[str]:
    """Options of a container that are not about one network."""
    own = {
        "hostname": box.hostname if box.owns_hostname else "",
        "domainname": box.domainname,
        "mac": box.mac,
        "restart": str(box.restart) if str(box.restart) != "no" else "",
        "user": box.command.user,
        "in": box.command.working_dir,
        "stop by": box.command.stop_signal,
        "stop after": box.command.stop_timeout,
        "dns": " ".join(map(str, box.dns)),
        "search": " ".join(box.dns_search),
        "options": " ".join(box.dns_options),
        "hosts": " ".join(f"{host}={ip}" for host, ip in box.extra_hosts),
        "cap_add": " ".join(box.cap_add),
        "sysctl": " ".join(f"{key}={value}" for key, value in box.sysctls),
        "env": " ".join(box.environment) if name in VARIABLES else "",
        "command": " ".join(box.argv) if name in COMMANDS else "",
    }
    yield from (f"{key} {value}" for key, value in own.items() if value)
    yield from (word for word in ("privileged",) if box.privileged)
    yield from (word for word in ("init",) if box.command.init)
    yield from health(box.health)
    yield from (f"{key}={value}" for key, value in own_labels(box))


def health(check: HealthCheck) -> Iterator[str]:
    """A health check in words."""
    if check.disabled:
        yield "no health check"
    if check.command:
        within = f" within {spelt(check.timeout)}" if check.timeout else ""
        yield f"health {check.command} every {spelt(check.interval)}{within}"
    if check.retries:
        yield f"{check.retries} times"


def attachment_line(host: Host, wish: Attachment) -> str:
    """A place in a network, with the names there."""
    asked = {
        "ip": wish.ip,
        "ip6": wish.ip6,
        "link-local": " ".join(map(str, wish.link_local)),
        "mac": wish.mac,
        "interface": wish.ifname,
        "gw_priority": wish.gw_priority,
        "links": " ".join(f"{name}:{alias}" for name, alias in wish.links),
    }
    words = [" ".join(wish.aliases or ()), *(f"{key} {asked[key]}" for key in asked if asked[key])]
    return f"  {host.network(wish.network).name}: {', '.join(words)}".rstrip()


def port(binding: PortBinding) -> str:
    """A published port: the container's, and the host's as it was asked for."""
    ip = binding.host_ip
    where = "" if ip is None else f"[{ip}]:" if ip.version == 6 else f"{ip}:"
    first, last = binding.first, binding.last
    number = "any" if first is None else str(first) if first == last else f"{first}-{last}"
    return f"{binding.port}/{binding.protocol} at {where}{number}"


def table(host: Host, name: str) -> str:
    """Networks and containers of a project."""
    networks = [net for net in host.networks() if labels.label(net, labels.PROJECT) == name]
    boxes = [box for box in host.containers() if labels.label(box, labels.PROJECT) == name]
    lines = [network_line(net) for net in sorted(networks, key=lambda net: net.name)]
    for box in sorted(boxes, key=lambda box: box.name):
        lines += container_lines(host, box, name)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_becomes_what_docker_compose_makes(neighbours: Host, name: str) -> None:
    """Networks, names, addresses, ports, labels; again, nothing changes; down, nothing is left."""
    project = loaded(name)
    before = {net.name for net in neighbours.networks()}

    up(neighbours, project)

    assert table(neighbours, name) == (FILES / f"{name}.txt").read_text()
    assert up(neighbours, project).none
    carry_out.down(neighbours, project)
    assert {net.name for net in neighbours.networks()} == before
    assert [box.name for box in neighbours.containers()] == ["resident"]
