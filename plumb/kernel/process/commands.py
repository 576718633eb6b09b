"""Sandbox's command: started through the shim, found by its pid file, ended by signals.

A pid names a process only as long as it lives; so the pid file holds the start time too, and plumb
sends signals through a pidfd that it opened while the two agreed.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from plumb import root
from plumb.errors import Invalid, KernelRefused, PlumbError
from plumb.kernel.events import journal
from plumb.kernel.process import caller, start_time
from plumb.kernel.process.starting import launch
from plumb.kernel.process.starting.description import FROM_HOST, environment, spec
from plumb.model.lifecycle.events import CONTAINER, Event
from plumb.model.paths import Layout
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.sandbox import GRACE, Process

HUNG = "a file system that does not answer may hold it up: 'ps -eo pid,stat,args' shows state D"
"""Advice on a command that the kernel neither executes nor refuses."""
OF_A_SHIM = 12.0
"""Seconds that a shim needs at most from its command's end to the exit code."""
AT_ONCE = 32
"""Commands that are started at the same time."""


def alive(folder: str) -> tuple[int, int]:
    """Read the pids of a sandbox's command and of its shim, 0 for one that does not run."""
    try:
        words = Path(folder, "pid").read_text().split()
    except OSError:
        return 0, 0
    if len(words) != 4:
        return 0, 0
    found = [
        int(pid) if start_time.started(int(pid)) == ticks else 0
        for pid, ticks in (words[:2], words[2:])
    ]
    return found[0], found[1]


def exit_code(folder: str) -> int | None:
    """Read the command's exit code (128 + N for signal N, as in shells); None if unknown."""
    try:
        code = int(Path(folder, "exit").read_text())
    except (OSError, ValueError):
        return None
    return 128 - code if code < 0 else code


def has_exit_code(folder: str) -> bool:
    """Tell whether a command has ended and its shim has written how, which comes a moment later.

    It is waited for, as the shim itself waits for what the command has left behind.
    """
    deadline = time.monotonic() + OF_A_SHIM
    while exit_code(folder) is None:
        command, shim = alive(folder)
        if command or not shim or time.monotonic() > deadline:
            return exit_code(folder) is not None
        time.sleep(0.002)
    return True


def look(thing: Thing) -> Thing | None:
    """Return the Thing if its command runs."""
    assert isinstance(thing, Process)
    return thing if alive(thing.folder)[0] else None


def take(steps: Sequence[Step], done: list[Step]) -> None:
    """Start and end commands: neighbours that are to start are made ready at the same time.

    Those of a rollback are asked to end at the same time; others end one after the other, since
    who removes containers may have chosen the order.

    Args:
        done: takes the steps that were done.

    Raises:
        StepFailed: the first that could not be.
    """
    for (starts, taken_back), some in groupby(steps, _kind):
        left = list(some)
        size = AT_ONCE if starts else len(left) if taken_back else 1
        for first in range(0, len(left), size):
            _take_together(left[first : first + size], done)


def _kind(step: Step) -> tuple[bool, bool]:
    """Tell of a step whether it starts a command, and whether it is of a rollback."""
    return step.before is None, step.after is None and step.taken_back


def _take_together(steps: Sequence[Step], done: list[Step]) -> None:
    """Start some commands, or end some."""
    first = steps[0]
    if first.after is None:
        end_all([step.thing for step in steps if isinstance(step.thing, Process)])
        done += steps
    elif first.before is not None:
        done += steps  # what differs is for the next start
    else:
        _start(steps, done)


def _start(steps: Sequence[Step], done: list[Step]) -> None:
    """Start commands and wait until they have been executed, in order.

    Raises:
        StepFailed: of Invalid, where there is no such user or command, or it cannot be executed; of
            KernelRefused, where its sandbox could not be entered.
    """
    specs = [_described(step, done) for step in steps]
    try:
        answers = launch.launch(specs)
    except OSError as error:
        words = error.strerror or str(error)
        refused = KernelRefused("start a process beside the command", error.errno or 0, words)
        raise StepFailed(refused, steps[0], done) from error
    done += [step for step, answer in zip(steps, answers, strict=True) if launch.started(answer)]
    for number in launch.refused(answers):
        failure = _failure(specs[number]["argv"][0], answers[number])
        raise StepFailed(failure, steps[number], done) from failure


