"""Diagnosis: all checks of the catalogue over a snapshot, or those that concern two ends."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.doctor.catalogue import CATALOGUE
from plumb.doctor.checks import pair
from plumb.doctor.evidence import founded
from plumb.errors import NotFound
from plumb.frozen import replace
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import ContainerState, Snapshot
from plumb.model.net.targets import Target
from plumb.model.observations import HOST

ORDER = {Grade.PROVEN: 0, Grade.LIKELY: 1, Grade.HINT: 2}
GENERAL = ("not-read", "iptables-variants")
"""Findings that explain no other."""
PROBLEM = Severity.PROBLEM
CONSEQUENCE, MENDS = "plumb-drift", "plumb repair"
"""The finding that others explain, and the command that mends it."""


def diagnose(snapshot: Snapshot) -> list[Finding]:
    """Find all faults of a host, the certain ones first."""
    found = [finding for check in CATALOGUE for finding in check.find(snapshot)]
    return _ordered(founded(snapshot, found))


def between(snapshot: Snapshot, source: str, target: Target) -> list[Finding]:
    """Find the faults that concern two ends.

    Args:
        source: a container's name, or "host".
        target: the other end.

    Raises:
        NotFound: there is no such container in the snapshot.
    """
    one, other = _container(snapshot, source), _container(snapshot, target.name)
    ends = [box for box in (one, other) if box is not None]
    concerned = {HOST, *(name for box in ends for name in _about(snapshot, box))}
    found = [each for each in diagnose(snapshot) if concerned & set(each.about)]
    known = {(each.id, each.subject) for each in found}
    own = founded(snapshot, _of_pair(snapshot, one, other, target))
    return _ordered([*found, *(each for each in own if (each.id, each.subject) not in known)])


def _of_pair(
    snapshot: Snapshot, one: ContainerState | None, other: ContainerState | None, target: Target
) -> Iterator[Finding]:
    if one is not None and other is not None:
        yield from pair.between(snapshot, one, other)
    elif one is not None or other is not None:
        box = one or other
        assert box is not None
        yield from pair.on_one_parent(snapshot, box, host=True)
    if other is not None and target.port and other.program:
        yield from pair.port(snapshot, other, target.port, str(target.protocol))


def _container(snapshot: Snapshot, name: str) -> ContainerState | None:
    if name == HOST:
        return None
    found = next((box for box in snapshot.containers if box.name == name), None)
    if found is None:
        raise NotFound(
            f"there is no container {name} in what was read",
            "name a running container or 'host'; 'plumb doctor' alone looks at all",
        )
    return found


def _about(snapshot: Snapshot, box: ContainerState) -> Iterator[str]:
    yield box.name
    for end in box.ends:
        net = snapshot.network(end.network)
        if net is not None:
            yield net.name


def _ordered(found: list[Finding]) -> list[Finding]:
    """Order findings by their weight and certainty.

    A difference from plumb's record is likely what another finding is about: then that one is told
    first, and it alone where the same command mends both.
    """
    others = [each for each in found if each.id not in (CONSEQUENCE, *GENERAL)]
    if any(MENDS in map(str, each.remedies) for each in others):
        found = [each for each in found if each.id != CONSEQUENCE]
    elif any(each.grade is not Grade.HINT for each in others):
        found = [_likely(each) if each.id == CONSEQUENCE else each for each in found]
    return sorted(found, key=lambda each: (each.severity is not PROBLEM, ORDER[each.grade]))


def _likely(finding: Finding) -> Finding:
    return replace(finding, grade=Grade.LIKELY, severity=Severity.WARNING)


def status(found: list[Finding]) -> int:
    """The exit status: 2 with a problem, 1 with warnings alone, 0 without findings."""
    if any(each.severity is Severity.PROBLEM for each in found):
        return 2
    return 1 if found else 0
