"""Where the lab hosts' files lie while something is measured.

A disk has a weather of its own: the same thousand small files take 0.1 s or 3 s, whatever is
measured. So the benches keep their labs in memory, and bulk work is measured on the disk besides.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

MEMORY = "/dev/shm"
DISK = tempfile.gettempdir()


@contextmanager
def beneath(folder: str) -> Iterator[None]:
    """Labs that are made in the with block lie there, if that folder is there."""
    before = tempfile.tempdir
    tempfile.tempdir = folder if os.path.isdir(folder) else before
    try:
        yield
    finally:
        tempfile.tempdir = before
