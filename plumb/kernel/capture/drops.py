"""Drops: the packets of a flow that the kernel let go of before their time, with its reason and its function.

Where the kernel has a drop monitor (drop_monitor.py) it tells them with their bytes; else its trace
points are read (buffer_events.py), which need to be put together with what the taps saw. Both are
the whole machine's, not one namespace's. Where neither is to be had (a container, a user namespace)
there are none, and `missing` says so.

To begin and to end costs more than a trace does, some 50 ms: it is for the question that is asked
once more, after it has not arrived.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from typing import Self

from plumb.errors import KernelRefused
from plumb.kernel.capture.drop_monitor import DropMonitor
from plumb.kernel.capture.kfree_skb import BufferEvents
from plumb.kernel.capture.undo import sweep
from plumb.model.observations import CapturedFrame, Flow, KernelDrop, Netns


class Drops:
    """The kernel's drops, watched for the length of a with block.

    Args:
        flow: whose packets.
        places: where they pass.
        memory: the folder where is noted what must be put back should the process be killed
        (Layout.run).

    Attributes:
        source: "drop_monitor", "tracefs", or empty for none.
        missing: why there is none.
    """

    def __init__(self, flow: Flow, places: Sequence[Netns], *, memory: str) -> None:
        sweep(memory)
        self.source = self.missing = ""
        self._monitor: DropMonitor | None = None
        self._events: BufferEvents | None = None
        self._stack = ExitStack()
        said = []
        try:
            self._monitor = self._stack.enter_context(DropMonitor(flow, places, memory))
            self.source = "drop_monitor"
            return
        except (OSError, KernelRefused) as error:
            said.append(f"drop_monitor: {error}")
        try:
            self._events = self._stack.enter_context(BufferEvents(flow, places, memory))
            self.source = "tracefs"
        except (OSError, KernelRefused) as error:
            said.append(f"tracefs: {error}")
            self.missing = f"what the kernel dropped is not told ({'; '.join(said)})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, seen: Collection[CapturedFrame]) -> list[KernelDrop]:
        """All drops so far, in order of time.

        Args:
            seen: what the taps saw meanwhile.
        """
        if self._monitor:
            return self._monitor.read(seen)
        return self._events.read(seen) if self._events else []
