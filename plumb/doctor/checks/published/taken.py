"""Containers that did not start, for a port that they publish was somebody else's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from plumb.address import IPAddress
from plumb.doctor import remedies
from plumb.foreign import fields
from plumb.frozen import frozen
from plumb.model.diagnosis.failed_start import FailedStart
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import Snapshot

TAKEN = re.compile(r"address already in use|port is already allocated")
"""What dockerd writes into State.Error: the kernel's EADDRINUSE, or its own list of ports."""
IPV6 = r"\[[^\]\s]+\]"
AT = re.compile(
    r"Bind for (\S+):(\d+) failed|listen \w+ (\S*):(\d+): bind|"
    rf"host port (?:for )?(\d+(?:\.\d+){{3}}|{IPV6}):(\d+)(?::(?:\d+(?:\.\d+){{3}}|{IPV6}):\d+)?/"
)
"""The address and the port in it, as of dockerd 20.10, 28 and 29: that of the host comes first."""
PROTOCOL = re.compile(r"\b(?:tcp|udp|sctp)(?=[46]?\b)")


@frozen
class Wanted:
    """Port of the host that an engine did not get; `ip` None where the error names no address."""

    protocol: str
    number: int
    ip: IPAddress | None

    def is_had_by(self, ip: IPAddress) -> bool:
        """True if who has the port at that address keeps others from this one."""
        if self.ip is None or ip == self.ip:
            return True
        return ip.version == self.ip.version and (ip.is_unspecified or self.ip.is_unspecified)


def in_use(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers whose engine says that a published port kept them from starting."""
    for box in snapshot.failed:
        if not TAKEN.search(box.error):
            continue
        port = _wanted(box)
        if port is not None:
            yield _in_use(snapshot, box, port)


def _wanted(box: FailedStart) -> Wanted | None:
    """Port that an error is about; None where the container publishes none that it names."""
    named = AT.search(box.error)
    if named is None:
        found = (each for each in box.ports if re.search(rf":{each[1]}\b", box.error))
        return next((Wanted(*each, None) for each in found), None)
    at, number = (each for each in named.groups() if each is not None)
    said = PROTOCOL.search(named[0]) or PROTOCOL.search(box.error, named.end())
    ports = [each for each in box.ports if each[1] == int(number)]
    ports.sort(key=lambda each: said is None or each[0] != said[0])
    ip = fields.address(at.strip("[]"))
    return next((Wanted(*each, ip) for each in ports), None)


def _in_use(snapshot: Snapshot, box: FailedStart, wanted: Wanted) -> Finding:
    words = remedies.words_of(box.engine)
    start = f"{words} start {remedies.own(box.name)}"
    port = f"{wanted.number}/{wanted.protocol}"
    other = _publisher(snapshot, wanted)
    held = [
        each
        for each in snapshot.host.listening(wanted.protocol, wanted.number)
        if wanted.is_had_by(each.ip) or (wanted.ip is not None and each.takes(wanted.ip))
    ]
    if other:
        read, who = f"{other}: -p {wanted.number}", other
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


def _publisher(snapshot: Snapshot, wanted: Wanted) -> str:
    """Name of a running container that publishes a port of the host; empty without one."""
    return next(
        (
            box.name
            for box in snapshot.containers
            for end in box.ends
            for port in end.ports
            if (str(port.protocol), port.host_port) == (wanted.protocol, wanted.number)
            and wanted.is_had_by(port.host_ip)
        ),
        "",
    )
