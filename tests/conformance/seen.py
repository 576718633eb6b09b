"""Observations of a scenario as they are, names and random values included."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.conformance.observe import State
from tests.conformance.probes import Results
from tests.conformance.rig import Host


@dataclass(frozen=True)
class Box:
    """A container: where it is, and what `inspect`, its files and its namespace say."""

    host: Host
    name: str
    netns: str
    inspected: dict[str, Any]
    state: State
    files: dict[str, str]

    @property
    def mode(self) -> str:
        """How it was attached: a network's name, host, none or container:ID."""
        return str(self.inspected["HostConfig"].get("NetworkMode"))

    @property
    def settings(self) -> dict[str, Any]:
        """Its NetworkSettings."""
        found: dict[str, Any] = self.inspected["NetworkSettings"]
        return found

    @property
    def addresses(self) -> list[str]:
        """Where it can be asked."""
        return [
            address.split("/")[0]
            for link, found in self.state["addrs"].items()
            for address in found
            if link != "lo"
        ]


@dataclass
class Seen:
    """All that was observed.

    Attributes:
        more: of a swarm's scenario, what is recorded besides of each network.
        swarm: of a swarm's scenario, what is recorded of its services and tasks.
    """

    hosts: dict[str, State]
    boxes: list[Box]
    networks: dict[str, dict[str, Any]]
    others: dict[str, tuple[str, State]] = field(default_factory=dict)
    reach: Results = field(default_factory=dict)
    more: dict[str, dict[str, Any]] = field(default_factory=dict)
    swarm: dict[str, Any] = field(default_factory=dict)
