"""The legacy tables' trace: for a marked packet x_tables logs each rule that it meets, "TRACE.

Filter:FORWARD:rule:3 ".

Such lines go to the logger that is bound to the packet's family in its namespace. By default there
is none, or the kernel's own log, which is silent about namespaces other than the first. Here
nfnetlink_log is bound instead, which sends the lines, with the packet and its links, to the one
socket that has bound the group 0 of that namespace. No kernel log is read, no sysctl is set; but
the binding stays when the socket goes, so what was bound before is put back (loggers.py).

A line tells which rule, not what it did: "rule" is a rule that matched and was acted upon, "return"
the end of a chain that was jumped to, "policy" the end of a built-in chain; numbers count from 1,
as `iptables -L --line-numbers` does, and a chain's end has the number behind its last rule. A rule
that has no conditions and accepts, drops or returns is told as if it were the chain's end, as
"policy" or "return", but with its own number. Tables that nobody has used yet do not exist in a
namespace, and say nothing. POSTROUTING of nat is logged before the source is rewritten.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from plumb.kernel.netlink.codec import attribute, attributes
from plumb.kernel.netlink.nfnetlink import LOG, NfMessage, message
from plumb.model.observations import Netns, RuleHit, RuleKind

# linux/netfilter/nfnetlink_log.h; the numbers are the kernel's ABI.
PACKET, CONFIG = 0, 1
COMMAND, MODE, THRESHOLD = 1, 2, 5
BIND, UNBIND, BIND_FAMILY = 1, 2, 3
COPY_PACKET, WHOLE = 2, 0xFFFF
INDEV, OUTDEV, PAYLOAD, PREFIX = 4, 5, 9, 10
GROUP = 0
MARK = "TRACE: "
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
EXISTING = {4: "/proc/thread-self/net/ip_tables_names", 6: "/proc/thread-self/net/ip6_tables_names"}


def tables(version: int) -> list[str]:
    """The legacy tables that exist in the calling thread's namespace; reading makes none."""
    try:
        with open(EXISTING[version], encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


def listening() -> list[bytes]:
    """The requests that bind the group: each packet is told at once, whole."""
    body = (
        attribute(COMMAND, bytes([BIND])),
        attribute(MODE, struct.pack(">IBx", WHOLE, COPY_PACKET))
        + attribute(THRESHOLD, struct.pack(">I", 1)),
    )
    return [message(LOG, CONFIG, 0, each, resource=GROUP) for each in body]


def unbound() -> bytes:
    """The request that lets go of the group, for the next who listens."""
    return message(LOG, CONFIG, 0, attribute(COMMAND, bytes([UNBIND])), resource=GROUP)


def bound(version: int) -> bytes:
    """The request that makes nfnetlink_log the logger of a family in this namespace."""
    return message(
        LOG, CONFIG, FAMILIES[version], attribute(COMMAND, bytes([BIND_FAMILY])), resource=GROUP
    )


def decoded(
    heard: NfMessage, time: int, place: Netns, link: Callable[[int], str]
) -> RuleHit | None:
    """A message as a record; None where it is no trace, but somebody's rule with the target LOG.

    Args:
        heard: the message, of kind PACKET.
        time: when it was read, in nanoseconds since the epoch.
        place: where it was heard.
        link: names a link of that namespace by its index.
    """
    found = attributes(heard.body)
    prefix = found.get(PREFIX, b"").rstrip(b"\0").decode(errors="replace")
    if not prefix.startswith(MARK):
        return None
    table, _, rest = prefix.removeprefix(MARK).rstrip().partition(":")
    chain, kind, number = rest.rsplit(":", 2)
    return RuleHit(
        time=time,
        place=place,
        backend="legacy",
        family="ip" if heard.family == socket.AF_INET else "ip6",
        table=table,
        chain=chain,
        kind=RuleKind(kind),
        verdict="return" if kind == "return" else "",
        number=int(number),
        indev=_link(found.get(INDEV), link),
        outdev=_link(found.get(OUTDEV), link),
        packet=found.get(PAYLOAD, b""),
    )


def _link(data: bytes | None, link: Callable[[int], str]) -> str:
    return link(int.from_bytes(data, "big")) if data else ""
