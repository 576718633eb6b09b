"""`python -m tests.vm.both`: the whole bar.

The suite on this machine's kernel, beside it in the guest what that cannot run; one summary.

The suite waits more than it computes, for what must not come; an emulated guest only computes. So
it runs as two processes, the guest takes what they leave, and what measures time runs when both are
done."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

from tests.vm import guest, lacking
from tests.vm.outcomes import Outcomes, read, summary

PYTEST = (sys.executable, "-m", "pytest")
MODEST = ("nice", "-n", "10")


def main() -> int:
    """Run everything; 0 if all has passed."""
    guest.CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="both-", dir=guest.CACHE) as folder:
        reports = {name: Path(folder) / f"{name}.xml" for name in ("here", "alone", "guest")}
        parts = [
            _Part(
                "", [*PYTEST, *guest.WORKERS, "-m", "not alone", f"--junit-xml={reports['here']}"]
            )
        ]
        if selection := lacking.collected():
            parts.append(
                _Part(
                    "guest | ",
                    [
                        *MODEST,
                        sys.executable,
                        "-m",
                        "tests.vm",
                        "--report",
                        str(reports["guest"]),
                        "-v",
                        "--durations=10",
                        *guest.WORKERS,
                        *selection,
                    ],
                )
            )
        try:
            statuses = [part.ended() for part in parts]
            statuses.append(
                _Part("", [*PYTEST, "-m", "alone", f"--junit-xml={reports['alone']}"]).ended()
            )
        finally:
            for part in parts:
                part.end()
        runs = {
            name: read(report) if report.exists() else Outcomes()
            for name, report in reports.items()
        }
    print(f"\n{summary(runs)}", flush=True)
    return 1 if any(statuses) else 0


class _Part:
    """A process whose output is on ours, line by line, with something before each line."""

    _saying = threading.Lock()

    def __init__(self, prefix: str, argv: list[str]) -> None:
        environment = {**os.environ, "PLUMB_TESTS_PYTHON": sys.executable}
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=self._copy, args=(prefix.encode(), self._process.stdout), daemon=True
        )
        self._reader.start()

    def ended(self) -> int:
        """Wait for it; its exit status."""
        status = self._process.wait()
        self._reader.join()
        return status

    def end(self) -> None:
        """Have it end, if it has not."""
        self._process.terminate()
        self._process.wait()

    def _copy(self, prefix: bytes, said: IO[bytes]) -> None:
        for line in said:
            with self._saying:
                sys.stdout.buffer.write(prefix + line)
                sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
