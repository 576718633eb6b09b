"""Commands that run in a lab: what they print is kept in memory, and can be read while they run.

The host's first process starts them, so that they are children of its own and end with it. pytest
has what names them for good, a pidfd, and two files without a name (memfd_create(2)) for what they
print: there is no pipe that could be full.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from plumb.frozen import frozen
from plumb.pytest_plugin.waiting import Deadline, Hopeless, Waited


@frozen
class Ran:
    """A command that has ended, with subprocess's words.

    Attributes:
        args: the command.
        returncode: its exit status, 128 + N where signal N ended it, as shells say it.
        stdout, stderr: what it printed.
    """

    args: str
    returncode: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return self.stdout


class CommandFailed(AssertionError):
    """A command that must not fail has failed; `ran` is what came of it."""

    def __init__(self, where: str, ran: Ran) -> None:
        said = "".join(
            f"\n{line}" for line in (ran.stderr.strip() or ran.stdout.strip()).splitlines()[-20:]
        )
        super().__init__(f"in {where}: {ran.args}: exit status {ran.returncode}{said}")
        self.ran = ran


def words(command: str | Sequence[str]) -> list[str]:
    """A command word by word: a line of text is for the shell."""
    return ["sh", "-c", command] if isinstance(command, str) else list(command)


def memory(text: str = "") -> int:
    """A file that has no name; with that text, to be read from its beginning."""
    descriptor = os.memfd_create("plumb", os.MFD_CLOEXEC)
    if text:
        os.write(descriptor, text.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


Start = Callable[[list[str], list[int]], tuple[int, int]]
Status = Callable[[int], int | None]


class Command:
    """A command that was started in a lab.

    Attributes:
        args: as it was given; where: in which place.
    """

    def __init__(
        self,
        where: str,
        command: str | Sequence[str],
        start: Start,
        status: Status,
        given: str = "",
    ) -> None:
        self.args = command if isinstance(command, str) else shlex.join(command)
        self.where = where
        self._status = status
        self._returncode: int | None = None
        self._files = [memory(given), memory(), memory()]
        try:
            self._pid, self._process = start(words(command), self._files)
        except BaseException:
            self._close()
            raise

    @property
    def stdout(self) -> str:
        """Standard output up to now."""
        return self._read(1)

    @property
    def stderr(self) -> str:
        """Standard error up to now."""
        return self._read(2)

    def _read(self, number: int) -> str:
        descriptor = self._files[number]
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def poll(self) -> int | None:
        """Exit status, None while the command runs."""
        if self._returncode is None and _ended(self._process, 0):
            self._returncode = self._status(self._pid)
        return self._returncode

    def wait(self, seconds: float = 30.0) -> int:
        """Wait for its end; its exit status.

        Raises:
            Waited: it still runs when the time is over.
        """
        __tracebackhide__ = True
        deadline = Deadline(seconds)
        while self.poll() is None:
            _ended(self._process, deadline.left())
            if deadline.over() and self.poll() is None:
                raise Waited(
                    f"{self.where}: {self.args} did not end within {deadline.seconds:g} s\n"
                    f"{self._said()}"
                )
        assert self._returncode is not None
        return self._returncode

    def wait_output(self, pattern: str, seconds: float = 10.0) -> re.Match[str]:
        """Wait until it has printed something; what matched the pattern.

        Args:
            pattern: a regular expression, searched for in what it has printed and complained of.

        Raises:
            Waited: the time is over.
            Hopeless: it has ended without.
        """
        __tracebackhide__ = True
        deadline = Deadline(seconds)
        while True:
            ended = self.poll()
            match = re.search(pattern, self.stdout) or re.search(pattern, self.stderr)
            if match is not None:
                return match
            if ended is not None:
                raise self.hopeless(f"has not printed {pattern!r}")
            if deadline.over():
                raise Waited(
                    f"{self.where}: {self.args} has not printed {pattern!r}"
                    f" within {deadline.seconds:g} s\n{self._said()}"
                )
            _ended(self._process, deadline.pause())

    def hopeless(self, what: str) -> Hopeless:
        """The error that it has ended, and not done what was waited for."""
        return Hopeless(
            f"{self.where}: {self.args} ended with {self.poll()} and {what}\n{self._said()}"
        )

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; none if it has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def result(self) -> Ran:
        """Result of the command, which has ended."""
        assert self._returncode is not None
        return Ran(self.args, self._returncode, self.stdout, self.stderr)

    def _said(self) -> str:
        return (
            "\n".join(
                line for text in (self.stdout, self.stderr) for line in text.splitlines()[-10:]
            )
            or "it has printed nothing"
        )

    @property
    def descriptors(self) -> set[int]:
        """File descriptors that pytest holds for the command."""
        return {self._process, *self._files} if self._files else set()

    def close(self) -> None:
        """Let go of it and of what it has printed; if it runs it goes on, until the lab ends."""
        if self._files:
            os.close(self._process)
            self._close()

    def _close(self) -> None:
        for descriptor in self._files:
            os.close(descriptor)
        self._files = []


def _ended(process: int, seconds: float) -> bool:
    watched = select.poll()
    watched.register(process, select.POLLIN)
    return bool(watched.poll(max(seconds, 0) * 1000))


def environment(mine: Mapping[str, str], more: Mapping[str, str] | None) -> dict[str, str]:
    """The environment of a command: pytest's, and what was given."""
    return {**mine, **(more or {})}
