"""Cycles: a container comes, is connected and disconnected, and goes, thousands of times.

What grows is a leak: the time of a cycle, this process, the agent, the warm process, the store, the
root, the host's links, rules and mounts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from statistics import median

from plumb.kernel.netns.namespaces import entered
from tests.host.trial_hosts import MARK, host, marked
from tests.labs import Lab, lab
from tests.soak import sizes
from tests.soak.sizes import Sizes
from tests.waiting import until

PARTS = 10
"""Parts of a run that are compared with each other."""


@dataclass(frozen=True)
class Part:
    """A tenth of a run.

    Attributes:
        cycles: how many.
        milliseconds: of one cycle by the clock, the median.
        processor: of one cycle, ms of processor time of all that plumb is, on average.
        sizes: at its end.
    """

    cycles: int
    milliseconds: float
    processor: float
    sizes: Sizes


@contextmanager
def by_library() -> Iterator[tuple[Lab, Callable[[], None]]]:
    """A cycle by the library: one process all along."""
    os.environ[MARK] = ""
    with lab() as place, entered(place.netns), place.host() as plumb:
        os.environ[MARK] = str(place.root)
        before = host(place)
        plumb.create_network("home")
        plumb.create_network("other", options={"com.docker.network.bridge.enable_icc": "false"})
        plumb.run("stays", network="home", publish=["8081:80"])  # and the agent with it

        def cycle() -> None:
            plumb.run("c", network="home", publish=["8080:80"])
            plumb.connect("other", "c")
            plumb.disconnect("other", "c")
            plumb.remove("c", force=True)

        yield place, cycle
        plumb.reset()
        assert host(place) == before, "something is left after reset"


@contextmanager
def by_command() -> Iterator[tuple[Lab, Callable[[], None]]]:
    """A cycle by the command line: a client for each command, and a fork of the warm process."""
    with lab() as place, entered(place.netns):
        os.environ[MARK] = str(place.root)
        before = host(place)
        place.command("network", "create", "home")
        place.command("network", "create", "other")
        place.command("run", "-d", "--name", "stays", "--network", "home", "-p", "8081:80")

        def cycle() -> None:
            place.command("run", "-d", "--name", "c1", "--network", "home", "-p", "8080:80")
            place.command("network", "connect", "other", "c1")
            place.command("rm", "-f", "c1")

        yield place, cycle
        place.command("reset", "--force")
        until(lambda: not marked(place), "the agent and the warm process end")
        assert host(place) == before, "something is left after reset"


def run(place: Lab, cycle: Callable[[], None], count: int) -> Iterator[Part]:
    """Run cycles; figures of each tenth of them, as soon as it has ended."""
    each = max(1, count // PARTS)
    for _ in range(PARTS):
        took, begun = [], sizes.processor(place)
        for _ in range(each):
            started = time.perf_counter()
            cycle()
            took.append((time.perf_counter() - started) * 1000)
        used = (sizes.processor(place) - begun) * 1000 / each
        yield Part(each, median(took), used, sizes.measured(place))


SLOWER = 1.25
"""How much longer a cycle of the last tenths may take than one of the first, processor time.

The least of three tenths each: other work makes some of them longer, and none shorter.
"""


def grown(parts: Sequence[Part], slower: float = SLOWER) -> list[str]:
    """What has grown between the second tenth and the last, in words; the first fills caches."""
    first, last = (min(part.processor for part in parts[at]) for at in (EARLY, LATE))
    late = [f"a cycle: {first:.1f} -> {last:.1f} ms of processor time"]
    return (late if last > slower * first else []) + sizes.grown(parts[1].sizes, parts[-1].sizes)


EARLY, LATE = slice(1, 4), slice(-3, None)


def heading(title: str) -> str:
    """Names of the figures in a line."""
    return f"{title:10}{'cycles':>8}{'ms':>8}{'CPU ms':>8}" + "".join(
        f"{_short(each.name):>13}" for each in fields(Sizes)
    )


def line(part: Part, number: int) -> str:
    """Figures of the tenth with that number, from 1, as a line under the heading."""
    cells = "".join(f"{getattr(part.sizes, each.name):>13,}" for each in fields(Sizes))
    done = number * part.cycles
    return f"{'':10}{done:>8,}{part.milliseconds:>8.1f}{part.processor:>8.1f}{cells}"


def _short(name: str) -> str:
    return name.replace("_descriptors", " fds").replace("descriptors", "fds").replace("_", " ")
