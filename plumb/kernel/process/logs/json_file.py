r"""Lines of a log in the form of Docker's json-file driver.

    {"log":"a line\n","stream":"stdout","time":"2026-01-31T12:00:00.123456789Z"}

A line that is longer than 16 KiB has several, of which only the last ends with a newline. Bytes
that are no UTF-8 are lone surrogates: other readers see U+FFFD there, as Docker writes it.

The standard library only: the shim imports it.
"""

from __future__ import annotations

import json
import time
from json.encoder import encode_basestring

from plumb.kernel.process.logs.bounded_file import BoundedFile

STREAMS = ("stdout", "stderr")


class JsonFile:
    """Log of a command in files of such lines.

    Args:
        path, size, files: as of `BoundedFile`.
    """

    def __init__(self, path: str, size: int, files: int) -> None:
        self._file = BoundedFile(path, size, files)

    def keep(self, stream: str, lines: list[bytes], now: int) -> None:
        """Append lines.

        Args:
            now: nanoseconds since 1970 at which they were read.

        Raises:
            OSError: they cannot be written.
        """
        self._file.append(encode(stream, lines, now))

    def close(self) -> None:
        """Have nothing to wait for: each line is in its file."""


def encode(stream: str, lines: list[bytes], now: int) -> list[bytes]:
    """Encode lines that were read at once.

    Args:
        stream: one of STREAMS.
        now: nanoseconds since 1970.
    """
    after = f',"stream":"{stream}","time":"{rfc3339(now)}"}}\n'
    return [
        f'{{"log":{encode_basestring(line.decode(errors="surrogateescape"))}{after}'.encode(
            errors="backslashreplace"
        )
        for line in lines
    ]


def decode(line: bytes) -> tuple[str, str, bytes]:
    """Decode a line into its time, its stream and its text.

    A line in another form is an older plumb's, which kept output as it came: its time is empty.
    """
    if line.startswith(b'{"log":'):
        try:
            found = json.loads(line)
            text = found["log"].encode(errors="surrogateescape")
            if found["stream"] in STREAMS:
                return padded(found["time"]), found["stream"], text
        except (ValueError, KeyError, AttributeError):
            pass
    return "", "stdout", line


def rfc3339(nanoseconds: int) -> str:
    """Spell a time, nanoseconds since 1970, as Go does: without zeros at its end."""
    seconds, rest = divmod(nanoseconds, 10**9)
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{fraction}Z"


def padded(moment: str) -> str:
    """Pad a time in UTC to nine digits behind the point, so that the later of two is the greater.

    Docker prints times in this form too.
    """
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}Z"
