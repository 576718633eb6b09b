"""Documents that other programs have written: JSON files with a largest size."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from plumb.kernel.foreign import files_inside

LONGEST = 4 << 20
MANY = 2000
"""Files of a folder that are read at most."""


def read(folder: str, name: str) -> Any:
    """Parse a JSON file in a folder; None where it cannot be read or parsed.

    No symbolic link leads out of the folder.
    """
    text = files_inside.read(folder, name, LONGEST)
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def names(folder: str) -> Iterator[str]:
    """Names in a folder, in order; none where it cannot be read."""
    with suppress(OSError):
        yield from sorted(os.listdir(folder))[:MANY]


def age(path: str) -> float:
    """Seconds since a file was written; 0 if it is not there."""
    with suppress(OSError):
        return max(time.time() - os.stat(path).st_mtime, 0.0)
    return 0.0


def has_link(name: str) -> bool:
    """Test for a link of that name in the calling thread's namespace."""
    with suppress(OSError):
        return socket.if_nametoindex(name) > 0
    return False