def _described(step: Step, done: list[Step]) -> dict[str, Any]:
    """Describe a command to the shim, and remove what an earlier one has left in its folder."""
    process = step.thing
    assert isinstance(process, Process)
    try:
        found = spec(process)
        for stale in ("pid", "exit", "ending"):
            Path(process.folder, stale).unlink(missing_ok=True)
    except PlumbError as refused:
        raise StepFailed(refused, step, done) from refused
    return found


def _failure(name: str, answer: str) -> PlumbError:
    number, _, reason = answer.removeprefix("- ").partition(" ")
    if number in ("2", "13", "8"):
        return Invalid(f"cannot start the command: {reason}", FROM_HOST)
    hint = HUNG if number == str(errno.ETIMEDOUT) else ""
    code = int(number) if number.isdigit() else 0
    return KernelRefused(f"start {name} in the sandbox", code, reason, hint)


def end(folder: str, grace: float = GRACE, stop_signal: int = signal.SIGTERM) -> None:
    """End the command; return when all its processes have ended.

    Args:
        grace: seconds between the stop signal and SIGKILL; below 0, it is never killed.
        stop_signal: number of the signal that asks it to end.
    """
    _ask_to_end(folder, stop_signal)
    _await_end(folder, grace)


def end_all(processes: Sequence[Process]) -> None:
    """End commands, each with its signal and its time, which all have at the same time."""
    for each in processes:
        _ask_to_end(each.folder, each.stop_signal)
    asked = time.monotonic()
    for each in processes:
        left = max(0.0, asked + each.grace - time.monotonic())
        _await_end(each.folder, each.grace if each.grace < 0 else left)


def _ask_to_end(folder: str, stop_signal: int) -> None:
    """Send the stop signal, and have no `settle` come."""
    with suppress(OSError):  # the folder may be gone already, and all with it; or the disk is full
        Path(folder, "ending").touch()
    send(folder, stop_signal)


def _await_end(folder: str, grace: float) -> None:
    """Wait for the end of a command that was asked to; kill what has not ended in time."""
    command, shim_pid = alive(folder)
    if shim_pid == caller.this.pid:
        shim_pid = 0  # the shim has become the command that settles, which is this one
    if command:
        _ends_within(command, grace) or _signal(command, signal.SIGKILL, 5.0)
    # The shim kills what the command left behind, and then writes how it ended.
    deadline = time.monotonic() + 6
    while (
        shim_pid
        and start_time.started(shim_pid)
        and exit_code(folder) is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.002)
    if shim_pid and start_time.started(shim_pid):
        _signal(shim_pid, signal.SIGKILL, 5.0)


def send(folder: str, number: int) -> None:
    """Send a signal to a sandbox's command; one that has ended meanwhile gets none."""
    command = alive(folder)[0]
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(command) if command else -1
        if descriptor >= 0:
            try:
                signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


def sweep(namespaces: Iterable[str]) -> None:
    """Kill the processes that plumb started in these network namespaces.

    Those of exec, and those that a killed shim or run left behind. Processes of plumb have a mount
    namespace of their own; a shell that a user started there with nsenter is left alone.
    """
    gone, own = set(), {str(os.getpid()), str(caller.this.pid)}
    for path in namespaces:
        with suppress(OSError):
            gone.add(f"net:[{os.stat(path).st_ino}]")  # as the kernel names it, namespaces(7)
    here = os.readlink("/proc/self/ns/mnt")
    for entry in os.listdir("/proc") if gone else ():
        if not entry.isdecimal() or entry in own:
            continue
        try:  # reading the name takes the kernel a third of what stat(2) takes
            if os.readlink(f"/proc/{entry}/ns/net") not in gone:
                continue
            if os.readlink(f"/proc/{entry}/ns/mnt") != here:
                _signal(int(entry), signal.SIGKILL, 1.0)
        except OSError:
            continue  # it has ended, or belongs to another user namespace


