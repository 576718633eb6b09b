"""`start` of a container whose command has just ended, which nobody has written down yet."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from plumb.kernel.process import commands
from tests.labs import Lab
from tests.waiting import until


def test_a_command_that_has_ended_is_started_again(lab: Lab, tmp_path: Path) -> None:
    """Its own `settle` waits for the lock, which this operation has."""
    go = tmp_path / "go"
    script = f"while ! test -e {go}; do sleep 0.05; done; echo hello; exit 3"
    with lab.host() as host:
        box = host.run("box", network="none", command=["sh", "-c", script])
        folder = host.layout.container(box.id)
        with host.operation() as verbs:
            go.touch()
            until(lambda: commands.exit_code(folder) == 3, "it has ended")
            assert verbs.start("box").start == box.start + 1
        until(lambda: Path(folder, "log").read_text().count("hello") == 2, "it has run twice")
        host.reset()


def test_a_command_is_started_again_whose_shim_has_not_has_exit_code(
    lab: Lab, tmp_path: Path
) -> None:
    """On a busy machine that may take a while; before, the start did nothing."""
    go = tmp_path / "go"
    script = f"while ! test -e {go}; do sleep 0.05; done; exit 3"
    with lab.host() as host:
        box = host.run("box", network="none", command=["sh", "-c", script])
        folder = host.layout.container(box.id)
        shim = commands.alive(folder)[1]
        with host.operation() as verbs:
            os.kill(shim, signal.SIGSTOP)
            go.touch()
            until(lambda: not commands.alive(folder)[0], "the command has ended")
            assert commands.exit_code(folder) is None
            goes_on = threading.Timer(0.5, os.kill, (shim, signal.SIGCONT))
            goes_on.start()
            assert verbs.start("box").start == box.start + 1
        goes_on.join(60)
        host.reset()


def test_a_command_that_runs_is_not_waited_for(lab: Lab) -> None:
    with lab.host() as host:
        box = host.run("box", network="none", command=["sleep", "1000"])
        assert not commands.has_exit_code(host.layout.container(box.id))
        assert host.start("box").start == box.start
        host.reset()
