"""Writer of endpoint records: it asks this host's cluster process, which asks a manager.

A record that is to go while no such process runs, or while no manager answers, counts as gone: the
process compares the cluster's records of this host with what the host has, and withdraws the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol

from plumb.errors import KernelRefused
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.cluster import EndpointRecord


class Publisher(Protocol):
    """A cluster process, as far as endpoint records need it."""

    def records(self) -> Iterable[EndpointRecord]:
        """List the records of this host that it has published."""

    def publish(self, records: Sequence[EndpointRecord]) -> None:
        """Publish records, or publish them anew.

        Raises:
            KernelRefused: the cluster does not answer, or refuses.
        """

    def withdraw(self, endpoints: Sequence[str]) -> None:
        """Withdraw the records of endpoints, now or as soon as the cluster answers."""


def connect(folder: str) -> Publisher | None:
    """Find the cluster process of a folder; None where none runs."""
    return None


def look(things: Sequence[Thing]) -> list[Thing | None]:
    """Read which records are published; none without a cluster process."""
    asked = [thing for thing in things if isinstance(thing, EndpointRecord)]
    now: dict[tuple[str, str], EndpointRecord] = {}
    for folder in {thing.folder for thing in asked}:
        process = connect(folder)
        for record in process.records() if process is not None else ():
            now[folder, record.endpoint] = record
    return [now.get((thing.folder, thing.endpoint)) for thing in asked]


def take(steps: Sequence[Step], done: list[Step]) -> None:
    """Take steps about records, those of one kind together.

    Raises:
        StepFailed: the cluster process refused, or none runs.
    """
    for adds, together in groupby(steps, key=lambda step: step.after is not None):
        mine = list(together)
        try:
            (_publish if adds else _withdraw)(mine)
        except KernelRefused as refused:
            raise StepFailed(refused, mine[0], done) from refused
        done += mine


def _publish(steps: Sequence[Step]) -> None:
    records = [step.after for step in steps if isinstance(step.after, EndpointRecord)]
    for folder in {record.folder for record in records}:
        process = connect(folder)
        if process is None:
            raise KernelRefused(
                str(steps[0]),
                said="this node's cluster process does not run",
                hint="'plumb repair' starts it again; 'plumb swarm leave --force' ends the cluster",
            )
        process.publish([record for record in records if record.folder == folder])


def _withdraw(steps: Sequence[Step]) -> None:
    records = [step.before for step in steps if isinstance(step.before, EndpointRecord)]
    for folder in {record.folder for record in records}:
        process = connect(folder)
        if process is not None:
            process.withdraw([each.endpoint for each in records if each.folder == folder])
