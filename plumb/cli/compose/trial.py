"""Trial of the promises of a compose file, with traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product

from plumb.compose.project import Expectation, Project
from plumb.engine.targets import TargetResolver
from plumb.errors import PlumbError
from plumb.frozen import frozen, replace
from plumb.model.cnm import Sandbox
from plumb.model.net.targets import ProbeKind, Target
from plumb.probes import together
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
class Attempt:
    """A promise between two containers, and the probes that show whether it is kept.

    Attributes:
        words: the two, as `FROM TO:PORT`.
        probes: one to each address of the target.
        refusal: why there are none; None where there are.
    """

    promise: Expectation
    words: str
    probes: tuple[ProbeSpec, ...] = ()
    refusal: PlumbError | None = None


@frozen
class Trial:
    """Trial of a project's promises.

    Attributes:
        boxes: all containers of the host.
    """

    resolver: TargetResolver
    project: Project
    boxes: Sequence[Sandbox]

    def attempts(self) -> list[Attempt]:
        """The probes of all promises, from each container of the one to each of the other."""
        return [
            self._attempt(source, target, promise)
            for promise in self.project.expect
            for source, target in self._pairs(promise)
        ]

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

    def _attempt(self, source: str, target: Target, promise: Expectation) -> Attempt:
        made = Attempt(promise, f"{source} {_spelt(target)}")
        try:
            place = self.resolver.place(source)
            files = self.resolver.name_files(source, place)
            probes = probe_specs(self.resolver, place, files, target, (4, 6))
        except PlumbError as error:
            return replace(made, refusal=error)
        return replace(made, probes=tuple(probes))


def outcomes(
    attempts: Sequence[Attempt], seconds: float, done: Callable[[int], None] = lambda count: None
) -> list[tuple[Attempt, bool | PlumbError]]:
    """Try promises with traffic, many at the same time.

    Args:
        seconds: the time to wait for each answer.
        done: called with the number of probes that have ended since the last call.

    Returns:
        Each with whether the target is reached at one of its addresses; or with the reason, where
        it is not, and one could not be tried.
    """
    found = iter(together.ask([each for one in attempts for each in one.probes], seconds, done))
    return [(each, _reached(each, list(islice(found, len(each.probes))))) for each in attempts]


def _reached(attempt: Attempt, found: Sequence[ProbeResult | PlumbError]) -> bool | PlumbError:
    refusal = attempt.refusal
    for each in found:
        if isinstance(each, PlumbError):
            refusal = each
        elif _is_reached(each, attempt.promise):
            return True
    return False if refusal is None else refusal


def outcome(promise: Expectation, found: Sequence[tuple[Attempt, bool | PlumbError]]) -> Outcome:
    """The outcome of a promise.

    Args:
        found: of `outcomes`, of this promise and of others.
    """
    own = [(attempt.words, reached) for attempt, reached in found if attempt.promise is promise]
    differing = [words for words, reached in own if reached is (not promise.reached)]
    untried = [f"{words}: {why}" for words, why in own if isinstance(why, PlumbError)]
    if not own:
        untried = [f"there are no two containers of {promise.source} to try it between"]
    return Outcome(differing, untried)


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


def _spelt(target: Target) -> str:
    port = f":{target.port}" if target.port else ""
    return f"{target.name}{port}" + (f"/{target.protocol}" if port else "")
