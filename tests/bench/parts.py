"""Where a container's milliseconds go: its parts, and the kernel's work by the system's own tools.

The parts are processor time of the calling process, each without what it calls of the others: on a
machine that does other things as well they are the same. What is waited for (the agent, a disk, the
kernel's own workers) is in the clock's row alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any

from plumb.engine import operation
from plumb.kernel import agent_client
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.net import announce_endpoints, carrier
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.writer import Writer
from plumb.kernel.writers import WRITERS
from plumb.plan import Step
from plumb.store.sqlite import SqliteStore
from tests.bench import floor
from tests.bench.at_rest import at_rest
from tests.bench.figures import Report, clocked, rounds
from tests.labs import lab, sh

SECTION, RUN, REMOVE = "where a container's milliseconds go", "run -d", "rm -f"
PROCESSOR, CLOCK, FLOOR = "all, processor", "all, by the clock", "ip -batch and iptables-restore"
REST, RECORD = "verbs, locks and checks", "record and journal"
POINTS: Sequence[tuple[Any, str, str]] = (
    (operation.Operation, "work_out", "planning"),
    (operation, "plan", "planning"),
    (SqliteStore, "begin", RECORD),
    (SqliteStore, "prepare", RECORD),
    (SqliteStore, "finish", RECORD),
    (carrier, "await_running", "waiting for carrier"),
    (announce_endpoints, "announce", "announcement"),
    (agent_client, "ask", "agent"),
)
"""Functions that begin a part, with its name; writers begin one of their own name."""


class Parts:
    """Processor time by part, of what is called by `begun`."""

    def __init__(self) -> None:
        self.took: Counter[str] = Counter()
        self._open = [REST]
        self._since = time.thread_time()

    def begun(self, work: Callable[[], object]) -> None:
        """Forget what was measured, and do some work."""
        self.took.clear()
        self._since = time.thread_time()
        work()

    def _pass(self) -> None:
        now = time.thread_time()
        self.took[self._open[-1]] += now - self._since  # type: ignore[assignment]  # seconds
        self._since = now

    def end(self) -> dict[str, float]:
        """The milliseconds of each part."""
        self._pass()
        return {part: took * 1000 for part, took in self.took.items()}

    def of(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function as a part."""

        @wraps(work)
        def measured(*args: Any, **named: Any) -> Any:
            self._pass()
            self._open.append(part)
            try:
                return work(*args, **named)
            finally:
                self._pass()
                self._open.pop()

        return measured

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have the functions of POINTS measured, for the length of a with block."""
        with ExitStack() as undo:
            for owner, name, part in POINTS:
                undo.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, self.of(part, getattr(owner, name)))
            yield


class Watched:
    """A writer whose work is a part.

    Args:
        writer: that does the work; parts: where it counts.
    """

    def __init__(self, writer: Writer, parts: Parts) -> None:
        self.name, self._writer = writer.name, writer
        for method in ("look", "take", "order", "look_and_order"):
            setattr(self, method, parts.of(self.name, getattr(writer, method)))


def measure(report: Report, wanted: int, seconds: float) -> None:
    """A container comes and goes, by the library and by the floor's tools, in turn."""
    table = report.section(SECTION, RUN, REMOVE)
    parts = Parts()
    steps: list[Sequence[Step]] = []
    watched = {writer: Watched(writer, parts) for writer in {*WRITERS.values()}}
    with lab() as place, entered(place.netns), place.host(on_steps=steps.append) as host:
        folders = (host.layout.root, host.layout.run)
        writers = {kind: watched[writer] for kind, writer in WRITERS.items()}
        vars(host)["kernel"] = LinuxKernel(writers, folders)  # type: ignore[arg-type]  # its names are set above
        host.create_network("home")
        host.run("other", network="home")
        ground = steps[:1]
        for _ in rounds(wanted, seconds):
            for column, work in (
                (RUN, lambda: host.run("c", network="home")),
                (REMOVE, lambda: host.remove("c", force=True)),
            ):
                steps.clear()
                at_rest()
                with parts.watched():
                    clock = clocked(partial(parts.begun, work))
                    found = parts.end()
                for part, took in (*found.items(), (PROCESSOR, sum(found.values()))):
                    table.add(part, column, took)
                table.add(CLOCK, column, clock)
                if column == RUN:
                    come, gone = _by_tools(str(place.root), [*ground, *steps])
            table.add(FLOOR, RUN, come)
            table.add(FLOOR, REMOVE, gone)
        host.reset()
    for column, words, limit in (
        (RUN, "run -d, to ip -batch and iptables-restore", 1),
        (REMOVE, "rm -f, to ip link del and the namespace's end", 1.3),
    ):
        ratio = table.median(CLOCK, column) / table.median(FLOOR, column)
        report.target(words, ratio, limit, "times")


def _by_tools(root: str, steps: list[Sequence[Step]]) -> tuple[float, float]:
    """Milliseconds in which the system's tools make the same, and delete link and namespace."""
    with lab() as other, entered(other.netns):
        work = floor.Floor(other, root, steps, False)
        at_rest()
        come = sum(clocked(task) for task in work.tasks.values())
        link = sh("ip -br link show type veth").split("@")[0]
        box = next((other.root / "netns").iterdir())
        at_rest()
        gone = clocked(lambda: sh(f"ip link del {link}; umount -l {box}; rm {box}"))
    return come, gone
