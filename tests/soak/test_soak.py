"""A small part of the soak, so that it works when it is needed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import count

import pytest

from plumb.kernel.netns import namespaces
from tests.labs import Lab, sh
from tests.sampling import share
from tests.soak import cycles, kills

Cycle = Callable[[], None]
Maker = Callable[[], AbstractContextManager[tuple[Lab, Cycle]]]
BUSY = 2.0
"""Growth of a cycle's time that a machine with other tests may feign."""


@pytest.mark.slow
@pytest.mark.parametrize(("made", "most"), [(cycles.by_library, 200), (cycles.by_command, 100)])
def test_nothing_grows(made: Maker, most: int) -> None:
    """Sizes of processes, store and host stay as they are while containers come and go."""
    with made() as (place, cycle):
        parts = list(cycles.run(place, cycle, share(most)))
    assert cycles.grown(parts, BUSY) == []


def leaks(place: Lab, stack: ExitStack) -> Iterator[tuple[str, Cycle]]:
    """Cycles that leave something, and what has grown then.

    Args:
        stack: takes it away again.
    """
    held, number, turn = [], count(1), count(1)

    def descriptor() -> None:
        opened = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, opened)

    def memory() -> None:
        held.append(os.urandom(2 << 20))

    def file() -> None:
        path = place.root / f"left{next(number)}"
        path.write_text("")
        stack.callback(path.unlink)

    def namespace() -> None:
        path = str(place.root / "netns" / f"left{next(number)}")
        namespaces.make(path)
        stack.callback(namespaces.drop, path)

    def link() -> None:
        name = f"left{next(number)}"
        sh(f"ip link add {name} type bridge")
        stack.callback(sh, f"ip link del {name}")

    def rule() -> None:
        words = f"FORWARD -s 10.99.0.{next(number)} -j DROP"
        sh(f"iptables -A {words}")
        stack.callback(sh, f"iptables -D {words}")

    def work() -> None:
        until = time.thread_time() + 0.02 * next(turn)
        while time.thread_time() < until:
            pass

    yield "descriptors", descriptor
    yield "memory", memory
    yield "files", file
    yield "namespaces", namespace
    yield "mounts", namespace
    yield "links", link
    yield "rules", rule
    yield "a cycle", work


@pytest.mark.slow
def test_what_is_left_is_found() -> None:
    """Cycles that leave one thing each, or take longer each, are told by what they leave."""
    with cycles.by_library() as (place, _), ExitStack() as stack:
        for name, leak in leaks(place, stack):
            grown = cycles.grown(list(cycles.run(place, leak, 10)))
            assert name in {line.partition(":")[0] for line in grown}, (name, grown)


@pytest.mark.slow
def test_kills_can_be_made_good() -> None:
    """Whatever is killed in the middle of whatever."""
    killed = kills.run(share(100))
    assert sum(killed.values()) >= share(100) // 2
    assert killed[kills.AGENT] + killed[kills.WARM] > 0
