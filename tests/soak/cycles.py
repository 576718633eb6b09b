"""Cycles: a container comes, is connected and disconnected, and goes, thousands of times.

What grows is a leak: the time of a cycle, this process, the agent, the store, the host's links and
rules, the mounts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

from plumb.kernel.netns.namespaces import entered
from tests.host.trial_hosts import MARK, host, marked
from tests.labs import Lab, lab, mounts, sh

PARTS = 10
"""Parts of a run that are compared with each other."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of what must not grow.

    Attributes:
        memory: of this process and of the agent, KiB of resident memory.
        descriptors: of both.
        store: bytes of the database and its log.
        links, rules, mounts: how many the host has.
    """

    memory: int
    descriptors: int
    agent_memory: int
    agent_descriptors: int
    store: int
    links: int
    rules: int
    mounts: int


@dataclass(frozen=True)
class Part:
    """A tenth of a run.

    Attributes:
        cycles: how many.
        milliseconds: of one cycle, the median.
        sizes: at its end.
    """

    cycles: int
    milliseconds: float
    sizes: Sizes


def measured(place: Lab) -> Sizes:
    """Sizes as they are now."""
    agent = next(pid for pid, words in marked(place).items() if "plumb.agent" in words)
    files = [path for path in place.root.iterdir() if path.name.startswith("plumb.db")]
    return Sizes(
        *_process(os.getpid()),
        *_process(agent),
        sum(path.stat().st_size for path in files),
        len(os.listdir("/sys/class/net")),
        sh("iptables-save; ip6tables-save").count("\n-A "),
        len(mounts()),
    )


def _process(pid: int) -> tuple[int, int]:
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]), len(os.listdir(f"/proc/{pid}/fd"))


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
    """A cycle by the command line: a process for each command."""
    with lab() as place, entered(place.netns):
        os.environ[MARK] = str(place.root)
        before = host(place)
        place.plumb("network", "create", "home")
        place.plumb("run", "-d", "--name", "stays", "--network", "home", "-p", "8081:80")

        def cycle() -> None:
            place.plumb("run", "-d", "--name", "c1", "--network", "home", "-p", "8080:80")
            place.plumb("rm", "-f", "c1")

        yield place, cycle
        place.plumb("reset", "--force")
        assert host(place) == before, "something is left after reset"


def run(place: Lab, cycle: Callable[[], None], count: int) -> Iterator[Part]:
    """Run cycles; figures of each tenth of them, as soon as it has ended."""
    for _ in range(PARTS):
        took = []
        for _ in range(max(1, count // PARTS)):
            begun = time.perf_counter()
            cycle()
            took.append((time.perf_counter() - begun) * 1000)
        yield Part(len(took), median(took), measured(place))


GROWTH = {"memory": 4096, "agent_memory": 4096, "store": 1 << 20}
"""How much the second half of a run may have over the first tenth; what is not named, nothing."""


def grown(parts: list[Part]) -> list[str]:
    """Sizes that have grown between the second tenth and the last, in words."""
    first, last = parts[1].sizes, parts[-1].sizes
    return [
        f"{field.name}: {getattr(first, field.name)} -> {getattr(last, field.name)}"
        for field in fields(Sizes)
        if getattr(last, field.name) - getattr(first, field.name) > GROWTH.get(field.name, 0)
    ]


def heading(title: str) -> str:
    """Names of the figures in a line."""
    return f"{title:12}{'cycles':>8}{'ms':>8}" + "".join(
        f"{field.name.replace('_', ' '):>19}" for field in fields(Sizes)
    )


def line(part: Part, number: int) -> str:
    """Figures of the tenth with that number, from 1, as a line under the heading."""
    cells = "".join(f"{getattr(part.sizes, field.name):>19,}" for field in fields(Sizes))
    return f"{'':12}{number * part.cycles:>8,}{part.milliseconds:>8.1f}{cells}"
