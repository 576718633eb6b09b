"""stop and restart: the signal that asks a command to end, its time, and the code that it has."""

from __future__ import annotations

import pytest

from tests.host.trial_hosts import MARK, plumb, tried
from tests.labs import Lab
from tests.waiting import until

CATCHING = "trap 'echo got {0}; exit 9' {0}; echo ready; while :; do sleep 0.05; done"


def run(lab: Lab, *words: str) -> None:
    """Run a container named box that has said ready."""
    plumb(lab, "run", "-d", "--name", "box", "--network", "none", "-e", MARK, *words)
    until(lambda: "ready" in plumb(lab, "logs", "box"), "the command is ready")


def shown(lab: Lab, template: str) -> str:
    """What inspect shows of the container."""
    return plumb(lab, "inspect", "-f", template, "box").strip()


def test_a_command_that_catches_the_signal_chooses_its_code(emptied: Lab) -> None:
    """The record has the code that the command had."""
    run(emptied, "sh", "-c", CATCHING.format("TERM"))
    plumb(emptied, "stop", "box")
    assert shown(emptied, "{{.State.Status}} {{.State.ExitCode}}") == "exited 9"


def test_a_command_that_dies_of_the_signal_has_its_number(emptied: Lab) -> None:
    """128 + SIGTERM, and 128 + SIGKILL where it ignores that."""
    run(emptied, "sh", "-c", "echo ready; exec sleep 1000")
    plumb(emptied, "stop", "box")
    assert shown(emptied, "{{.State.ExitCode}}") == "143"
    plumb(emptied, "rm", "box")
    run(emptied, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    plumb(emptied, "stop", "-t", "1", "box")
    assert shown(emptied, "{{.State.ExitCode}}") == "137"


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_stop_and_restart_take_a_signal(emptied: Lab, verb: str) -> None:
    """In place of SIGTERM."""
    run(emptied, "sh", "-c", CATCHING.format("USR1"))
    plumb(emptied, verb, "-s", "USR1", "box")
    assert shown(emptied, "{{.State.Running}}") == ("true" if verb == "restart" else "false")
    if verb == "stop":
        assert shown(emptied, "{{.State.ExitCode}}") == "9"
        assert plumb(emptied, "logs", "box") == "ready\ngot USR1\n"


def test_a_container_can_have_a_signal_and_a_time_of_its_own(emptied: Lab) -> None:
    """Those of `run --stop-signal` and `--stop-timeout`; `stop` can ask otherwise."""
    options = ("--stop-signal", "SIGINT", "--stop-timeout", "0")
    run(emptied, *options, "bash", "-c", CATCHING.format("INT"))
    assert shown(emptied, "{{.Config.StopSignal}} {{.Config.StopTimeout}}") == "SIGINT 0"
    plumb(emptied, "stop", "-t", "60", "box")
    assert shown(emptied, "{{.State.ExitCode}}") == "9"
    plumb(emptied, "start", "box")
    plumb(emptied, "stop", "-s", "KILL", "box")
    assert shown(emptied, "{{.State.ExitCode}}") == "137"


@pytest.mark.parametrize(
    "words", [["stop", "-s", "NOPE"], ["restart", "-s", "99"], ["run", "--stop-signal", "NOPE"]]
)
def test_what_is_no_signal_is_refused(emptied: Lab, words: list[str]) -> None:
    """With the word that was given, and nothing has changed."""
    run(emptied, "sh", "-c", "echo ready; exec sleep 1000")
    status, printed = tried(emptied, *words, "box")
    assert (status != 0, f"invalid signal: {words[-1]}" in printed) == (True, True)
    assert shown(emptied, "{{.State.Running}}") == "true"
