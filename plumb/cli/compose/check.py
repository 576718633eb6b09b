"""plumb compose check."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from plumb.cli import common
from plumb.cli.compose.project import request, which
from plumb.errors import Invalid

if TYPE_CHECKING:
    from plumb.cli.compose.trial import Outcome
    from plumb.compose.project import Expectation


@common.command("check")
@which
@common.wait_option("Seconds to wait for each answer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each promise.")
def check(seconds: float, as_json: bool, **asked: Any) -> int:
    """Try the promises of a project's x-plumb.expect with traffic.

    Of a service all containers are tried. Where nobody listens at a port, plumb opens a listener.
    Exit status 1 if a promise is not kept, or could not be tried.
    """
    from plumb.cli.compose.trial import Trial, outcome, outcomes
    from plumb.compose.load import load
    from plumb.engine.targets import TargetResolver

    wanted = load(request(asked))
    if not wanted.expect:
        raise Invalid(
            f"project {wanted.name} promises nothing", "x-plumb: {expect: ['web -> db:5432']}"
        )
    kept = True
    with common.read() as reader:
        attempts = Trial(TargetResolver(reader), wanted, reader.containers()).attempts()
    found = outcomes(attempts, seconds)
    for promise in wanted.expect:
        shown = outcome(promise, found)
        kept = kept and shown.kept
        _print(promise, shown, as_json)
    return 0 if kept else 1


def _print(promise: Expectation, outcome: Outcome, as_json: bool) -> None:
    if as_json:
        document = {
            "promise": promise.text,
            "kept": outcome.kept,
            "differing": outcome.differing,
            "untried": outcome.untried,
        }
        print(json.dumps(document))
        return
    print(f"{outcome.word:<7} {promise.text}")
    for line in (*outcome.differing, *outcome.untried):
        print(f"        {line}")
    if outcome.differing and promise.reached:
        print(f"        'plumb trace {outcome.differing[0]}' shows where it ends")
