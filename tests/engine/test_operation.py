"""An operation's end: what cannot even be taken back stays in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from plumb import Host, StepFailed
from plumb.errors import KernelRefused
from plumb.kernel.memory import MemoryKernel
from plumb.plan import Step
from plumb.things.links import Bridge, Up


class Stuck(MemoryKernel):
    """A kernel that raises no link, and then does not let go of bridges either."""

    def take(self, steps: Sequence[Step]) -> None:
        """Take steps until one of those comes."""
        for number, step in enumerate(steps):
            if isinstance(step.after, Up) or (isinstance(step.before, Bridge) and step.after is None):
                raise StepFailed(KernelRefused(str(step), said="not today"), step, steps[:number])
            super().take([step])


def test_what_is_stuck_is_taken_back_by_the_next_command(tmp_path: Path) -> None:
    """The error says what is stuck; the next command, on a kernel that lets go, takes it back before anything else."""
    kernel = Stuck()
    with Host(tmp_path / "root", settings={}, kernel=kernel) as host:
        with pytest.raises(StepFailed, match=r"while taking back: .*remove bridge"):
            host.create_network("n1")
        assert any(isinstance(thing, Bridge) for thing in kernel.things.values())
        assert len(host.store.unfinished()) == 1

    well = MemoryKernel(kernel.things.values())
    with Host(tmp_path / "root", settings={}, kernel=well) as host:
        host.create_network("n2")

        assert host.store.unfinished() == []
        assert host.check() == []
        host.reset()
    assert [thing for thing in well.things.values() if not thing.standing] == []
