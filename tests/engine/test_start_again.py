"""`start` of a container whose command has just ended, which nobody has written down yet."""

from __future__ import annotations

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
