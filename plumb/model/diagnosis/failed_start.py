"""Containers that their engines could not start."""

from __future__ import annotations

from plumb.frozen import frozen


@frozen
class FailedStart:
    """A container that its engine could not start.

    Attributes:
        name, engine: as of a container that runs.
        error: the engine's words.
        ports: protocols and ports of the host that it publishes, those of its choice.
    """

    name: str
    engine: str
    error: str
    ports: tuple[tuple[str, int], ...] = ()
