"""Signals as Docker's flags name them: KILL, SIGKILL, kill, 9."""

from __future__ import annotations

import signal

from plumb.errors import Invalid


def number(text: str) -> int:
    """Parse a signal's name or number.

    Raises:
        Invalid: there is no such signal.
    """
    name = text.upper()
    if name.isdecimal() and int(name) in signal.valid_signals():
        return int(name)
    found = getattr(signal, name if name.startswith("SIG") else f"SIG{name}", None)
    if not isinstance(found, signal.Signals):
        raise Invalid(f"invalid signal: {text}", "as KILL, SIGTERM, 9")
    return int(found)
