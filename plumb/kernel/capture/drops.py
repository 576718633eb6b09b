"""Drops of a flow's packets by the kernel, with its reason and its function.

The kernel's drop monitor reports them with their bytes (`drop_monitor`). Where there is none, plumb
reads the trace point of freed buffers (`kfree_skb`), and takes the bytes from the frames that the
taps have captured. Both report drops of the whole machine, not of one namespace. Where neither is
available (a container, a user namespace) there are no drops, and `missing` says so.

To start and to stop costs more than a trace does, some 50 ms: so it is for the second attempt,
after the packet of the first has not arrived.
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
    """The kernel's drops, recorded for the length of a with block.

    Args:
        flow: the flow whose packets are reported.
        places: the namespaces that they pass.
        memory: the folder for notes of the settings to restore should the process be killed
        (Layout.run).

    Attributes:
        source: "drop_monitor", "tracefs", or empty for none.
        missing: why there is no source.
    """

    def __init__(self, flow: Flow, places: Sequence[Netns], *, memory: str) -> None:
        sweep(memory)
        self.source = self.missing = ""
        self._monitor: DropMonitor | None = None
        self._events: BufferEvents | None = None
        self._stack = ExitStack()
        refusals = []
        try:
            self._monitor = self._stack.enter_context(DropMonitor(flow, places, memory))
            self.source = "drop_monitor"
            return
        except (OSError, KernelRefused) as error:
            refusals.append(f"drop_monitor: {error}")
        try:
            self._events = self._stack.enter_context(BufferEvents(flow, places, memory))
            self.source = "tracefs"
        except (OSError, KernelRefused) as error:
            refusals.append(f"tracefs: {error}")
            self.missing = f"what the kernel dropped is not told ({'; '.join(refusals)})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, frames: Collection[CapturedFrame]) -> list[KernelDrop]:
        """Read the source, and return all drops so far in order of time.

        Args:
            frames: frames that the taps have captured meanwhile.
        """
        if self._monitor:
            return self._monitor.read(frames)
        return self._events.read(frames) if self._events else []
