"""Networks of a compose file."""

from __future__ import annotations

from typing import Any

from plumb.compose.project import DEFAULT, ComposeNetwork, Subnet
from plumb.compose.reading import no_effect
from plumb.compose.reading.document import Node
from plumb.compose.reading.fields import Reader, Remarks, flag, pairs, parsed, read, text
from plumb.frozen import replace
from plumb.model import parse


def network(key: str, node: Node, project: str, remarks: Remarks) -> ComposeNetwork:
    """Read a network.

    Args:
        key: its key in the file.
        project: the project's name, which is a part of the network's where the file names none.
        remarks: takes a line for each key without effect.

    Raises:
        Invalid: a key is unknown, a value makes no sense, or an external network is described.
    """
    readers: dict[str, Reader] = {**NETWORK, "ipam": lambda each: _ipam(each, remarks)}
    found = read(node, readers, no_effect.NETWORK, remarks)
    external = found.pop("external", None) or {}
    name = found.pop("name", "") or external.get("name", "")
    subnets = found.pop("ipam", ())
    if external:
        _refuse_described(node)
        return ComposeNetwork(key, name or key, external=True, place=node.place)
    made = ComposeNetwork(key, name or f"{project}_{key}", subnets=subnets, place=node.place)
    return replace(made, **found)


def default(project: str) -> ComposeNetwork:
    """Return the network of services that name none, where the file says nothing about it."""
    return ComposeNetwork(DEFAULT, f"{project}_{DEFAULT}")


def _refuse_described(node: Node) -> None:
    for key, each in node.mapping.items():
        if key not in ("external", "name") and not key.startswith("x-"):
            raise each.refused(
                f'conflicting parameters "external" and "{key}" of a network',
                "a network that is there already is as it is",
            )


def _external(node: Node) -> dict[str, Any] | None:
    """True or false, or as in older files a mapping with the name."""
    if isinstance(node.value, dict):
        return {"external": True, **read(node, {"name": text}, {}, [])}
    return {"external": True} if flag(node) else None


def _ipam(node: Node, remarks: Remarks) -> tuple[Subnet, ...]:
    found = read(node, {"driver": _ipam_driver, "config": _config}, no_effect.IPAM, remarks)
    subnets: tuple[Subnet, ...] = found.get("config", ())
    return subnets


def _ipam_driver(node: Node) -> str:
    if node.text != "default":
        raise node.refused(f"ipam driver {node.text} is not there", "the only one is default")
    return node.text


def _config(node: Node) -> tuple[Subnet, ...]:
    return tuple(Subnet(**read(each, SUBNET, {}, [])) for each in node.items)


def _cidr(given: str) -> str:
    return str(parse.network(given))


def _address(given: str) -> str:
    return str(parse.address(given))


NETWORK: dict[str, Reader] = {
    "name": text,
    "external": _external,
    "driver": text,
    "driver_opts": pairs,
    "internal": flag,
    "attachable": flag,
    "enable_ipv4": flag,
    "enable_ipv6": flag,
    "labels": pairs,
}
SUBNET: dict[str, Reader] = {
    "subnet": parsed(_cidr),
    "ip_range": parsed(_cidr),
    "gateway": parsed(_address),
    "aux_addresses": pairs,
}
