"""Sandbox's command: started through the shim, found by its pid file, ended by signals.

A pid names a process only as long as it lives; so the pid file holds the start time too, and plumb
sends signals through a pidfd that it opened while the two agreed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumb import root
from plumb.errors import Invalid, KernelRefused
from plumb.kernel.events import journal
from plumb.kernel.process import caller, shim, start_time
from plumb.model.container_options import CAPABILITIES
from plumb.model.lifecycle.events import CONTAINER, Event
from plumb.model.paths import Layout
from plumb.plan import Step
from plumb.things import Thing, mounts
from plumb.things.sandbox import GRACE, Process

if TYPE_CHECKING:
    from plumb.kernel.process.identity.users import User

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

FROM_HOST = (
    "there are no images: the first word after the options is the command, "
    "which is looked for in the host's file system"
)
"""Advice on a command that cannot be executed; often it is meant as an image, nginx:latest."""


def spec(process: Process, beside: int = 0) -> dict[str, Any]:
    """Build the shim's input.

    Raises:
        Invalid: there is no such user as the process is to have.
    """
    return {
        "ns": process.ns,
        "folder": process.folder,
        "files": process.files,
        "hostname": process.hostname,
        "argv": list(process.argv),
        "capabilities": [CAPABILITIES.index(name) for name in process.capabilities],
        "beside": beside,
        "environment": environment(process),
        "user": list(_user(process.user)[:3]) if process.user else [],
        "working_dir": process.working_dir,
        "read_only": _read_only(process) if process.read_only else {},
        "isolated": process.isolated,
        "advice": f"; {FROM_HOST}",
        "log": {
            "path": f"{process.folder}/log",
            "size": process.log_size,
            "files": process.log_files,
            "driver": process.log_driver,
            "server": dict(process.log_server),
        },
        "settle": [sys.executable, "-m", "plumb", "settle", process.id],
        "settle_environment": {
            "PLUMB_ROOT": process.root,
            "PLUMB_CONFIG": process.config,
            "PYTHONPATH": root.IMPORT_PATH,
        },
    }


def _read_only(process: Process) -> dict[str, Any]:
    """Mounts of a command that sees the host's files read-only; JSON and marshal can carry them."""
    own_proc = (mounts.OWN_PROC,) if process.isolated else ()
    return {
        "root": process.root,
        "over_host": [list(mount) for mount in (*mounts.over_host(process.root), *own_proc)],
        "in_dev": [list(mount) for mount in mounts.IN_DEV],
        "devices": mounts.DEVICES,
        "links": mounts.LINKS,
    }


def environment(process: Process) -> dict[str, str]:
    """Build the command's environment: defaults, then the given variables.

    One without a value is not set, be it one of the defaults.
    """
    found = {
        "PATH": PATH,
        "HOSTNAME": process.hostname,
        "HOME": _user(process.user).home if process.user else "/root",
        "TERM": os.environ.get("TERM", "xterm"),
    }
    for word in process.environment:
        name, equals, value = word.partition("=")
        if equals:
            found[name] = value
        else:
            found.pop(name, None)
    return found


def _user(name: str) -> User:
    from plumb.kernel.process.identity import users  # lazy: most commands run as root

    return users.known(name)


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


def look(thing: Thing) -> Thing | None:
    """Return the Thing if its command runs."""
    assert isinstance(thing, Process)
    return thing if alive(thing.folder)[0] else None


def take(step: Step) -> None:
    """Start or end the command."""
    process = step.thing
    assert isinstance(process, Process)
    if step.after is None:
        end(process.folder, process.grace, process.stop_signal)
    elif step.before is None:
        start(process)


def start(process: Process) -> None:
    """Start the command and wait until it has been executed.

    Raises:
        Invalid: there is no such command, or it cannot be executed.
        KernelRefused: the sandbox could not be entered.
    """
    for stale in ("pid", "exit", "ending"):
        Path(process.folder, stale).unlink(missing_ok=True)
    reader, writer = os.pipe()
    try:
        os.set_inheritable(writer, True)
        command = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(writer), shim.__file__]
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            pass_fds=(writer,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        os.close(writer)
        writer = -1
        assert child.stdin is not None
        child.stdin.write(json.dumps(spec(process)).encode())
        child.stdin.close()
        answer = os.read(reader, 4096).decode(errors="replace")
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    if not answer or answer.startswith("-"):
        child.wait()
        number, _, reason = answer.removeprefix("- ").partition(" ")
        if number in ("2", "13", "8"):
            raise Invalid(f"cannot start the command: {reason}", FROM_HOST)
        raise KernelRefused(
            f"start {process.argv[0]} in the sandbox",
            int(number or 0) if number.isdigit() else 0,
            reason,
        )
    child.returncode = 0  # it stays; whoever started it need not wait for it


_LAUNCH = (
    "import os,sys,runpy;fd=int(sys.argv[1]);os.dup2(fd,3);fd==3 or os.close(fd);"
    "os.set_inheritable(3,False);"
    "runpy.run_path(sys.argv[2],run_name='__main__')"
)


def end(folder: str, grace: float = GRACE, stop_signal: int = signal.SIGTERM) -> None:
    """End the command; return when all its processes have ended.

    Args:
        grace: seconds between the stop signal and SIGKILL; below 0, it is never killed.
        stop_signal: number of the signal that asks it to end.
    """
    command, shim_pid = alive(folder)
    if shim_pid == caller.this.pid:
        shim_pid = 0  # the shim has become the command that settles, which is this one
    with suppress(OSError):  # the folder may be gone already, and all with it; or the disk is full
        Path(folder, "ending").touch()
    if command:
        _signal(command, stop_signal, grace) or _signal(command, signal.SIGKILL, 5.0)
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
