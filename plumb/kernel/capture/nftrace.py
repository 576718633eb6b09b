"""nf_tables' trace: the verdicts of rules, chains' ends and policies on a packet (NFT_MSG_TRACE).

The kernel reports each, for a marked packet, to the members of a netlink group of the namespace.
Messages about one packet have one number (the trace id), and the first of each base chain has the
packet's headers as they are there, and its links. Chains of iptables' nf_tables variant are chains
of nf_tables, so the kernel reports their rules as well.

The message about the end of a chain depends on the kernel. Where it was jumped to, Linux 6.1
reports a return, 6.18 a rule without a handle whose verdict is "continue". The end of a base chain
is its policy; 6.18 reports such a rule before it, too. Only newer kernels report the state of the
packet's connection.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

from plumb.kernel.capture.nftrace_rules import PREFIX, family_name
from plumb.kernel.netlink.codec import attributes, be_number, text
from plumb.kernel.netlink.nfnetlink import NfMessage
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NF_ACCEPT,
    NF_DROP,
    NF_QUEUE,
    NF_REPEAT,
    NF_STOLEN,
    NF_STOP,
    NFT_BREAK,
    NFT_CONTINUE,
    NFT_GOTO,
    NFT_JUMP,
    NFT_RETURN,
    NFT_TRACETYPE_POLICY,
    NFT_TRACETYPE_RETURN,
    NFT_TRACETYPE_RULE,
    NFTA_TRACE_CHAIN,
    NFTA_TRACE_ID,
    NFTA_TRACE_IIF,
    NFTA_TRACE_NETWORK_HEADER,
    NFTA_TRACE_OIF,
    NFTA_TRACE_POLICY,
    NFTA_TRACE_RULE_HANDLE,
    NFTA_TRACE_TABLE,
    NFTA_TRACE_TRANSPORT_HEADER,
    NFTA_TRACE_TYPE,
    NFTA_TRACE_VERDICT,
    NFTA_VERDICT_CHAIN,
    NFTA_VERDICT_CODE,
)
from plumb.model.observations import Netns, RuleHit, RuleKind

KINDS = {
    NFT_TRACETYPE_POLICY: RuleKind.POLICY,
    NFT_TRACETYPE_RETURN: RuleKind.RETURN,
    NFT_TRACETYPE_RULE: RuleKind.RULE,
}
VERDICTS = {
    NF_DROP: "drop",
    NF_ACCEPT: "accept",
    NF_STOLEN: "stolen",
    NF_QUEUE: "queue",
    NF_REPEAT: "repeat",
    NF_STOP: "stop",
    NFT_CONTINUE: "continue",
    NFT_BREAK: "break",
    NFT_JUMP: "jump",
    NFT_GOTO: "goto",
    NFT_RETURN: "return",
}


def decoded(
    heard: NfMessage, time: int, place: Netns, link: Callable[[int], str]
) -> RuleHit | None:
    """A message as a record; None for what the trigger's own chains say.

    Args:
        heard: the message, of kind NFT_MSG_TRACE.
        time: when it was read, in nanoseconds since the epoch.
        place: where it was heard.
        link: names a link of that namespace by its index.
    """
    found = attributes(heard.body)
    table = text(found.get(NFTA_TRACE_TABLE, b""))
    if table.startswith(PREFIX):
        return None
    handle = be_number(found.get(NFTA_TRACE_RULE_HANDLE, b""))
    kind = KINDS.get(be_number(found.get(NFTA_TRACE_TYPE, b"")), RuleKind.RULE)
    verdict = _verdict(attributes(found.get(NFTA_TRACE_VERDICT, b"")))
    if NFTA_TRACE_POLICY in found:
        verdict = VERDICTS.get(be_number(found[NFTA_TRACE_POLICY]), "")
    if kind is RuleKind.RULE and not handle:
        kind = RuleKind.RETURN
    return RuleHit(
        time=time,
        place=place,
        backend="nft",
        family=family_name(heard.family),
        table=table,
        chain=text(found.get(NFTA_TRACE_CHAIN, b"")),
        kind=kind,
        verdict="return" if kind is RuleKind.RETURN else verdict,
        handle=handle,
        indev=link(be_number(found[NFTA_TRACE_IIF])) if NFTA_TRACE_IIF in found else "",
        outdev=link(be_number(found[NFTA_TRACE_OIF])) if NFTA_TRACE_OIF in found else "",
        packet=found.get(NFTA_TRACE_NETWORK_HEADER, b"")
        + found.get(NFTA_TRACE_TRANSPORT_HEADER, b""),
        id=be_number(found.get(NFTA_TRACE_ID, b"")),
    )


def joined(steps: list[RuleHit], step: RuleHit) -> None:
    """Add a step to those of its place.

    The end of a base chain and its policy become one, as older kernels have it.
    """
    last = steps[-1] if steps else None
    if (
        last is not None
        and step.kind is RuleKind.POLICY
        and last.kind is RuleKind.RETURN
        and last.backend == step.backend == "nft"
        and (last.id, last.family, last.table, last.chain)
        == (step.id, step.family, step.table, step.chain)
    ):
        steps.pop()
        step = replace(
            step,
            packet=step.packet or last.packet,
            indev=step.indev or last.indev,
            outdev=step.outdev or last.outdev,
        )
    steps.append(step)


def _verdict(found: dict[int, bytes]) -> str:
    code = struct.unpack(">i", found.get(NFTA_VERDICT_CODE, b"\xff\xff\xff\xff"))[0]
    # A queue's number stands in the upper half.
    word = VERDICTS.get(code if code < 0 else code & 0xFF, str(code))
    return f"{word} {text(found[NFTA_VERDICT_CHAIN])}" if NFTA_VERDICT_CHAIN in found else word
