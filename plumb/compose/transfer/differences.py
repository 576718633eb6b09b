"""Differences of a host from a file: values of the one that are not those of the other.

What the file leaves open is no difference where plumb chose it: a subnet from its pools, an address
that a container was given. What a user asked for, and the file does not have, is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plumb.compose import normal_form
from plumb.compose.project import ComposeNetwork, ComposeService, Project
from plumb.compose.transfer import asked
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

    @property
    def secret(self) -> bool:
        """True for what may be a password, as a command's environment: it is never shown."""
        return self.key.startswith("environment.")

    def __str__(self) -> str:
        if self.secret:
            here, wanted = self.here is not None, self.wanted is not None
            there = "another value in the file" if here and wanted else "in the file alone"
            return f"{self.key}: {there if wanted else 'here alone'}"
        return f"{self.key}: {_spelt(self.here)} here, {_spelt(self.wanted)} in the file"


class Comparison:
    """Comparison of a host with a file; what is the same for all of it is described once."""

    def __init__(self, project: Project, present: Present) -> None:
        self._project = project
        here = {net.name for net in present.networks}
        new = [
            asked.network(project, each, present.settings)
            for each in project.networks.values()
            if each.name not in here and not each.external
        ]
        self._present = replace(present, networks=(*present.networks, *new))
        self._keys = keys_of(self._present.networks)
        self._idents = {box.name: box.id for box in present.containers}

    def network(self, wanted: ComposeNetwork, net: Network) -> list[Difference]:
        """Compare a network with the one of that name."""
        made = asked.network(self._project, wanted, self._present.settings)
        labelled = replace(made, labels=own_labels(made))
        asked_for, here, whole = (
            _network(Description(self._present, (each,), (), chosen).network(each, each.name))
            for each, chosen in ((labelled, False), (net, False), (net, True))
        )
        return list(_compared(asked_for, here, whole))

    def container(self, service: ComposeService, box: Sandbox) -> list[Difference]:
        """Compare a service's container with the one of that name.

        Args:
            service: as the container is to be: `importing.settled`.
        """
        made = asked.container(self._project, service, self._present.settings, self._idents)
        asked_for, here, whole = (
            _service(Description(self._present, (), (each,), chosen).service(each, self._keys, []))
            for each, chosen in ((made, False), (box, False), (box, True))
        )
        return list(_compared(asked_for, here, whole))


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
    wanted: Document, given: Document, whole: Document, path: tuple[str, ...] = ()
) -> Iterator[Difference]:
    """Yield differences.

    Args:
        wanted: of the file; given: what of the host was asked for; whole: with what plumb chose.
    """
    for key in dict.fromkeys((*wanted, *given)):
        one, other, all_of_it = wanted.get(key), given.get(key), whole.get(key)
        if one in (other, all_of_it) or (not one and not other):
            continue
        if isinstance(one, Mapping) and isinstance(all_of_it, Mapping):
            inner = other if isinstance(other, Mapping) else {}
            yield from _compared(one, inner, all_of_it, (*path, key))
        else:
            yield Difference(".".join((*path, key)), other, one)


def _spelt(value: Any) -> str:
    if value is None or value in ({}, []):
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)
