"""Containers that did not start, for a port that they publish was somebody else's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from plumb.doctor import remedies
from plumb.model.diagnosis.failed_start import FailedStart
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import Snapshot

TAKEN = re.compile(r"address already in use|port is already allocated")
"""What dockerd writes into State.Error: the kernel's EADDRINUSE, or its own list of ports."""


def in_use(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers whose engine says that a published port kept them from starting."""
    for box in snapshot.failed:
        if not TAKEN.search(box.error):
            continue
        named = (each for each in box.ports if re.search(rf":{each[1]}\b", box.error))
        port = next(named, None)
        if port is not None:
            yield _in_use(snapshot, box, *port)


def _in_use(snapshot: Snapshot, box: FailedStart, protocol: str, number: int) -> Finding:
    words = remedies.words_of(box.engine)
    start = f"{words} start {remedies.own(box.name)}"
    port = f"{number}/{protocol}"
    other = _publisher(snapshot, protocol, number)
    held = snapshot.host.listening(protocol, number)
    if other:
        read, who = f"{other}: -p {number}", other
        stop = f"{words} stop {remedies.own(other)}; {start}"
    elif held:
        who = held[0].who or "another program"
        read, stop = f"ss -lnp: {who} listens at port {port}", f"stop {who}; {start}"
    else:
        read, who, stop = f"ss -ln: nobody at port {port}", "", start
    again = f"{words} rm {remedies.own(box.name)}, and make it anew with -p OTHERPORT:…"
    return Finding(
        "port-in-use",
        Grade.PROVEN if who else Grade.LIKELY,
        Severity.PROBLEM,
        f"{box.name} has not started: port {port}, which it publishes, "
        + (f"is {who}'s" if who else "was another's, and is free now"),
        (box.name,),
        (f"{words} inspect {remedies.own(box.name)}: State.Error: {box.error}", read),
        "A port of the host at an address is one program's. The engine takes it when it starts the"
        " container, gives up where that fails, and does not try again.",
        (stop, again) if who else (start,),
    )


def _publisher(snapshot: Snapshot, protocol: str, number: int) -> str:
    """Name of a running container that publishes a port of the host; empty without one."""
    return next(
        (
            box.name
            for box in snapshot.containers
            for end in box.ends
            for port in end.ports
            if (str(port.protocol), port.host_port) == (protocol, number)
        ),
        "",
    )
