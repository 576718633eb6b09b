"""The legacy tables' trace, of the rules that a marked packet meets.

x_tables logs a line for each, as "TRACE: filter:FORWARD:rule:3 ". Such lines go to the logger that
is bound to the packet's family in its namespace. By default there is none, or the kernel's own log,
which has no lines of namespaces other than the first. plumb binds nfnetlink_log instead, which
sends the lines, with the packet and its links, to the one socket that has bound the group 0 of that
namespace. plumb reads no kernel log and sets no sysctl; but the binding stays when the socket
closes, so plumb restores the logger that was bound before (`nf_log`).

A line names the rule, not its effect: "rule" is a rule that matched and was acted upon, "return"
the end of a chain that was jumped to, "policy" the end of a built-in chain; numbers count from 1,
as `iptables -L --line-numbers` does, and a chain's end has the number behind its last rule. A rule
that has no conditions and accepts, drops or returns is logged as if it were the chain's end, as
"policy" or "return", but with its own number. Tables that no program has used yet do not exist in a
namespace, and log nothing. x_tables logs POSTROUTING of nat before the source is rewritten.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from plumb.kernel.netlink.codec import (
    Request,
    attribute,
    attribute_be32,
    attribute_u8,
    attributes,
    be_number,
    text,
)
from plumb.kernel.netlink.nfnetlink import NfMessage, request
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFNL_SUBSYS_ULOG,
    NFPROTO_IPV4,
    NFPROTO_IPV6,
    NFULA_CFG_CMD,
    NFULA_CFG_MODE,
    NFULA_CFG_QTHRESH,
    NFULA_IFINDEX_INDEV,
    NFULA_IFINDEX_OUTDEV,
    NFULA_PAYLOAD,
    NFULA_PREFIX,
    NFULNL_CFG_CMD_BIND,
    NFULNL_CFG_CMD_PF_BIND,
    NFULNL_CFG_CMD_UNBIND,
    NFULNL_COPY_PACKET,
    NFULNL_MSG_CONFIG,
)
from plumb.model.observations import Netns, RuleHit, RuleKind

GROUP = 0
WHOLE = 0xFFFF
"""How many bytes of each packet are wanted."""
MARK = "TRACE: "
FAMILIES = {4: NFPROTO_IPV4, 6: NFPROTO_IPV6}
EXISTING = {4: "/proc/thread-self/net/ip_tables_names", 6: "/proc/thread-self/net/ip6_tables_names"}


def tables(version: int) -> list[str]:
    """The legacy tables that exist in the calling thread's namespace; reading makes none."""
    try:
        with open(EXISTING[version], encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


def listening() -> list[Request]:
    """The requests that bind the group: each packet is told at once, whole."""
    mode = struct.pack(">IBx", WHOLE, NFULNL_COPY_PACKET)
    return [
        _configure(attribute_u8(NFULA_CFG_CMD, NFULNL_CFG_CMD_BIND)),
        _configure(attribute(NFULA_CFG_MODE, mode) + attribute_be32(NFULA_CFG_QTHRESH, 1)),
    ]


def unbound() -> Request:
    """The request that lets go of the group, for the next who listens."""
    return _configure(attribute_u8(NFULA_CFG_CMD, NFULNL_CFG_CMD_UNBIND))


def bound(version: int) -> Request:
    """The request that makes nfnetlink_log the logger of a family in this namespace."""
    return _configure(attribute_u8(NFULA_CFG_CMD, NFULNL_CFG_CMD_PF_BIND), FAMILIES[version])


def _configure(body: bytes, family: int = 0) -> Request:
    return request(NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG, family, body, resource=GROUP)


def decoded(
    heard: NfMessage, time: int, place: Netns, link: Callable[[int], str]
) -> RuleHit | None:
    """A message as a record; None where it is no trace, but somebody's rule with the target LOG.

    Args:
        heard: the message, of kind NFULNL_MSG_PACKET.
        time: when it was read, in nanoseconds since the epoch.
        place: where it was heard.
        link: names a link of that namespace by its index.
    """
    found = attributes(heard.body)
    prefix = text(found.get(NFULA_PREFIX, b""))
    if not prefix.startswith(MARK):
        return None
    table, _, rest = prefix.removeprefix(MARK).rstrip().partition(":")
    chain, kind, number = rest.rsplit(":", 2)
    return RuleHit(
        time=time,
        place=place,
        backend="legacy",
        family="ip" if heard.family == NFPROTO_IPV4 else "ip6",
        table=table,
        chain=chain,
        kind=RuleKind(kind),
        verdict="return" if kind == "return" else "",
        number=int(number),
        indev=_link(found.get(NFULA_IFINDEX_INDEV), link),
        outdev=_link(found.get(NFULA_IFINDEX_OUTDEV), link),
        packet=found.get(NFULA_PAYLOAD, b""),
    )


def _link(data: bytes | None, link: Callable[[int], str]) -> str:
    return link(be_number(data)) if data else ""
