"""Event: something that has become of a container or a network, in Docker's words."""

from __future__ import annotations

from typing import Any

from plumb.frozen import frozen

Document = dict[str, Any]
"""Event in the JSON of Docker's API."""
CONTAINER, NETWORK = "container", "network"


@frozen
class Event:
    """Change of a container, of a network or of the kernel's links that has happened.

    Attributes:
        type: "container" or "network"; action: "create", "start", "die", "connect", …; of what the
            kernel tells "link", "address" or "route", and "add", "del" or "change".
        id: the container's or the network's, the link's name, the address, the destination;
        attributes: names and values besides.
    """

    type: str
    action: str
    id: str
    attributes: tuple[tuple[str, str], ...] = ()

    def document(self, time: int) -> Document:
        """Return it in the JSON of Docker's API.

        Args:
            time: nanoseconds since 1970.
        """
        older = {"status": self.action, "id": self.id} if self.type == CONTAINER else {}
        return {
            **older,
            "Type": self.type,
            "Action": self.action,
            "Actor": {"ID": self.id, "Attributes": dict(sorted(self.attributes))},
            "scope": "local",
            "time": time // 10**9,
            "timeNano": time,
        }