def _signal(pid: int, kind: int, timeout: float) -> bool:
    """Send a signal and wait for the process to end; True if it did."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(descriptor, kind)
        return _wait_for_end(descriptor, timeout)
    except ProcessLookupError:
        return True
    finally:
        os.close(descriptor)


def _ends_within(pid: int, seconds: float) -> bool:
    """Wait for a process to end; True if it did."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return _wait_for_end(descriptor, seconds)
    finally:
        os.close(descriptor)


def _wait_for_end(descriptor: int, seconds: float) -> bool:
    """Wait for a process to end, for ever if seconds are below 0; True if it did."""
    return bool(select.select([descriptor], [], [], seconds if seconds >= 0 else None)[0])


def exists(process: Process) -> bool:
    """Tell whether the host has the program that a process is to execute."""
    import shutil  # lazy: few commands need it

    return shutil.which(process.argv[0], path=environment(process)["PATH"]) is not None


def pids(folder: str) -> list[int]:
    """List the processes of a sandbox with a command, those of `exec` among them.

    They are those in the mount namespace of the command, which is no other's.
    """
    command = alive(folder)[0]
    found: list[int] = []
    with suppress(OSError):
        own = os.stat(f"/proc/{command}/ns/mnt").st_ino if command else 0
        for entry in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(OSError):
                if os.stat(f"/proc/{entry}/ns/mnt").st_ino == own:
                    found.append(int(entry))
    return found


def listed(arguments: Sequence[str]) -> str:
    """Run the host's ps(1) and return what it prints.

    Raises:
        Invalid: ps is missing, or refuses the arguments.
    """
    try:
        done = subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise Invalid(f"cannot run ps: {error.strerror}", "install procps") from error
    if done.returncode:
        complaint = (done.stderr.strip().splitlines() or ["it fails"])[0]
        raise Invalid(f"ps {' '.join(arguments)}: {complaint}", "as -ef, aux, -o pid,cmd")
    return done.stdout


def detach(process: Process) -> None:
    """Start a command beside the sandbox's own, in a session of its own, without input or output.

    Raises:
        Invalid: there is no such command.
        OSError: the sandbox could not be entered.
    """
    if not exists(process):
        raise Invalid(
            f"cannot start the command: {process.argv[0]}: not found or not executable", FROM_HOST
        )
    found = {**spec(process, alive(process.folder)[0]), "end": _tell(process)}
    done = subprocess.run(
        [sys.executable, "-m", "plumb.kernel.process.become"],
        input=json.dumps(found).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": root.IMPORT_PATH},
        check=False,
    )
    if done.stdout:
        raise OSError(done.stdout.decode(errors="replace"))


def join(process: Process) -> None:
    """Run a command of the sandbox (exec) as a child of the calling process, which ends as it does.

    If the sandbox's own command runs, it shares that one's namespaces.
    """
    found = {**spec(process, alive(process.folder)[0]), "end": _tell(process)}
    caller.this.become(found)


def _tell(process: Process) -> dict[str, Any]:
    """Append events of a command of `exec` that begins.

    Returns:
        What tells its end: `path`, the journal's; `line`, that of the event; and `marks`, what
        stands in it for the exit status and the time, which are known then.
    """
    known = (("execID", os.urandom(32).hex()),)
    words = " ".join(process.argv).encode(errors="replace").decode()  # argv may be no UTF-8
    actions = (f"{action}: {words}" for action in ("exec_create", "exec_start"))
    events = [Event(CONTAINER, action, process.id, known) for action in actions]
    path = Layout(process.root).events
    journal.append(path, events)
    document: dict[str, Any] = Event(CONTAINER, "exec_die", process.id, known).document(0)
    marks = {name: os.urandom(16).hex() for name in ("exitCode", "time", "timeNano")}
    document["Actor"]["Attributes"]["exitCode"] = marks["exitCode"]
    numbers = {name: marks[name] for name in ("time", "timeNano")}
    line = journal.line({**document, **numbers}).decode()
    for name in numbers:
        marks[name] = f'"{marks[name]}"'  # a number has no quotation marks
    return {"path": path, "line": line, "marks": marks}
