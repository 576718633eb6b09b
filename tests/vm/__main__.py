"""`python -m tests.vm [ARGS]`.

Run pytest in the guest, with these arguments or on what this machine's kernel cannot run.

--report FILE ARGS      the report, in JUnit's XML, goes there; else to .vm/report.xml
--shell                 no tests: a shell in the guest
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
    report = guest.CACHE / "report.xml"
    if argv[:1] == ["--report"]:
        report, argv = Path(argv[1]), argv[2:]
    if not argv and not (lacked := lacking.collected()):
        print("this kernel lacks nothing that a test needs: there is nothing to run in a guest")
        return 0
    status = guest.run(argv or [*guest.WORKERS, *lacked], report)
    return 1 if status is None else status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
