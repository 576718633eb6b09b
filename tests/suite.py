"""`python -m tests.suite check|native|all`: the tiers of the suite, each with one summary.

    check     style, types, layers, and what needs no kernel: seconds
    native    what this machine's kernel can run, of the dear modules one test in five
    all       all of it, and beside it in guests (tests/vm) what this kernel lacks something for

A test that waits for ever fails by pytest's `timeout`; a part that says nothing for longer than
that is ended, after a list of the processes that there are. A few failures of `all` are tried again
when nothing else runs: one that passes then is named as unsteady in the summary, which asks for a
mend, and stops nobody.

The suite waits more than it computes, for what must not come, so it runs as eight processes. What
measures time runs in one process when all others are done, and so does QEMU's guest: an emulated
kernel that gets a tenth of a processor takes itself for hung.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests import sampling
from tests.vm import guest, lacking
from tests.vm.outcomes import AGAIN, Outcomes, closing_line, node, read, summary, unsteady

PYTEST = (sys.executable, "-m", "pytest")
WORKERS = 8
FEW = 8
"""So many failures may be a matter of load; more are a fault."""
SILENCE = 1200.0
"""Seconds in which some test of a part must end: twice what one may take (pyproject.toml)."""
A_MINUTE = 60.0
PROCESSES = ("ps", "-e", "--forest", "-o", "pid,stat,etimes,wchan:24,args", "--cols", "300")
GUESTS = ("user-mode", "qemu")
CHECKED = (
    *("tests/test_lint.py", "tests/test_layers.py", "tests/test_golden.py", "tests/test_plan.py"),
    *("tests/test_errors.py", "tests/test_needs.py", "tests/test_sampling.py", "tests/vm"),
    *("tests/model", "tests/things", "tests/store", "tests/engine", "tests/views"),
)
"""Tests that need no namespaces, but for one or two in a file."""


def main(tier: str) -> int:
    """Run a tier; 0 if all has passed."""
    if tier == "native":
        os.environ[sampling.SHORT] = "1"  # without effect where all is to be run
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # one compiles for all
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # its parts are ended then
    guest.CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="suite-", dir=guest.CACHE) as folder:
        reports = Path(folder)
        statuses = _run(tier, reports)
        runs = {name: _outcomes(reports, name) for name in statuses}
    print(f"\n{summary(runs)}\n{closing_line(runs)}", flush=True)
    for name, status in statuses.items():
        if status and not runs[name].failures():
            print(f"{name} ended with {status}, though none of its tests failed", flush=True)
    return 1 if any(statuses.values()) else 0


def _run(tier: str, reports: Path) -> Mapping[str, int]:
    """Run the parts of a tier, each with a report in a folder; the exit statuses."""
    later: dict[str, list[str]] = {}
    # Before the workers start: it compiles the tests once for all of them.
    guests = _guests(reports) if tier == "all" else {}
    if tier == "check":
        parts = {"here": _Part("", _pytest(reports / "here.xml", 2, *CHECKED))}
    else:
        parts = {"here": _Part("", _pytest(reports / "here.xml", WORKERS, "-m", "not alone"))}
        later["alone"] = [*PYTEST, "-m", "alone", f"--junit-xml={reports / 'alone.xml'}"]
    later |= {"qemu": guests.pop("qemu")} if "qemu" in guests else {}
    try:
        parts |= {kind: _Part(f"{kind} | ", argv) for kind, argv in guests.items()}
        statuses = {name: part.ended() for name, part in parts.items()}
        for name, argv in later.items():
            parts[name] = _Part(f"{name} | ", argv)
            statuses[name] = parts[name].ended()
        for name in list(statuses) if tier == "all" else ():
            if argv := _again(name, statuses[name], reports):
                again = name + AGAIN
                parts[again] = _Part(f"{again} | ", argv)
                statuses[again] = parts[again].ended()
                statuses[name] = int(_some_fail_again(name, reports))
        return statuses
    finally:
        for part in parts.values():
            part.end()


def _outcomes(reports: Path, name: str) -> Outcomes:
    report = reports / f"{name}.xml"
    return read(report) if report.exists() else Outcomes()


def _some_fail_again(name: str, reports: Path) -> bool:
    runs = {each: _outcomes(reports, each) for each in (name, name + AGAIN)}
    return runs[name].failures() != unsteady(runs, name)


def _again(name: str, status: int, reports: Path) -> list[str]:
    """The command line that tries the failures of a run once more; empty without any, or with many.

    pytest's status 1 says that tests failed and that nothing else went wrong.
    """
    failed = [node(test) for test in sorted(_outcomes(reports, name).failures())]
    if status != 1 or not 0 < len(failed) <= FEW:
        return []
    report = reports / f"{name}{AGAIN}.xml"
    if name in GUESTS:
        return _in_a_guest(name, report, failed)
    return [*PYTEST, f"--junit-xml={report}", *failed]


def _pytest(report: Path, workers: int, *argv: str) -> list[str]:
    return [*PYTEST, *guest.workers(workers), f"--junit-xml={report}", *argv]


def _guests(reports: Path) -> dict[str, list[str]]:
    """The command line of a guest of each kind that there is something to run in."""
    return {
        kind: _in_a_guest(kind, reports / f"{kind}.xml", tests)
        for kind, tests in lacking.by_guest(lacking.collected()).items()
        if tests
    }


def _in_a_guest(kind: str, report: Path, tests: Sequence[str]) -> list[str]:
    start = [sys.executable, "-m", "tests.vm", f"--{kind}", "--report", str(report)]
    return [*start, "-v", "--durations=10", *guest.WORKERS[kind], *tests]


class _Part:
    """A process whose output is on ours, line by line, with something before each line.

    It is interrupted when it has printed nothing for `silence` seconds, and killed a minute later.
    """

    _saying = threading.Lock()

    def __init__(self, prefix: str, argv: list[str], silence: float = SILENCE) -> None:
        environment = {**os.environ, "PLUMB_TESTS_PYTHON": sys.executable}
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        assert self._process.stdout is not None
        self._prefix, self._silence, self._heard = prefix, silence, time.monotonic()
        self._reader = threading.Thread(
            target=self._copy, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()

    def ended(self) -> int:
        """Wait for it; its exit status."""
        while (quiet := time.monotonic() - self._heard) < self._silence:
            with suppress(subprocess.TimeoutExpired):
                status = self._process.wait(self._silence - quiet)
                self._reader.join(A_MINUTE)  # what it left running may have its output open
                return status
        self._say(f"{self._prefix}nothing was printed for {self._silence:g} s; there is".encode())
        self._say(subprocess.run(PROCESSES, capture_output=True, check=False).stdout)
        self._process.send_signal(signal.SIGINT)  # pytest says then what has failed so far
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(A_MINUTE)
        self._process.kill()
        self._process.wait()
        self._reader.join(A_MINUTE)
        return 1

    def end(self) -> None:
        """Have it end, if it has not."""
        self._process.terminate()
        self._process.wait()

    def _copy(self, said: IO[bytes]) -> None:
        begun = b""
        with said:
            while some := os.read(said.fileno(), 1 << 16):
                self._heard = time.monotonic()
                *lines, begun = (begun + some).split(b"\n")
                for line in lines:
                    self._say(self._prefix.encode() + line)
            if begun:
                self._say(self._prefix.encode() + begun)

    def _say(self, line: bytes) -> None:
        with self._saying:
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
