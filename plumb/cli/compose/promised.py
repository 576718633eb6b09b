"""Promises of projects that are up: what the compose files that they were made of say today."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plumb.cli import common
from plumb.cli.compose.trial import Outcome, Trial
from plumb.compose import labels
from plumb.compose.files import Request
from plumb.compose.load import load
from plumb.compose.project import Project
from plumb.engine.targets import TargetResolver
from plumb.errors import PlumbError
from plumb.model.cnm import Sandbox
from plumb.model.lifecycle.status import ALIVE
from plumb.probes.promises.verdicts import Verdict
from plumb.probes.promises.written import WrittenOutcome


def outcomes(
    boxes: Sequence[Sandbox], resolver: TargetResolver, seconds: float
) -> Iterator[WrittenOutcome]:
    """Try the promises of all projects of which a container runs; yield each with its outcome.

    A project whose files cannot be read any more is named on stderr.

    Args:
        boxes: all containers of the host.
        seconds: the time to wait for each answer.
    """
    for project in _projects(boxes):
        trial = Trial(resolver, project, boxes, seconds)
        for promise in project.expect:
            found = trial.outcome(promise)
            yield WrittenOutcome(
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


def _projects(boxes: Sequence[Sandbox]) -> Iterator[Project]:
    """Load the files of each project of which a container runs."""
    running = {labels.label(box, labels.PROJECT): box for box in boxes if box.status in ALIVE}
    for name, box in sorted(running.items()):
        files = labels.label(box, labels.FILES)
        if not (name and files):
            continue
        folder = labels.label(box, labels.FOLDER)
        try:
            yield load(
                Request(
                    files=tuple(files.split(",")),
                    name=name,
                    profiles=("*",),
                    folder=folder,
                    working_dir=folder,
                )
            )
        except PlumbError as error:
            common.tell(f"promises of project {name} are not tried: {error}")
