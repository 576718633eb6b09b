"""A Python process that answers lines, started by the first and again when it has ended."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import suppress

from plumb import root

ANSWER = 30.0
"""Seconds for an answer: a start on a busy machine, and a few imports."""


class LineProcess:
    """The process; it may end whenever it has nothing to do.

    One thread at a time may ask.

    Args:
        module: of plumb, whose `main` answers each line on the socket that is its standard input.
    """

    def __init__(self, module: str) -> None:
        # It forks once more, so that it is nobody's child who would have to wait for it.
        self._program = (
            "import os,sys; os.fork() and os._exit(0); sys.path += sys.argv[1:]; "
            f"from {module} import main; main()"
        )
        self._socket: socket.socket | None = None

    def ask(self, line: bytes) -> bytes:
        """Send a line, and return the answer's.

        Every request may be repeated: it is, if the process ended meanwhile.

        Raises:
            OSError: it cannot be started, or does not answer.
        """
        if self._socket is not None:
            with suppress(ConnectionError):
                return self._exchange(self._socket, line)
            self._socket.close()
        self._socket = self._start()
        return self._exchange(self._socket, line)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        paths = dict.fromkeys((root.IMPORT_PATH, *filter(None, sys.path)))
        with theirs:
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", self._program, *paths],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
                check=True,
            )
        ours.settimeout(ANSWER)
        return ours

    def _exchange(self, process: socket.socket, line: bytes) -> bytes:
        process.sendall(line)
        with process.makefile("rb") as heard:
            answer = heard.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionResetError("the process ended")
        return answer
