"""genetlink: families that have no protocol number of their own (linux/genetlink.h).

A family is asked for by its name, for which the kernel loads its module, and has a number and
multicast groups in this kernel until the next start. Its messages begin with a command.
"""

from __future__ import annotations

from typing import Self

from plumb.kernel.netlink.codec import array, attribute, attributes, number, text
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_genetlink import (
    CTRL_ATTR_FAMILY_ID,
    CTRL_ATTR_FAMILY_NAME,
    CTRL_ATTR_MCAST_GROUPS,
    CTRL_ATTR_MCAST_GRP_ID,
    CTRL_ATTR_MCAST_GRP_NAME,
    CTRL_CMD_GETFAMILY,
    GENL_ID_CTRL,
    GENLMSGHDR,
)
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_GENERIC


class GenericFamily:
    """A family of generic netlink, spoken to in the namespace where this is made.

    Args:
        name: "NET_DM", "IPVS", …
        version: of the family's commands.

    Attributes:
        id: its number, the type of its messages.
        groups: its multicast groups' numbers, by name.

    Raises:
        OSError: ENOENT, the kernel has no such family here.
    """

    def __init__(self, name: str, version: int = 1) -> None:
        self._version = version
        self._connection = Connection(NETLINK_GENERIC)
        try:
            body = GENLMSGHDR.pack(CTRL_CMD_GETFAMILY, 1) + attribute(CTRL_ATTR_FAMILY_NAME, name)
            answer = self._connection.get(GENL_ID_CTRL, body)
        except OSError:
            self.close()
            raise
        found = attributes(answer, GENLMSGHDR.size)
        self.id = number(found[CTRL_ATTR_FAMILY_ID])
        self.groups = dict(map(_group, array(found.get(CTRL_ATTR_MCAST_GROUPS, b""))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the socket, and so of the namespace."""
        self._connection.close()

    def get(self, command: int, body: bytes = b"") -> dict[int, bytes]:
        """Send a command that has one answer; the answer's attributes.

        Args:
            command: its number; body: its attributes.

        Raises:
            OSError: the kernel refused.
        """
        head = GENLMSGHDR.pack(command, self._version)
        return attributes(self._connection.get(self.id, head + body), GENLMSGHDR.size)

    def dump(self, command: int, body: bytes = b"") -> list[dict[int, bytes]]:
        """Send a command that lists objects; the attributes of each.

        Args:
            command: its number; body: its attributes.

        Raises:
            OSError: the kernel refused.
        """
        head = GENLMSGHDR.pack(command, self._version)
        found = self._connection.dump(self.id, head + body)
        return [attributes(each, GENLMSGHDR.size) for each in found]

    def change(self, command: int, body: bytes = b"") -> None:
        """Send a command that changes something.

        Args:
            command: its number; body: its attributes.

        Raises:
            OSError: the kernel refused.
        """
        self._connection.change(self.id, 0, GENLMSGHDR.pack(command, self._version) + body)


def _group(data: bytes) -> tuple[str, int]:
    found = attributes(data)
    return text(found[CTRL_ATTR_MCAST_GRP_NAME]), number(found[CTRL_ATTR_MCAST_GRP_ID])
