"""Promises of projects that are up: what the compose files that they were made of say today."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from plumb.cli.compose import trial
from plumb.cli.compose.trial import Attempt, Outcome
from plumb.compose import labels
from plumb.compose.files import Request
from plumb.compose.load import load
from plumb.compose.project import Expectation, Project
from plumb.compose.reading import text_file
from plumb.engine.targets import TargetResolver
from plumb.errors import PlumbError
from plumb.frozen import frozen
from plumb.model.cnm import Sandbox
from plumb.model.lifecycle.status import ALIVE
from plumb.probes.promises.verdicts import Verdict
from plumb.probes.promises.written import WrittenOutcome


@frozen
class Promised:
    """Promises of the projects of which a container runs.

    Attributes:
        trials: each project with the attempts at its promises.
        unread: outcomes of projects whose files cannot be read any more.
    """

    trials: tuple[tuple[Project, tuple[Attempt, ...]], ...]
    unread: tuple[WrittenOutcome, ...]

    @property
    def total(self) -> int:
        """Number of probes."""
        return sum(len(each.probes) for _, attempts in self.trials for each in attempts)

    def outcomes(self, seconds: float, done: Callable[[int], None]) -> list[WrittenOutcome]:
        """Try all; return each with its outcome.

        Args:
            seconds: the time to wait for each answer.
            done: called with the number of probes that have ended since the last call.
        """
        every = [each for _, attempts in self.trials for each in attempts]
        tried = trial.outcomes(every, seconds, done)
        return [
            _written(project, promise, trial.outcome(promise, tried))
            for project, _ in self.trials
            for promise in project.expect
        ] + [*self.unread]


def promised(boxes: Sequence[Sandbox], resolver: TargetResolver) -> Promised:
    """Read the promises of all projects of which a container runs.

    Args:
        boxes: all containers of the host.
    """
    trials, unread = [], []
    for name, box in _projects(boxes):
        try:
            project = load(_request(name, box))
        except PlumbError as error:
            if _may_promise(box):
                why = (f"its files cannot be read: {error}",)
                unread.append(WrittenOutcome(name, "x-plumb.expect", Verdict.NOT_SHOWN, why))
            continue
        trials.append((project, tuple(trial.Trial(resolver, project, boxes).attempts())))
    return Promised(tuple(trials), tuple(unread))


def _written(project: Project, promise: Expectation, found: Outcome) -> WrittenOutcome:
    return WrittenOutcome(
        project.name,
        promise.text,
        _verdict(found),
        (*found.differing, *found.untried),
        promise.reached,
    )


def _verdict(found: Outcome) -> Verdict:
    if found.differing:
        return Verdict.BROKEN
    return Verdict.NOT_SHOWN if found.untried else Verdict.KEPT


def _projects(boxes: Sequence[Sandbox]) -> Iterator[tuple[str, Sandbox]]:
    """Yield each project of which a container runs, with one that names its files."""
    running = {labels.label(box, labels.PROJECT): box for box in boxes if box.status in ALIVE}
    for name, box in sorted(running.items()):
        if name and labels.label(box, labels.FILES):
            yield name, box


def _request(name: str, box: Sandbox) -> Request:
    folder = labels.label(box, labels.FOLDER)
    files = tuple(labels.label(box, labels.FILES).split(","))
    return Request(files=files, name=name, profiles=("*",), folder=folder, working_dir=folder)


def _may_promise(box: Sandbox) -> bool:
    """True unless the files are there and neither promise anything nor include others."""
    folder = labels.label(box, labels.FOLDER)
    try:
        texts = [
            text_file.regular(os.path.join(folder, path))
            for path in labels.label(box, labels.FILES).split(",")
        ]
    except (OSError, ValueError):
        return True
    return any(word in text for text in texts for word in ("expect", "include"))
