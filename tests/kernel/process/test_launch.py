"""Commands of several containers in one operation: their shims come of one interpreter."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from plumb import Host, StepFailed
from plumb.kernel.process import commands
from plumb.kernel.process.starting import launch
from tests.labs import Lab
from tests.waiting import until

NAMES = ("a1", "a2", "a3")


def run_all(host: Host, *argvs: list[str]) -> None:
    """Run a container for each of these commands, as one operation."""
    with host.operation() as verbs:
        for number, argv in enumerate(argvs, 1):
            verbs.run(f"a{number}", network="none", command=argv)


def pids(host: Host, name: str) -> tuple[int, int]:
    """Pids of a container's command and of its shim."""
    return commands.alive(host.layout.container(host.container(name).id))


def test_each_has_a_shim_of_its_own_which_nobody_has_to_wait_for(lab: Lab) -> None:
    with lab.host() as host:
        run_all(host, *[["sleep", "1000"]] * len(NAMES))
        found = [pids(host, name) for name in NAMES]
        assert all(command and shim for command, shim in found)
        assert len({shim for _, shim in found}) == len(NAMES)
        for command, shim in found:
            assert os.getpid() not in (_parent(command), _parent(shim))
            assert _parent(command) == shim
        host.reset()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_end_of_one_leaves_the_others(lab: Lab) -> None:
    with lab.host() as host:
        run_all(host, *[["sleep", "1000"]] * len(NAMES))
        command, shim = pids(host, "a1")
        os.kill(command, signal.SIGKILL)
        folder = host.layout.container(host.container("a1").id)
        until(lambda: commands.exit_code(folder) == 137)
        until(lambda: not Path(f"/proc/{shim}").exists())
        assert all(all(pids(host, name)) for name in NAMES[1:])
        host.reset()


def test_one_that_cannot_be_executed_takes_all_back_and_is_named(lab: Lab) -> None:
    with lab.host() as host:
        with pytest.raises(
            StepFailed, match="cannot start the command: /no/such/program"
        ) as failed:
            run_all(host, ["sleep", "1000"], ["/no/such/program"], ["sleep", "1000"])
        assert failed.value.stuck == []
        assert host.containers() == []
        host.reset()


def test_output_of_each_is_its_own(lab: Lab) -> None:
    with lab.host() as host:
        run_all(host, *[["sh", "-c", f"echo {name}; exec sleep 1000"] for name in NAMES])
        for name in NAMES:
            folder = host.layout.container(host.container(name).id)
            until(lambda: name in Path(folder, "log").read_text())  # noqa: B023
            assert not any(
                other in Path(folder, "log").read_text() for other in NAMES if other != name
            )
        host.reset()


def test_a_launcher_that_dies_leaves_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the start fails, and does not wait for ever."""
    monkeypatch.setattr(launch, "SCRIPT", "import os; os._exit(1)")
    assert launch.launch([{}, {}]) == ["", ""]
