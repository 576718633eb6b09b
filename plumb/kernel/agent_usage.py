"""File descriptors of an agent: what its clients have, and which bounds they have met.

The agent's side, with what the bounds are for, is `plumb.agent.shares`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from plumb.frozen import frozen

RECENT = 60.0
"""Seconds for which a bound counts as being met now."""


@frozen
class PartyUsage:
    """Clients of a published port, or of the DNS of a sandbox.

    Attributes:
        name: protocol, address and number of the port; or the sandbox's namespace file alone.
        used, bound: descriptors that they have, and may have.
        peer, peer_used: the peer that has the most: an address, or an IPv6 /64; "" for none.
        refused: clients that found no room; closed: those that gave way to others.
        hits: how often that was for the bound of a peer, of the party, of all parties.
        seconds: since the last time; None if it never was.
    """

    name: tuple[str | int, ...]
    used: int = 0
    bound: int = 0
    peer: str = ""
    peer_used: int = 0
    refused: int = 0
    closed: int = 0
    hits: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def pressed(self) -> bool:
        """True if a bound has just been met."""
        return self.seconds is not None and self.seconds < RECENT


@frozen
class Usage:
    """Descriptors of an agent.

    Attributes:
        limit: those that it may have; promised: of held ports and DNS servers.
        capacity, used: for clients of proxied ports, and what they have.
        names_capacity, names_used: the same of the embedded DNS.
        parties: those with clients, or that have met a bound.
    """

    limit: int
    promised: int
    capacity: int
    used: int
    names_capacity: int
    names_used: int
    parties: tuple[PartyUsage, ...]


def parsed(answer: Mapping[str, Any]) -> Usage:
    """Read an agent's answer to `usage`.

    Raises:
        KeyError: it is another version's.
    """
    proxies, names = answer["proxies"], answer["names"]
    return Usage(
        answer["limit"],
        answer["promised"],
        proxies["capacity"],
        proxies["used"],
        names["capacity"],
        names["used"],
        tuple(_party(**row) for row in (*proxies["parties"], *names["parties"])),
    )


def _party(*, name: list[str | int], greatest: list[Any], **row: Any) -> PartyUsage:
    peer, used = greatest or ("", 0)
    return PartyUsage(name=tuple(name), peer=peer, peer_used=used, **row)
