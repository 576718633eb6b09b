"""Writer of endpoint records: it asks this host's cluster process, which asks a manager.

A record that is to go while no such process runs, or while no manager answers, counts as gone: the
process compares the cluster's records of this host with what the host has, and withdraws the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface
from itertools import groupby

from plumb.errors import KernelRefused, PlumbError
from plumb.kernel import agent_socket
from plumb.kernel.cluster.publisher import Publisher, Row
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.cluster import EndpointRecord


def connect(folder: str) -> Publisher | None:
    """Find the cluster process of a folder; None where none runs."""
    return Publisher(folder) if agent_socket.running(folder)[0] else None


def _row(record: EndpointRecord) -> Row:
    return {
        "id": record.endpoint,
        "network": record.network,
        "mac": record.mac,
        "ip": str(record.ip) if record.ip else None,
        "ip6": str(record.ip6) if record.ip6 else None,
        "names": list(record.names),
        "sandbox": record.sandbox,
    }


def _record(folder: str, row: Row) -> EndpointRecord:
    """A record from a row, which leaves out what has its default value."""
    return EndpointRecord(
        folder,
        row["id"],
        row["network"],
        row["mac"],
        IPv4Interface(row["ip"]) if row.get("ip") else None,
        IPv6Interface(row["ip6"]) if row.get("ip6") else None,
        tuple(row.get("names", ())),
        row.get("sandbox", ""),
    )


def look(things: Sequence[Thing]) -> list[Thing | None]:
    """Read which records are published; none without a cluster process."""
    asked = [thing for thing in things if isinstance(thing, EndpointRecord)]
    now: dict[tuple[str, str], EndpointRecord] = {}
    for folder in {thing.folder for thing in asked}:
        process = connect(folder)
        for row in process.rows() if process is not None else ():
            now[folder, row["id"]] = _record(folder, row)
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
        except PlumbError as refused:
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
        process.publish([_row(record) for record in records if record.folder == folder])


def _withdraw(steps: Sequence[Step]) -> None:
    records = [step.before for step in steps if isinstance(step.before, EndpointRecord)]
    for folder in {record.folder for record in records}:
        process = connect(folder)
        if process is not None:
            process.withdraw([each.endpoint for each in records if each.folder == folder])
