"""`python -m tests.fuzz`: play scenarios; print where engines differ, and in the fewest lines.

make fuzz                             twenty scenarios of a new seed
make fuzz SEED=7 COUNT=100            those of the seeds 7 to 106
make fuzz ARGS='--lines FILE'         the lines of a file, as they are printed here
make fuzz ARGS='--docker never'       without a Docker Engine, though one is installed
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.foreign.dockerd import MISSING, dockerd
from tests.fuzz import old_docker
from tests.fuzz.differences import Other, compare, identical
from tests.fuzz.players import on_docker, on_firewall
from tests.fuzz.scenarios import scenario
from tests.fuzz.shrink import shrunk

PLUMB = on_firewall("iptables")
"""The player that others are compared with."""
FIREWALLS = {name: Other(on_firewall(name), identical) for name in ("legacy", "nftables")}
"""Plumb on its other firewalls, which says the same to the last word."""


@contextmanager
def docker_engine() -> Iterator[Mapping[str, Other]]:
    """Start a Docker Engine of the version that Debian has."""
    with dockerd() as engine:
        yield {"dockerd": Other(on_docker(engine), old_docker.agree, old_docker.known)}


@contextmanager
def _engines(docker: str) -> Iterator[Mapping[str, Other]]:
    if docker == "never" or (docker == "auto" and MISSING):
        print(f"no Docker Engine: {', '.join(MISSING) or 'not asked for'}")
        yield FIREWALLS
        return
    with docker_engine() as found:
        yield found if docker == "only" else {**FIREWALLS, **found}


def _played(title: str, lines: list[str], others: Mapping[str, Other]) -> bool:
    """Play a scenario and print what differs; True if something does."""
    found = compare(lines, PLUMB, others)
    print(f"{title}: {'differs' if found else 'the same'}", flush=True)
    for name, text in found.items():
        print(f"plumb (+) and {name} (-) differ:\n{text}", flush=True)
        one = {name: others[name]}
        fewest = shrunk(lines, lambda some, one=one: bool(compare(some, PLUMB, one)))  # type: ignore[misc]
        print(f"{len(fewest)} of its lines are enough:", *fewest, sep="\n    ", flush=True)
    return bool(found)


def main() -> int:
    """Play what was asked for; 0 if nobody differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--count", type=int, default=20, help="scenarios")
    parser.add_argument("--lines", type=Path, help="play the lines of this file")
    parser.add_argument("--docker", choices=("auto", "only", "never"), default="auto")
    asked = parser.parse_args()
    if asked.lines:
        written = asked.lines.read_text().strip().splitlines()
        books = {str(asked.lines): [line.strip() for line in written]}
    else:
        print(f"SEED={asked.seed} COUNT={asked.count}", flush=True)
        books = {f"SEED={at}": scenario(at) for at in range(asked.seed, asked.seed + asked.count)}
    with _engines(asked.docker) as others:
        differ = [title for title, lines in books.items() if _played(title, lines, others)]
    print(f"{len(books)} scenarios, {len(differ)} differ:", *differ)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
