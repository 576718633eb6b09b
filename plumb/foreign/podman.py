"""Podman's documents of networks and containers, as Docker's Engine API has them.

Podman serves Docker's API, and fills it in otherwise. An endpoint has no id there, and names its
network where Docker has the id. The default network is called "bridge" there, and "podman" wherever
else. So plumb reads networks from Podman's own documents, which its API and its files share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from plumb.foreign import docker, fields
from plumb.model.cnm import Network

DEFAULT = "podman"
"""Name of the default network; aardvark-dns does not serve it."""
LINK_OPTION = {"bridge": docker.BRIDGE_NAME, "macvlan": "parent", "ipvlan": "parent"}
"""Docker's option for the host's link of a network, by driver."""
MTU = {"mtu": "com.docker.network.driver.mtu"}
"""Docker's name for an option of Podman's."""
ISOLATED = frozenset({"true", "1", "strict"})
"""Values of the option isolate which part a network from others (podman-network-create(1))."""
API = re.compile(r"\d+(?:\.\d+){0,2}", re.ASCII)
"""A version of its own API."""
OLDEST_API = "4.0.0"


def networks_path(version: Any) -> str:
    """Path of Podman's own list of networks, which it serves at paths with a version only.

    Args:
        version: the API's answer to /version.
    """
    parts = fields.sequence(version, "Components")
    oldest = fields.text(parts[0] if parts else None, "Details", "MinAPIVersion")
    return f"/v{oldest if API.fullmatch(oldest) else OLDEST_API}/libpod/networks/json"


def network(document: Any) -> dict[str, Any]:
    """Document of a network, as Docker's API would send it."""
    driver = fields.text(document, "driver")
    options = {
        MTU.get(name, name): value for name, value in fields.texts(document, "options").items()
    }
    link = fields.text(document, "network_interface")
    if link and driver in LINK_OPTION:
        options[LINK_OPTION[driver]] = link
    subnets = fields.sequence(document, "subnets")
    return {
        "Name": fields.text(document, "name"),
        "Id": fields.text(document, "id"),
        "Driver": driver,
        "Created": fields.text(document, "created"),
        "EnableIPv6": fields.truth(document, "ipv6_enabled"),
        "Internal": fields.truth(document, "internal"),
        "Labels": fields.texts(document, "labels"),
        "Options": options,
        "IPAM": {
            "Config": [
                {"Subnet": fields.text(each, "subnet"), "Gateway": fields.text(each, "gateway")}
                for each in subnets
            ]
        },
    }


def container(document: Any, ids: Mapping[str, str]) -> dict[str, Any]:
    """Document of a container, as Docker's API would send it.

    Podman repeats the endpoints and ports of the container, or pod, whose namespace it shares.

    Args:
        ids: the networks' ids, by their names.
    """
    ident = fields.text(document, "Id")
    settings = dict(fields.mapping(document, "NetworkSettings"))
    shares = fields.text(document, "HostConfig", "NetworkMode").startswith("container:")
    ends = {} if shares else fields.mapping(settings, "Networks")
    settings["Networks"] = {
        name: {
            **fields.mapping(end),
            "NetworkID": ids.get(name, ""),
            "EndpointID": f"{ident}-{name}",
        }
        for name, end in ends.items()
    }
    six = any(fields.text(end, "GlobalIPv6Address") for end in ends.values())
    ports = {} if shares else fields.mapping(settings, "Ports")
    settings["Ports"] = {key: list(_bindings(ports, key, six)) for key in ports}
    return {**fields.mapping(document), "NetworkSettings": settings}


def _bindings(ports: Mapping[str, Any], key: str, six: bool) -> Iterator[Mapping[str, Any]]:
    """Bindings of a port: one without an address is at all, of IPv6 if the container has that."""
    for binding in fields.sequence(ports, key):
        yield fields.mapping(binding)
        if six and not fields.text(binding, "HostIp"):
            yield {**fields.mapping(binding), "HostIp": "::"}


def parted(net: Network) -> bool:
    """True if Podman keeps packets of its other networks out of a network: its option isolate."""
    return dict(net.options).get("isolate") in ISOLATED
