"""nf_tables' trace.

What each rule, each end of a chain and each policy said of a marked packet (NFT_MSG_TRACE).

The kernel tells it, in each namespace, to the members of a netlink group. Messages about one packet
have one number (the trace id), and the first of each base chain shows the packet's headers as they
are there, and its links. Chains of iptables' nf_tables variant are nf_tables' own, so their rules
are told as well.

How the end of a chain is told depends on the kernel. Where it was jumped to, Linux 6.1 calls it a
return, 6.18 a rule without a handle whose verdict is "continue". The end of a base chain is its
policy; 6.18 tells such a rule before it, too. The state of the packet's connection is told by newer
kernels only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

from plumb.kernel.capture.nftrace_rules import PREFIX, family_name
from plumb.kernel.netlink.codec import attributes
from plumb.kernel.netlink.nfnetlink import NfMessage
from plumb.model.observations import Netns, RuleHit, RuleKind

GROUP, MESSAGE = 9, 17  # NFNLGRP_NFTRACE, NFT_MSG_TRACE
TABLE, CHAIN, HANDLE, TYPE, VERDICT, ID, NETWORK, TRANSPORT, IIF, OIF, POLICY = (
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    9,
    10,
    12,
    16,
)
KINDS = {1: RuleKind.POLICY, 2: RuleKind.RETURN, 3: RuleKind.RULE}
VERDICTS = {
    0: "drop",
    1: "accept",
    2: "stolen",
    3: "queue",
    4: "repeat",
    5: "stop",
    -1: "continue",
    -2: "break",
    -3: "jump",
    -4: "goto",
    -5: "return",
}
VERDICT_CODE, VERDICT_CHAIN = 1, 2


def decoded(
    heard: NfMessage, time: int, place: Netns, link: Callable[[int], str]
) -> RuleHit | None:
    """A message as a record; None for what the trigger's own chains say.

    Args:
        heard: the message, of kind MESSAGE.
        time: when it was read, in nanoseconds since the epoch.
        place: where it was heard.
        link: names a link of that namespace by its index.
    """
    found = attributes(heard.body)
    table = _text(found.get(TABLE, b""))
    if table.startswith(PREFIX):
        return None
    handle = int.from_bytes(found.get(HANDLE, b""), "big")
    kind = KINDS.get(_number(found.get(TYPE)), RuleKind.RULE)
    verdict = _verdict(attributes(found.get(VERDICT, b"")))
    if POLICY in found:
        verdict = VERDICTS.get(_number(found[POLICY]), "")
    if kind is RuleKind.RULE and not handle:
        kind = RuleKind.RETURN
    return RuleHit(
        time=time,
        place=place,
        backend="nft",
        family=family_name(heard.family),
        table=table,
        chain=_text(found.get(CHAIN, b"")),
        kind=kind,
        verdict="return" if kind is RuleKind.RETURN else verdict,
        handle=handle,
        indev=link(_number(found[IIF])) if IIF in found else "",
        outdev=link(_number(found[OIF])) if OIF in found else "",
        packet=found.get(NETWORK, b"") + found.get(TRANSPORT, b""),
        id=_number(found.get(ID)),
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
    code = struct.unpack(">i", found.get(VERDICT_CODE, b"\xff\xff\xff\xff"))[0]
    word = VERDICTS.get(
        code if code < 0 else code & 0xFF, str(code)
    )  # a queue's number stands in the upper half
    return f"{word} {_text(found[VERDICT_CHAIN])}" if VERDICT_CHAIN in found else word


def _number(data: bytes | None) -> int:
    return int.from_bytes(data or b"", "big")


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
