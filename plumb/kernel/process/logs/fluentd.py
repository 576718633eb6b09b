"""Messages of Fluentd's forward protocol, as Docker's fluentd driver makes them, in MessagePack.

A message is [tag, time, record]; the record tells the container's id and name, the stream and the
text. The standard library only: the shim imports it.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # as typing's, which takes 3 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_TIME = b"\xd7\x00"
"""Head of Fluentd's EventTime, ext type 0 of 8 bytes: seconds and nanoseconds."""


class Fluentd:
    """Encoder of messages.

    Args:
        options: as of `log_drivers.server`.
    """

    def __init__(self, options: dict[str, str]) -> None:
        self._tag, self._precise = packed(options["tag"]), bool(options["precise"])
        self._container = {"container_id": options["id"], "container_name": options["name"]}

    def encode(self, stream: str, line: bytes, now: int) -> bytes:
        """Encode a line that was read at a time, nanoseconds since 1970."""
        record: dict[str, str | bytes] = {
            **self._container,
            "source": stream,
            "log": line.removesuffix(b"\n"),
        }
        if not line.endswith(b"\n"):
            record["partial_message"] = "true"
        return b"\x93" + self._tag + self._time(now) + packed_map(record)

    def _time(self, now: int) -> bytes:
        seconds, rest = divmod(now, 10**9)
        if self._precise:
            return EVENT_TIME + struct.pack(">II", seconds & 0xFFFFFFFF, rest)
        return b"\xcf" + struct.pack(">Q", seconds)


def packed_map(record: Mapping[str, str | bytes]) -> bytes:
    """Pack a map of up to fifteen texts."""
    pairs = b"".join(packed(key) + packed(value) for key, value in record.items())
    return bytes([0x80 | len(record)]) + pairs


def packed(text: str | bytes) -> bytes:
    """Pack a text; as in Docker, its bytes need not be UTF-8."""
    data = text.encode() if isinstance(text, str) else text
    length = len(data)
    if length < 1 << 5:
        return bytes([0xA0 | length]) + data
    if length < 1 << 8:
        return b"\xd9" + bytes([length]) + data
    if length < 1 << 16:
        return b"\xda" + struct.pack(">H", length) + data
    return b"\xdb" + struct.pack(">I", length) + data
