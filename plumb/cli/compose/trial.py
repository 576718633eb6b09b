"""Trial of the promises of a compose file, with traffic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from plumb.compose.project import Expectation, Project
from plumb.engine.targets import TargetResolver
from plumb.errors import PlumbError
from plumb.frozen import frozen, replace
from plumb.model.cnm import Sandbox
from plumb.model.net.targets import ProbeKind, Target
from plumb.probes import one_probe
from plumb.probes.probe_spec import ProbeResult, ProbeSpec
from plumb.probes.target_addresses import probe_specs
from plumb.views import compose as view


@frozen
class Outcome:
    """Outcome of a promise.

    Attributes:
        differing: pairs of containers for which it is not kept, as `FROM TO:PORT`.
        untried: pairs that could not be tried, with the reason; or why there is no pair.
    """

    differing: Sequence[str]
    untried: Sequence[str]

    @property
    def kept(self) -> bool:
        """True if it was tried between all pairs, and is kept."""
        return not self.differing and not self.untried

    @property
    def word(self) -> str:
        """The outcome in a word or two."""
        if self.differing:
            return "broken"
        return "not tried" if self.untried else "kept"


@frozen
class Trial:
    """Trial of a project's promises.

    Attributes:
        boxes: all containers of the host.
        seconds: the time to wait for each answer.
    """

    resolver: TargetResolver
    project: Project
    boxes: Sequence[Sandbox]
    seconds: float

    def outcome(self, promise: Expectation) -> Outcome:
        """Try a promise, from each container of the one to each of the other."""
        differing, untried = [], []
        pairs = list(self._pairs(promise))
        for source, target in pairs:
            words = f"{source} {_spelt(target)}"
            try:
                if self._reaches(source, target, promise) != promise.reached:
                    differing.append(words)
            except PlumbError as error:
                untried.append(f"{words}: {error}")
        if not pairs:
            untried.append(f"there are no two containers of {promise.source} to try it between")
        return Outcome(differing, untried)

    def _pairs(self, promise: Expectation) -> Iterator[tuple[str, Target]]:
        targets = self._names(promise.target.name)
        for source, name in product(self._names(promise.source), targets):
            if source != name:
                yield source, replace(promise.target, name=name)

    def _names(self, name: str) -> list[str]:
        """Names of a service's containers that `compose ps` shows, or another name as it is.

        Without any it is those that the file asks for: another engine's, or none is there.
        """
        service = self.project.services.get(name)
        if service is None:
            return [name]
        found = view.of_project(self.boxes, self.project.name, [name], everything=False)
        return [box.name for box in found] or self.project.container_names(service) or [name]

    def _reaches(self, source: str, target: Target, promise: Expectation) -> bool:
        """True if one of the target's addresses is reached.

        Raises:
            PlumbError: none is, and one could not be tried.
        """
        place = self.resolver.place(source)
        files = self.resolver.name_files(source, place)
        refusal: PlumbError | None = None
        for question in probe_specs(self.resolver, place, files, target, (4, 6)):
            try:
                if _is_reached(_asked(question, self.seconds), promise):
                    return True
            except PlumbError as error:
                refusal = error
        if refusal is not None:
            raise refusal
        return False


def _is_reached(found: ProbeResult, promise: Expectation) -> bool:
    """True if what was sent got there.

    A program that has a UDP port need not answer. What must not be reached is reached by a packet
    that arrives, answered or not; on the host, which all packets pass, only an answer tells.
    """
    target = found.question.target
    arrived = bool(found.arrived) and target is not None and bool(target.ns)
    if found.good or not arrived:
        return found.good
    if not promise.reached:
        return True
    return found.question.kind is ProbeKind.UDP and not found.refused


def _asked(question: ProbeSpec, seconds: float) -> ProbeResult:
    """Ask a listener of plumb's, or the program that has the port at whatever address."""
    target = question.target
    if target is None or question.kind not in (ProbeKind.TCP, ProbeKind.UDP):
        return one_probe.ask(question, 1, seconds)
    if one_probe.listeners_at(question, target):
        return one_probe.ask(question, 1, seconds)
    try:
        return one_probe.ask_a_listener(question, 1, seconds)
    except one_probe.PortTaken:  # by a program that has begun to listen just now
        return one_probe.ask(question, 1, seconds)


def _spelt(target: Target) -> str:
    port = f":{target.port}" if target.port else ""
    return f"{target.name}{port}" + (f"/{target.protocol}" if port else "")
