"""`python -m tests.soak`: run it all, print the figures, say what has grown."""

from __future__ import annotations

import argparse
import sys

from tests.soak import cycles, kills


def main() -> int:
    """Run what was asked for; 0 if nothing has grown and nothing was left."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--library", type=int, default=10_000, help="cycles by the library")
    parser.add_argument("--commands", type=int, default=1_000, help="cycles by the command line")
    parser.add_argument(
        "--kills", type=int, default=1_000, help="kills that hit, at random moments"
    )
    asked = parser.parse_args()
    faults: list[str] = []
    for title, made, count in (
        ("library", cycles.by_library, asked.library),
        ("commands", cycles.by_command, asked.commands),
    ):
        if count:
            print(cycles.heading(title), flush=True)
            parts = []
            with made() as (place, cycle):
                for part in cycles.run(place, cycle, count):
                    parts.append(part)
                    print(cycles.line(part, len(parts)), flush=True)
            faults += [f"{title}: {line}" for line in cycles.grown(parts)]
    if asked.kills:
        for victim, times in kills.run(asked.kills).items():
            print(f"killed {times:>5} times: {victim}")
    print(*(f"HAS GROWN {fault}" for fault in faults), sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
