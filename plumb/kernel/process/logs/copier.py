"""Copier of a command's output and errors, line by line, to what keeps them.

The standard library only: the shim imports it.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import select
import time

TYPE_CHECKING = False  # as typing's, which takes 3 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    class Keeper(Protocol):
        """Receiver of lines: a file, or a log server."""

        def keep(self, stream: str, lines: list[bytes], now: int) -> None:
            """Keep lines of a stream that were read at a time, nanoseconds since 1970."""

        def close(self) -> None:
            """Return when the lines are kept, or will not be."""


LONGEST = 16 << 10
"""Bytes of a line; Docker divides longer ones."""


def keepers(spec: dict[str, Any]) -> list[Keeper]:
    """Make what keeps a command's output.

    Args:
        spec: `path`, `size`, `files` (as of `BoundedFile`), `driver`, and `server` (as of
            `log_drivers.server`; empty: the driver has none).
    """
    from plumb.kernel.process.logs.json_file import JsonFile

    server = spec["server"]
    made: list[Keeper] = [_log_server(spec["driver"], server)] if server else []
    kept = bool(server["cached"]) if server else spec["driver"] != "none"
    return [*made, JsonFile(spec["path"], spec["size"], spec["files"])] if kept else made


def _log_server(driver: str, options: dict[str, str]) -> Keeper:
    from plumb.kernel.process.logs.fluentd import Fluentd
    from plumb.kernel.process.logs.log_server import LogServer
    from plumb.kernel.process.logs.syslog import Syslog

    encoder = Syslog(options) if driver == "syslog" else Fluentd(options)
    return LogServer(options, encoder.encode, int(options["buffer"]))


class Copier:
    """Thread that copies a command's output until its end.

    Where nothing can be written, as on a full disk, output is dropped, and the command goes on.

    Args:
        sources: pipes, by the name of the stream that each is.
        keepers: where lines go.
    """

    def __init__(self, sources: dict[str, int], keepers: Iterable[Keeper]) -> None:
        self._lines = {source: (stream, Lines()) for stream, source in sources.items()}
        self._keepers = keepers
        self.copied = _thread.allocate_lock()
        """Locked as long as output is copied."""
        self.copied.acquire()
        _thread.start_new_thread(self._copy, ())

    def _copy(self) -> None:
        poll = select.poll()
        for source in self._lines:
            poll.register(source, select.POLLIN)
        try:
            while self._lines:
                for source, _ in poll.poll():
                    output = os.read(source, 1 << 16)
                    stream, lines = self._lines[source]
                    self._keep(stream, lines.split(output) if output else lines.rest())
                    if not output:
                        poll.unregister(source)
                        del self._lines[source]
            for keeper in self._keepers:
                with contextlib.suppress(Exception):
                    keeper.close()
        finally:
            self.copied.release()

    def _keep(self, stream: str, lines: list[bytes]) -> None:
        now = time.time_ns()
        for keeper in self._keepers if lines else ():
            with contextlib.suppress(Exception):  # whatever it is, the pipe is emptied
                keeper.keep(stream, lines, now)


class Lines:
    """Splitter of a stream into lines, each with its newline; long ones have several parts."""

    def __init__(self) -> None:
        self._rest = b""

    def split(self, output: bytes) -> list[bytes]:
        """Return the lines that are complete with this output, and the parts of long ones."""
        *whole, rest = (self._rest + output).split(b"\n")
        complete = len(rest) // LONGEST * LONGEST
        self._rest = rest[complete:]
        found = [part for line in whole for part in _parts(line + b"\n")]
        return found + _parts(rest[:complete])

    def rest(self) -> list[bytes]:
        """Return the last line, if the stream has ended without a newline."""
        return [self._rest] if self._rest else []


def _parts(line: bytes) -> list[bytes]:
    return [line[start : start + LONGEST] for start in range(0, len(line), LONGEST)]
