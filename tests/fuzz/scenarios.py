"""A scenario: lines for containers and networks, drawn by a seed.

Lines are Docker's, with the image's name in them: `run -d --name k1 busybox sleep 1000000`. Names
are few, so that lines meet: something that is there, that is not, that is in use, that has ended.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

Draw = random.Random
NETWORKS = ("n1", "n2", "n3")
CONTAINERS = ("k1", "k2", "k3", "k4")
IMAGE = "busybox"
COMMAND = f"{IMAGE} sleep 1000000"
SUBNETS = {"n1": "10.31.0.0/24", "n2": "10.32.0.0/24", "n3": "10.33.0.0/24"}
HOSTS_PART = {name: subnet.removesuffix("0/24") for name, subnet in SUBNETS.items()}
LENGTH = 14
"""Lines that are drawn, after three that make something to begin with."""


def scenario(seed: int) -> list[str]:
    """The lines of a seed, the same ones always."""
    draw = Draw(seed)
    first = [_create_network(draw, "n1"), _run(draw, "k1"), _run(draw, "k2")]
    verbs = draw.choices(list(VERBS), list(VERBS.values()), k=LENGTH)
    return [*first, *(verb(draw) for verb in verbs)]


def _network(draw: Draw) -> str:
    return draw.choices((*NETWORKS, "bridge", "none", "host", "nosuch"), (9, 6, 3, 2, 1, 1, 1))[0]


def _container(draw: Draw) -> str:
    return draw.choices((*CONTAINERS, "nosuch"), (6, 6, 4, 2, 1))[0]


def _containers(draw: Draw) -> str:
    """One or two different ones: Docker removes what is named twice twice at once."""
    one, other = _container(draw), _container(draw)
    return one + _some(draw, other) * (one != other)


def _some(draw: Draw, *flags: str) -> str:
    """Each of the flags with one chance in three."""
    return "".join(f" {flag}" for flag in flags if draw.random() < 0.33)


# -- networks -----------------------------------------------------------------------------


def _create_network(draw: Draw, name: str = "") -> str:
    name = name or draw.choices((*NETWORKS, "host", "n/1"), (4, 4, 4, 1, 1))[0]
    part = HOSTS_PART.get(name, "10.39.0.")
    words = _some(
        draw,
        "--internal",
        f"--label tier={draw.choice(('web', 'db'))}",
        "--label keep",
        f"--ipv6 --subnet fd00:{part[3:5]}::/64",
        "-o com.docker.network.bridge.enable_icc=false",
        f"-o com.docker.network.driver.mtu={draw.choice((1400, 9000))}",
    )
    with_subnet = f" --subnet {part}0/24" + _some(
        draw,
        f"--gateway {draw.choice((part + '1', part + '254', '10.99.0.1'))}",
        f"--ip-range {draw.choice((part + '64/28', part + '128/25', '10.99.0.0/28'))}",
    )
    return f"network create{with_subnet}{words} {name}"


def _remove_network(draw: Draw) -> str:
    return f"network rm {_network(draw)}{_some(draw, _network(draw))}"


def _connect(draw: Draw) -> str:
    net = _network(draw)
    part = HOSTS_PART.get(net, "10.39.0.")
    words = _some(draw, "--alias db", f"--ip {part}{draw.choice((1, 9, 77, 255))}")
    return f"network connect{words} {net} {_container(draw)}"


def _disconnect(draw: Draw) -> str:
    return f"network disconnect{_some(draw, '-f')} {_network(draw)} {_container(draw)}"


NETWORK_FORMATS = (
    "{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}} {{.EnableIPv6}} {{json .Labels}}",
    "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}} {{end}}",
    "{{len .Containers}}{{range .Containers}} {{.Name}}={{.IPv4Address}}{{end}}",
    '{{with index .Options "com.docker.network.driver.mtu"}}mtu {{.}}{{else}}none{{end}}',
)
NETWORK_FILTERS = (
    "name=n", "name=^n1$", "label=tier", "label=tier=web", "label=keep", "driver=bridge",
    "driver=nosuch", "type=custom", "type=builtin", "dangling=true", "scope=local", "bogus=1",
)  # fmt: skip


def _inspect_network(draw: Draw) -> str:
    return f"network inspect -f '{draw.choice(NETWORK_FORMATS)}' {_network(draw)}"


def _list_networks(draw: Draw) -> str:
    filters = "".join(
        f" --filter {draw.choice(NETWORK_FILTERS)}" for _ in range(draw.choice((1, 1, 2)))
    )
    return f"network ls{filters} --format '{{{{.Name}}}} {{{{.Driver}}}} {{{{.Internal}}}}'"


def _prune(draw: Draw) -> str:
    return draw.choice(
        ("network prune -f", "network prune -f --filter label=tier", "container prune -f")
    )


# -- containers ---------------------------------------------------------------------------


def _options(draw: Draw, name: str) -> str:
    number = 8000 + 10 * (CONTAINERS.index(name) + 1)
    net = draw.choices((*NETWORKS, "", "none", "host", "container:k1"), (6, 3, 1, 3, 1, 1, 1))[0]
    words = _some(
        draw,
        f"-p {draw.choice((number, 8010))}:80",
        f"-p 127.0.0.1:{number + 1}:81/udp",
        "--expose 443",
        f"--label role={draw.choice(('web', 'api'))}",
        "--hostname www",
        "--add-host db:10.9.8.7",
    )
    if net in HOSTS_PART:
        words += _some(draw, "--network-alias web", f"--ip {HOSTS_PART[net]}{draw.choice((5, 6))}")
    return f"--name {name}{f' --network {net}' if net else ''} --stop-signal KILL{words}"


def _run(draw: Draw, name: str = "") -> str:
    return f"run -d {_options(draw, name or draw.choice(CONTAINERS))} {COMMAND}"


def _create(draw: Draw) -> str:
    return f"create {_options(draw, draw.choice(CONTAINERS))} {COMMAND}"


def _start(draw: Draw) -> str:
    return f"start {_container(draw)}"


def _stop(draw: Draw) -> str:
    verb = draw.choice(("stop -t 0", "stop -t 0", "kill", "restart -t 0"))
    return f"{verb} {_containers(draw)}"


def _remove(draw: Draw) -> str:
    return f"rm{_some(draw, '-f')} {_containers(draw)}"


def _rename(draw: Draw) -> str:
    return f"rename {_container(draw)} {draw.choice((*CONTAINERS, '-x'))}"


CONTAINER_FILTERS = (
    "name=k", "name=^k1$", "status=running", "status=exited", "status=created", "status=bogus",
    "label=role", "label=role=web", "network=n1", "network=nosuch", "publish=80", "expose=443",
    "exited=137", "before=k2", "since=k1", "health=none", "bogus=1",
)  # fmt: skip
LISTED = "{{.Names}}|{{.State}}|{{.Ports}}|{{.Labels}}|{{.Networks}}"


def _list_containers(draw: Draw) -> str:
    filters = "".join(
        f" --filter {draw.choice(CONTAINER_FILTERS)}" for _ in range(draw.choice((0, 1, 1, 2)))
    )
    return f"ps{_some(draw, '-n 2')} -a{filters} --format '{LISTED}'"


CONTAINER_FORMATS = (
    "{{.State.Status}} {{.State.Running}} {{.State.ExitCode}} {{.Name}} {{.RestartCount}}",
    "{{range $name, $end := .NetworkSettings.Networks}}{{$name}} {{$end.IPAddress}} {{end}}",
    "{{range .NetworkSettings.Networks}}{{.IPPrefixLen}} {{.Gateway}} {{.MacAddress}}{{end}}",
    "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
    "{{json .NetworkSettings.Ports}}",
    '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}',
    "{{.HostConfig.NetworkMode}} {{json .HostConfig.PortBindings}} {{json .HostConfig.ExtraHosts}}",
    "{{json .Config.ExposedPorts}} {{json .Config.Labels}}",
    "{{if .NetworkSettings.Networks.n1}}on n1{{else}}not on n1{{end}}",
)


def _inspect_container(draw: Draw) -> str:
    return f"inspect -f '{draw.choice(CONTAINER_FORMATS)}' {_container(draw)}"


def _port(draw: Draw) -> str:
    return f"port {_container(draw)}{draw.choice(('', ' 80', ' 81/udp', ' 443/tcp', ' x'))}"


def _exec(draw: Draw) -> str:
    return f"exec {_container(draw)} sh -c 'echo here; exit {draw.choice((0, 3))}'"


VERBS: Mapping[Callable[[Draw], str], int] = {
    _create_network: 3, _remove_network: 2, _connect: 5, _disconnect: 4, _inspect_network: 4,
    _list_networks: 3, _prune: 1, _run: 4, _create: 2, _start: 3, _stop: 4, _remove: 3, _rename: 1,
    _list_containers: 5, _inspect_container: 7, _port: 3, _exec: 1,
}  # fmt: skip
