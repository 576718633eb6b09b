"""none: a network stack with nobody else in it.

The sandbox has its own namespace with only `lo` in it: 127.0.0.1 and ::1 work, and there is no way
out. What is said in `drivers/sandbox.py` about every sandbox is all that there is to say.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.model.cnm import Network
from plumb.model.settings import Settings
from plumb.things import Thing


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """Nothing."""
    yield from ()
