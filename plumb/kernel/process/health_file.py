"""File of a container's health in its folder, which the agent writes when the status changes.

So an agent that is started in place of a killed one knows as much as that, and a stopped container
has its last results.
"""

from __future__ import annotations

import json
import os
from typing import Any

NAME = "health"


def read(folder: str) -> dict[str, Any] | None:
    """Read the file: Docker's fields, the number of the start, and its time (epoch, seconds).

    Returns:
        None where there is none that can be read.
    """
    try:
        with open(f"{folder}/{NAME}", encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    known = isinstance(found, dict) and {"Status", "FailingStreak", "Log", "Began"} <= found.keys()
    return found if known else None


def write(folder: str, state: dict[str, Any]) -> None:
    """Write the file; it has its full text, or that of before.

    Raises:
        OSError: the folder is gone, or its disk is full.
    """
    path = f"{folder}/{NAME}"
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.rename(f"{path}.new", path)
