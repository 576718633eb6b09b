"""rtnetlink: links, addresses and routes as pyroute2's message objects, many in one send.

What is written is built of pyroute2's message classes, by attribute name; how it is sent and
acknowledged is connection.py's. What is read often and in a hurry (an inventory for a trace, a
snapshot before and after each test) does not come through here: see docs/adr/0001.

pyroute2's package imports all it has when any part of it is imported: 110 ms, of which the three
message classes that are needed here take 25. They are imported with the package's own `__init__`
left out; whoever imports pyroute2 later gets the whole of it, and the same classes.
"""

from __future__ import annotations

import errno
import importlib.util
import sys
import types
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from plumb.kernel.netlink import codec
from plumb.kernel.netlink.codec import NetlinkAck, Request
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE, NLMSGHDR


def _message_classes() -> tuple[Any, Any, Any]:
    whole = sys.modules.get("pyroute2")
    if whole is None:
        found = importlib.util.find_spec("pyroute2")
        assert found is not None
        assert found.submodule_search_locations is not None
        sys.modules["pyroute2"] = bare = types.ModuleType("pyroute2")
        bare.__path__ = list(found.submodule_search_locations)
    try:
        from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
        from pyroute2.netlink.rtnl.ifinfmsg import data_plugins, ifinfmsg
        from pyroute2.netlink.rtnl.rtmsg import rtmsg
    finally:
        if whole is None:
            del sys.modules["pyroute2"]
    # pyroute2 knows an ipvlan link's mode, and not its flags.
    ipvlan = data_plugins["ipvlan"]
    ipvlan.nla_map = (*ipvlan.nla_map[:2], ("IFLA_IPVLAN_FLAGS", "uint16"))
    return ifinfmsg, ifaddrmsg, rtmsg


ifinfmsg, ifaddrmsg, rtmsg = _message_classes()

NOT_THERE = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.ENETUNREACH})
"""How the kernel says that there is no such object."""


class Message(NamedTuple):
    """A request: its type, its flags besides NLM_F_REQUEST and NLM_F_ACK, and its body.

    The body is a message object, or the bytes behind the header.
    """

    kind: int
    flags: int
    body: Any


class RouteSocket:
    """A NETLINK_ROUTE connection of the namespace that the calling thread is in when it is made."""

    def __init__(self) -> None:
        self._connection = Connection(NETLINK_ROUTE, strict=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, messages: Sequence[Message]) -> list[NetlinkAck]:
        """Send requests that change something; the acknowledgement of each, in the same order."""
        return self._connection.send(
            [Request(kind, flags, encoded(body)) for kind, flags, body in messages]
        )

    def get(self, kind: int, body: Any) -> Any | None:
        """The message that answers a GET, decoded; None where the kernel knows of none.

        Raises:
            OSError: the kernel refused, other than by saying that there is no such object.
        """
        try:
            return _decoded(body, kind, self._connection.get(kind, encoded(body)))
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise

    def dump(self, kind: int, body: Any) -> list[Any]:
        """The messages that answer a dump, decoded; none where there is no such table or link.

        Raises:
            OSError: the kernel refused, other than by saying that there is no such object.
        """
        try:
            found = self._connection.dump(kind, encoded(body))
        except OSError as error:
            if error.errno in NOT_THERE:
                return []
            raise
        return [_decoded(body, kind, payload) for payload in found]


def encoded(body: Any) -> bytes:
    """Encode a message object; the bytes behind its header."""
    if isinstance(body, bytes):
        return body
    body.encode()
    return bytes(body.data[NLMSGHDR.size :])


def _decoded(asked: Any, kind: int, payload: bytes) -> Any:
    """A message object of the class of what was asked."""
    found = type(asked)(codec.message(kind, 0, 0, payload))
    found.decode()
    return found
