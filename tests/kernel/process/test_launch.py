"""Commands of several containers in one operation: their shims come of one interpreter.

None is executed before all can be, and then they are in the order of the steps.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from plumb import Host, StepFailed
from plumb.frozen import replace
from plumb.kernel.process import commands
from plumb.kernel.process.starting import launch, together
from plumb.plan import Step
from plumb.things.sandbox import Process
from tests.labs import Lab
from tests.waiting import until

NAMES = ("a1", "a2", "a3")


def run_all(host: Host, *argvs: list[str], isolate: bool = False) -> None:
    """Run a container for each of these commands, as one operation."""
    with host.operation() as verbs:
        for number, argv in enumerate(argvs, 1):
            verbs.run(f"a{number}", network="none", command=argv, isolate=isolate)


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


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """A folder into which any command may write."""
    folder = tmp_path / "marks"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def stubborn(marks: Path, name: str) -> list[str]:
    """Command that makes a file when it is executed, and does not end of a stop signal."""
    return ["sh", "-c", f"trap '' TERM; touch {marks}/{name}; while :; do sleep 0.1; done"]


def names(folder: Path) -> list[str]:
    """Names of a folder's files."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("isolate", [False, True])
def test_where_one_cannot_be_executed_no_other_is(
    lab: Lab, marks: Path, place: int, *, isolate: bool
) -> None:
    argvs = [stubborn(marks, name) for name in NAMES]
    argvs[place] = ["/no/such/program"]
    with lab.host() as host:
        with pytest.raises(StepFailed, match="cannot start the command: /no/such/program"):
            run_all(host, *argvs, isolate=isolate)
        assert host.containers() == []
        host.reset()
    assert names(marks) == []


@pytest.mark.parametrize(
    ("text", "mode", "refusal"),
    [
        ("#!/no/such/interpreter\n", 0o755, "No such file"),
        ("#!/bin/sh\n", 0o644, "Permission denied"),
    ],
)
def test_a_file_that_is_no_program_is_found_before_others_are_executed(
    lab: Lab, marks: Path, tmp_path: Path, text: str, mode: int, refusal: str
) -> None:
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(mode)
    with lab.host() as host:
        with pytest.raises(StepFailed, match=refusal):
            run_all(host, stubborn(marks, "a1"), [str(program)])
        host.reset()
    assert names(marks) == []


def test_what_stands_behind_one_that_the_kernel_refuses_is_not_executed(
    lab: Lab, marks: Path, tmp_path: Path
) -> None:
    """As a program for another processor, which nobody but the kernel can tell."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF, but no more")
    program.chmod(0o755)
    with lab.host() as host:
        with pytest.raises(StepFailed, match="Exec format error"):
            run_all(host, ["sleep", "1000"], [str(program)], stubborn(marks, "a3"))
        assert host.containers() == []
        host.reset()
    assert names(marks) == []


def test_each_is_executed_before_the_next_is_let_go(tmp_path: Path) -> None:
    """Also where the first is the last to be ready."""
    order = tmp_path / "order"
    order.touch()

    def attend(spec: dict[str, str], number: int, go: int) -> int:
        try:
            if number == 0:
                until(lambda: order.read_text().count("ready") == 2, "the others are ready")
            _append(order, "ready")
            os.write(answers, together.READY)
            os.read(go, 1)
            _append(order, f"begins {number}")
            _append(order, f"executed {number}")
            os.write(answers, b"%d 1 2 3 4\n" % number)
        finally:
            os._exit(0)

    reader, answers = os.pipe()
    together.start([{}, {}, {}], attend, answers)
    assert os.read(reader, 1000) == b"".join(b"%d 1 2 3 4\n" % number for number in range(3))
    assert order.read_text().splitlines()[3:] == [
        f"{what} {number}" for number in range(3) for what in ("begins", "executed")
    ]
    os.close(reader)
    os.close(answers)


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")


def test_a_shim_that_is_killed_before_the_start_holds_up_nobody(tmp_path: Path) -> None:
    """The others are not executed."""

    def attend(spec: dict[str, str], number: int, go: int) -> int:
        try:
            if number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(answers, together.READY)
            if os.read(go, 1):
                (tmp_path / "executed").touch()
        finally:
            os._exit(0)

    reader, answers = os.pipe()
    together.start([{}, {}, {}], attend, answers)
    assert os.read(reader, 1000) == b"1 - 0 its shim has ended\n"
    assert names(tmp_path) == []
    os.close(reader)
    os.close(answers)


NO_FORK = """
import errno, os
def fork():
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
os.fork = fork
"""


@pytest.mark.parametrize("count", [1, 2])
def test_a_start_for_which_there_is_no_process_says_so(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(launch, "SCRIPT", NO_FORK + launch.SCRIPT)
    with lab.host() as host:
        with pytest.raises(StepFailed, match=r"sleep: Resource temporarily unavailable \(EAGAIN\)"):
            run_all(host, *[["sleep", "1000"]] * count)
        host.reset()


def test_a_start_without_an_interpreter_says_so(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    other = SimpleNamespace(Popen=fail, PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr(launch, "subprocess", other)  # iptables is asked for its version
    with lab.host() as host:
        with pytest.raises(StepFailed, match="Resource temporarily unavailable"):
            run_all(host, ["sleep", "1000"])
        monkeypatch.undo()
        host.reset()


def test_a_rollback_asks_all_to_end_before_it_waits_for_one(lab: Lab, marks: Path) -> None:
    """Each of these ends by itself when all have been asked, and is killed otherwise."""
    waits = f"while test $(ls {marks} | wc -l) -lt {len(NAMES)}; do sleep 0.05; done"
    rest = f"{waits}; exit 0' TERM; echo set; while :; do sleep 0.05; done"
    argvs = [["sh", "-c", f"trap 'touch {marks}/{name}; {rest}"] for name in NAMES]
    with lab.host() as host:
        run_all(host, *argvs)
        for name in NAMES:
            folder = host.layout.container(host.container(name).id)
            until(lambda: "set" in Path(folder, "log").read_text(), "the trap is set")  # noqa: B023
        started = [
            Step(None, replace(thing, grace=30.0))
            for thing in host.store.things()
            if isinstance(thing, Process)
        ]
        done: list[Step] = []
        commands.take([step.undo() for step in reversed(started)], done)
        folders = [step.thing.folder for step in done if isinstance(step.thing, Process)]
        assert [commands.exit_code(folder) for folder in folders] == [0] * len(NAMES)
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


HUNG = """
import json, os, sys, time
asked = json.load(sys.stdin)
os.write(asked["answers"], b"0 1 2 3 4\\n")
time.sleep(1000)
"""


def test_a_start_that_does_not_come_to_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was started before it is known, so that it can be taken back."""
    monkeypatch.setattr(launch, "SCRIPT", HUNG)
    monkeypatch.setattr(launch, "SECONDS", 2)
    late = f"- {errno.ETIMEDOUT} neither executed nor refused within 2 s"
    answers = launch.launch([{}, {}])
    assert answers in (["1 2 3 4", late], [late, late])  # the latter on a busy machine
    refused = commands._failure("sleep", late)
    assert "start sleep in the sandbox" in str(refused)
    assert "neither executed nor refused within 2 s" in str(refused)
    assert "state D" in refused.hint
