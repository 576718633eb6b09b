"""`python -m tests.vm [ARGS]`.

Run pytest in a guest, with these arguments or on what this machine's kernel cannot run.

--user-mode             the guest is User-mode Linux
--qemu                  it is QEMU's, as it is where neither is named and ARGS are
--report FILE ARGS      the report, in JUnit's XML, goes there; else to .vm/report.xml
--shell                 no tests: a shell in QEMU's guest

Without ARGS each guest gets those of the tests that it can run.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.vm import guest, lacking


def main(argv: list[str]) -> int:
    """Run the guest; pytest's exit status, or 1 where there is none."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(1)
    )  # so that what is to be done in the end is done
    if argv == ["--shell"]:
        return guest.shell()
    kind = "qemu"
    if argv[:1] in (["--user-mode"], ["--qemu"]):
        kind, argv = argv[0].removeprefix("--"), argv[1:]
    report = guest.CACHE / "report.xml"
    if argv[:1] == ["--report"]:
        report, argv = Path(argv[1]), argv[2:]
    if argv:
        return _run(kind, argv, report)
    divided = lacking.by_guest(lacking.collected())
    statuses = [
        _run(kind, [*guest.WORKERS[kind], *tests], report.with_stem(f"{report.stem}-{kind}"))
        for kind, tests in divided.items()
        if tests
    ]
    if not statuses:
        print("this kernel lacks nothing that a test needs: there is nothing to run in a guest")
    return max(statuses, default=0)


def _run(kind: str, argv: list[str], report: Path) -> int:
    status = guest.run(argv, report, in_user_mode=kind == "user-mode")
    return 1 if status is None else status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
