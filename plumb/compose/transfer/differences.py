"""Differences of a host from a file: values of the one that are not those of the other.

What the file leaves open is no difference: a subnet that plumb chose from its pools, an address
that a container was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plumb.compose import normal_form
from plumb.compose.project import ComposeNetwork, ComposeService, Project
from plumb.compose.transfer.described import Description, Present, keys_of, own_labels
from plumb.frozen import frozen, replace
from plumb.model.cnm import Network, Sandbox

Document = Mapping[str, Any]
UNCOMPARED = ("image", "container_name", *normal_form.NOT_IN_HASH)
"""Keys of a service that say nothing of a container that is there."""


@frozen
class Difference:
    """Value that is another on the host than in the file.

    Attributes:
        key: the way to it, as "ipam.10.9.0.0/24.gateway"; here, wanted: the values, None without.
    """

    key: str
    here: Any
    wanted: Any

    def __str__(self) -> str:
        return f"{self.key}: {_spelt(self.here)} here, {_spelt(self.wanted)} in the file"


def of_network(wanted: ComposeNetwork, net: Network, present: Present) -> list[Difference]:
    """Compare a network with the one of that name."""
    described = (Description(present, (net,), (), chosen).project()[0] for chosen in (False, True))
    asked, whole = (_network(next(iter(each.networks.values()))) for each in described)
    usual = dict(dict(present.settings.default_network_opts).get(wanted.driver, ()))
    options = {**usual, **dict(wanted.driver_opts)}
    made = replace(
        wanted,
        driver_opts=tuple(options.items()),
        labels=own_labels(replace(net, labels=wanted.labels)),
        enable_ipv4=False if wanted.enable_ipv4 is False else None,
        enable_ipv6=wanted.enable_ipv6 or None,
    )
    return list(_compared(_network(made), asked, whole))


def of_container(
    project: Project, service: ComposeService, box: Sandbox, present: Present
) -> list[Difference]:
    """Compare a service's container with the one of that name.

    Args:
        service: as the container is to be: `importing.settled`.
    """
    nets = tuple(present.networks)
    described = (
        Description(present, nets, (box,), chosen).project()[0] for chosen in (False, True)
    )
    asked, whole = (_service(each.services[box.name]) for each in described)
    names = {key: net.name for key, net in project.networks.items()}
    known = {net.name: net.id for net in nets}
    keys = keys_of(nets)
    renamed = tuple(
        replace(each, network=keys.get(known.get(names[each.network], ""), each.network))
        for each in service.networks
    )
    return list(_compared(_service(replace(service, networks=renamed)), asked, whole))


def _network(net: ComposeNetwork) -> dict[str, Any]:
    made = normal_form.network(net)
    config = made.pop("ipam", {}).get("config", ())
    subnets = {each.get("subnet", ""): each for each in config}
    return {key: value for key, value in {**made, "ipam": subnets}.items() if key != "name"}


def _service(service: ComposeService) -> dict[str, Any]:
    made = normal_form.service(service)
    networks = {key: dict(place or {}) for key, place in made.get("networks", {}).items()}
    order = list(networks)
    for place in networks.values():
        place.pop("priority", None)
    kept = {key: value for key, value in made.items() if key not in UNCOMPARED}
    return {**kept, "networks": networks, "networks in order": order}


def _compared(
    wanted: Document, asked: Document, whole: Document, path: tuple[str, ...] = ()
) -> Iterator[Difference]:
    """Yield differences.

    Args:
        wanted: of the file; asked: what of the host was asked for; whole: with what plumb chose.
    """
    for key in dict.fromkeys((*wanted, *asked)):
        one, other, all_of_it = wanted.get(key), asked.get(key), whole.get(key)
        if one in (other, all_of_it) or (not one and not other):
            continue
        if isinstance(one, Mapping) and isinstance(all_of_it, Mapping):
            given = other if isinstance(other, Mapping) else {}
            yield from _compared(one, given, all_of_it, (*path, key))
        else:
            yield Difference(".".join((*path, key)), other, one)


def _spelt(value: Any) -> str:
    if value is None or value in ({}, []):
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)
