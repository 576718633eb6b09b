"""Files of a command's output, as the shim keeps them."""

from __future__ import annotations


def read(folder: str, files: int) -> bytes:
    """Read all that is kept of a command's output, the oldest first.

    Args:
        folder: the container's.
        files: how many there are at most, as `Sandbox.log_files`.
    """
    names = [f"{folder}/log.{number}" for number in range(files - 1, 0, -1)]
    return b"".join(map(_read, [*names, f"{folder}/log"]))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
