"""What several writers make of the same steps, each in a namespace of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.writer import Writer
from plumb.plan import Step

T = TypeVar("T")


def by_each(
    makers: Sequence[Writer], steps: Sequence[Step], folder: Path, read: Callable[[], T]
) -> list[T]:
    """What is read in the namespace of each writer after it has taken the steps."""
    found = []
    for number, maker in enumerate(makers):
        place = f"{folder}/{number}"
        namespaces.make(place)
        try:
            with entered(place):
                maker.take(steps, [])
                found.append(read())
        finally:
            namespaces.drop(place)
    return found
