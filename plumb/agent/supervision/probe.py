"""Health check that is under way: a command in a container, its output, its end or timeout."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from plumb.agent.loop import IN, Loop
from plumb.agent.supervision.children import Child, fork
from plumb.model.lifecycle.health import NO_ANSWER, OUTPUT, result

READ = 1 << 16
Done = Callable[[int, dict[str, Any]], None]


class Probe:
    """Check that is under way.

    Args:
        loop: the agent's.
        spec: the command, as `kernel.process.become` takes it.
        timeout: seconds after which it is killed.
        shown: that time in Go's spelling.
        done: is called with its exit code and its line of the log.

    Raises:
        OSError: no process or descriptor is left for it.
    """

    def __init__(
        self, loop: Loop, spec: dict[str, Any], timeout: float, shown: str, done: Done
    ) -> None:
        from plumb.kernel.process.become import become  # its ctypes takes 4 ms

        self._loop, self._shown, self._done = loop, shown, done
        self._output, self._start, self._overdue = bytearray(), time.time(), False
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        try:
            self._child = Child(loop, fork(lambda: become(spec), writer), self._ended)
        except OSError:
            os.close(self._reader)
            raise
        finally:
            os.close(writer)
        loop.watch(self._reader, IN, self._read)
        self._timer = loop.later(timeout, self._time_out)

    def _read(self, events: int) -> None:
        """Read what has come; what exceeds the bound is read too, or the command would block."""
        with suppress(BlockingIOError):
            received = os.read(self._reader, READ)
            self._output += received[: OUTPUT + 1 - len(self._output)]
            if not received:
                self._loop.unwatch(self._reader)

    def _time_out(self) -> None:
        self._overdue = True
        self._child.kill()

    def _ended(self, code: int) -> None:
        self._timer.cancel()
        self._read(IN)
        self._loop.unwatch(self._reader)
        os.close(self._reader)
        output = bytes(self._output)
        if self._overdue:
            code = NO_ANSWER
            said = f"Health check exceeded timeout ({self._shown})"
            output = f"{said}: ".encode() + output if output else said.encode()
        self._done(code, result(self._start, time.time(), code, output))

    def cancel(self) -> None:
        """Kill it; its result is not reported."""
        self._done = lambda code, line: None
        self._child.kill()
