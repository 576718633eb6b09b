"""What the tests of warm command lines share.

An agent with a warm process, and how many commands that has carried out.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from plumb.kernel import agent_socket
from plumb.kernel.process import shim, start_time
from tests import REPOSITORY
from tests.labs import Lab
from tests.waiting import until


def agent(lab: Lab) -> int:
    """The agent's pid, 0 if there is none."""
    return agent_socket.running(str(lab.root))[0]


def named(lab: Lab, name: str) -> list[int]:
    """The agent's descendants that `ps` calls so."""
    found = []
    for pid in shim.descendants(agent(lab)):
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().split()[0] == name:
                found.append(pid)
    return found


def warm_of(lab: Lab) -> int:
    """The warm process that is ready, 0 if none is: it has a spare."""
    return next(iter(named(lab, "plumb-warm")), 0) if named(lab, "plumb-spare") else 0


def served(lab: Lab) -> int:
    """How many command lines the warm process has carried out, as `ps` shows it."""
    pid = warm_of(lab)
    return int("".join(Path(f"/proc/{pid}/comm").read_text().split()[1:]) or 0) if pid else -1


def publish(lab: Lab) -> None:
    """A network `home` and a container `base` on it with a published port: so there is an agent."""
    with lab.host() as host:
        host.create_network("home", subnet="10.77.0.0/24")
        host.run("base", network="home", publish="127.0.0.1:18080:80")


def warm_up(lab: Lab, **asked: Any) -> int:
    """Have a warm process, by a command and a while; its pid.

    A launcher is known to it from the second command on.
    """
    for _ in range(1 + bool(lab.launcher)):
        said(start(lab, "version", **asked))
        until(lambda: quiet(lab), "there is a warm process with a spare")
    return warm_of(lab)


def install_launcher(folder: Path, *options: str) -> str:
    """The compiled `plumb` command, in a folder with what pip writes beside it.

    Skips the test where there is no compiler.

    Args:
        options: of the compiler, beside the usual ones.
    """
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    source = sorted((REPOSITORY / "plumb/prefork").glob("launcher*.c"))
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *warnings, *options, "-O1", "-o", folder / "plumb", *source], check=True)
    call = "import sys; from plumb.__main__ import main; sys.exit(main())"
    (folder / "plumb-python").write_text(f"#!{sys.executable}\n{call}\n")
    (folder / "plumb-python").chmod(0o755)
    return str(folder / "plumb")


def quiet(lab: Lab) -> bool:
    """Whether a spare waits, and agent and warm process have done all that they were told to."""
    pids = (agent(lab), *shim.descendants(agent(lab)))
    return len(pids) == 3 and warm_of(lab) != 0 and all(state(pid) == "S" for pid in pids)


def state(pid: int) -> str:
    """A process's state: S it sleeps, T it is stopped (proc_pid_stat(5)); "" if it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def start(
    lab: Lab,
    *argv: str,
    env: dict[str, str] | None = None,
    prefix: tuple[str, ...] = (),
    program: tuple[str, ...] = (),
    **asked: Any,
) -> subprocess.Popen[str]:
    """Start a command line.

    Args:
        prefix: words before the interpreter, as `timeout 2`.
        program: words of the interpreter's, instead of what the lab's command line is.
    """
    words = (sys.executable, *program) if program else lab.words
    return subprocess.Popen(
        [*prefix, *words, *argv],
        text=True,
        **{
            "cwd": "/",
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": {**environment(lab), **(env or {})},
            **asked,
        },
    )


def environment(lab: Lab) -> dict[str, str]:
    """Of a command line; `python` is this one, with streams as they usually are."""
    usual = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONUNBUFFERED", "PLUMB_WARM")
    }
    path = f"{Path(sys.executable).parent}:{usual['PATH']}"
    return {**usual, "PLUMB_ROOT": str(lab.root), "PYTHONPATH": str(REPOSITORY), "PATH": path}


def said(ran: subprocess.Popen[str], given: str | None = None) -> tuple[int, str, str]:
    """How it ended, and what it printed."""
    out, err = ran.communicate(given, timeout=30)
    return ran.returncode, out, err


@contextmanager
def counted(lab: Lab, number: int) -> Iterator[None]:
    """So many commands are carried out warm in the with block, and no more.

    One that is known to be follows; on a machine that stands still for a second it goes by itself,
    as any command then, and the next one follows.
    """
    until(lambda: quiet(lab), "there is a spare")
    before = served(lab)
    yield
    for _ in range(5):
        said(start(lab, "version"))
        until(lambda: quiet(lab), "there is a spare")
        if served(lab) != before + number:
            break
    until(lambda: served(lab) == before + number + 1, f"{number} commands were carried out warm")


def killed(pid: int) -> None:
    """Kill a process, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not start_time.started(pid), f"{pid} is gone")


def at_the_root(lab: Lab) -> list[int]:
    """The forks that have opened the root, which is what they lock."""
    found = []
    for pid in named(lab, "plumb"):
        with suppress(FileNotFoundError):  # it is just ending
            found += [
                pid
                for path in Path(f"/proc/{pid}/fd").iterdir()
                if os.path.realpath(path) == str(lab.root)
            ]
    return found


@contextmanager
def waiting(lab: Lab, *argv: str, **asked: Any) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command that waits for its turn, warm: its process, and the one that works for it.

    Args:
        asked: as of `start`.
    """
    turn = os.open(lab.root, os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        ran = start(lab, *argv, **asked)
        until(lambda: at_the_root(lab), "it waits")
        yield ran, at_the_root(lab)[0]
    finally:
        os.close(turn)
