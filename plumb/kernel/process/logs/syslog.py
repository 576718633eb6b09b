"""Messages of the syslog protocol, as Docker's syslog driver makes them.

    <30>Jan 31 12:00:00 0123456789ab[1234]: a line                          without a format
    <30>Jan 31 12:00:00 host 0123456789ab[1234]: a line                     rfc3164
    <30>1 2026-01-31T12:00:00Z host 0123456789ab 1234 0123456789ab - a line rfc5424

Output has the severity info, errors have err. The standard library only: the shim imports it.
"""

from __future__ import annotations

import os
import socket
import time

LOG_ERR, LOG_INFO = 3, 6
SEVERITIES = {"stdout": LOG_INFO, "stderr": LOG_ERR}


class Syslog:
    """Encoder of messages.

    Args:
        options: as of `log_drivers.server`.
    """

    def __init__(self, options: dict[str, str]) -> None:
        self._tag, self._format = options["tag"], options["format"]
        self._facility = int(options["facility"])
        self._host, self._pid = socket.gethostname(), os.getpid()

    def encode(self, stream: str, line: bytes, now: int) -> bytes:
        """Encode a line that was read at a time, nanoseconds since 1970; it ends with a newline."""
        priority = f"<{self._facility << 3 | SEVERITIES[stream]}>"
        return (priority + self._header(now)).encode() + line.removesuffix(b"\n") + b"\n"

    def _header(self, now: int) -> str:
        local = time.localtime(now // 10**9)
        sender = f"{self._tag}[{self._pid}]: "
        match self._format:
            case "":
                return f"{_stamp(local)} {sender}"
            case "rfc3164":
                return f"{_stamp(local)} {self._host} {sender}"
            case _:
                micro = f".{now // 1000 % 10**6:06}" if self._format == "rfc5424micro" else ""
                at = time.strftime("%Y-%m-%dT%H:%M:%S", local) + micro + _zone(local)
                return f"1 {at} {self._host} {self._tag} {self._pid} {self._tag} - "


def _stamp(local: time.struct_time) -> str:
    return time.strftime(f"%b {local.tm_mday:2} %H:%M:%S", local)


def _zone(local: time.struct_time) -> str:
    offset = time.strftime("%z", local)
    return f"{offset[:3]}:{offset[3:]}" if local.tm_gmtoff else "Z"
