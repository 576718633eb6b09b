"""The loop: who has something is called, nobody is called for ever, and one who fails fails
alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from plumb.agent.loop import IN, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that lets failures through."""
    with closing(Loop()) as made:
        yield made


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A reading and a writing end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_who_has_something_is_called(loop: Loop, pipe: tuple[int, int]) -> None:
    """With the events, again and again as long as something is there, and no more once it is not
    watched.
    """
    seen: list[int] = []
    loop.watch(pipe[0], IN, seen.append)
    os.write(pipe[1], b"x")
    loop.turn()
    loop.turn()
    loop.unwatch(pipe[0])
    loop.soon(lambda: None)
    loop.turn()
    assert seen == [IN, IN]


def test_moments_come_in_their_order(loop: Loop) -> None:
    """What was asked for later but is due sooner comes first; what was cancelled does not come."""
    seen: list[str] = []
    loop.later(0.02, lambda: seen.append("second"))
    loop.later(0.01, lambda: seen.append("first"))
    loop.later(0.015, lambda: seen.append("never")).cancel()
    loop.later(0.03, loop.end)
    loop.run()
    assert seen == ["first", "second"]


def test_who_has_more_to_do_comes_after_the_others(loop: Loop, pipe: tuple[int, int]) -> None:
    """Work that asks for another turn gets it when descriptors have been served."""
    seen: list[str] = []

    def work() -> None:
        seen.append("work")
        if len(seen) < 5:
            loop.soon(work)

    loop.watch(pipe[0], IN, lambda events: seen.append("event"))
    os.write(pipe[1], b"x")
    loop.soon(work)
    loop.turn()
    loop.turn()
    assert seen == ["event", "work", "event", "work"]


def test_a_listener_that_rests_is_served_again(loop: Loop, pipe: tuple[int, int]) -> None:
    """Meanwhile nobody is called, and the loop waits instead of spinning."""
    seen: list[int] = []
    loop.watch(pipe[0], IN, seen.append)
    os.write(pipe[1], b"x")
    loop.rest(pipe[0], 0.05)
    loop.turn()  # waits until the rest is over
    assert seen == []
    loop.turn()
    assert seen == [IN]


def test_who_fails_fails_alone(pipe: tuple[int, int]) -> None:
    """An error ends the watching of its descriptor; it is told, and the loop goes on."""
    failures: list[Exception] = []

    def fail(events: int = 0) -> None:
        raise IndexError

    with closing(Loop(on_failure=failures.append)) as loop:
        loop.watch(pipe[0], IN, fail)
        loop.later(0, fail)
        os.write(pipe[1], b"x")
        loop.later(0.05, loop.end)
        loop.run()
    assert [type(failure) for failure in failures] == [IndexError, IndexError]
