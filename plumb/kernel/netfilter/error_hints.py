"""Error messages of iptables and nft, and the missing kernel feature behind each.

Netlink answers with an errno, whose meaning `kernel.features.table` has. iptables and nft print
messages, which at best name the missing piece: "Extension ipvs revision 0 not supported, missing
kernel module?". At worst the message is "No such file or directory", for an expression of nf_tables
whose module cannot be found as well as for a chain that is gone.
"""

from __future__ import annotations

import errno
import re

from plumb.kernel.features.table import FEATURES, Feature
from plumb.things import Thing
from plumb.things.nftables import NftChain, NftRule

PARTS = re.compile(r"Extension (\S+) revision \d+ not supported")
LIBRARIES = re.compile(
    r"[Cc]ouldn't load (?:match|target) `([^']+)'|can't find (?:match|target) b?'?(\w+)"
)
WORDS = (
    (re.compile(r"initialize nft|rule set generation id|Netlink socket"), "nf_tables"),
    (re.compile(r"CHAIN_ADD failed \((?:No such file|Operation not supp)"), "nft_chain_nat"),
    (re.compile(r"ip6tables.* (?:initialize|do you need to insmod)"), "ip6_tables"),
    (re.compile(r"initialize|do you need to insmod"), "ip_tables"),
)
"""Messages of iptables, iptables-legacy and libiptc, with the feature that is missing then."""
EXPRESSIONS = {
    "fib": "NFT_FIB_IPV4",
    "ct": "NFT_CT",
    "dnat": "NFT_NAT",
    "snat": "NFT_NAT",
    "masquerade": "NFT_MASQ",
    "redirect": "NFT_REDIR",
}
"""Expressions that are modules, and their options."""


def of_iptables(said: str) -> str:
    """The hint for an error message of an iptables command or library; empty for other errors."""
    part = PARTS.search(said)
    if part:
        return _extension(part[1]).missing
    library = LIBRARIES.search(said)
    if library:
        return (
            f"this iptables has no extension {library[1] or library[2]}: "
            "install it whole (Debian: apt install iptables)"
        )
    if "No chain/target/match by that name" in said:
        return (
            "a chain that it jumps to is gone, or this kernel lacks a match or target of it: "
            "see 'plumb check' and 'plumb env'"
        )
    return next((FEATURES[name].missing for words, name in WORDS if words.search(said)), "")


def _extension(name: str) -> Feature:
    """The feature that an extension of iptables needs: targets are in capitals."""
    known = next(
        (
            feature
            for feature in FEATURES.values()
            if name in (feature.name, feature.kind) and "XT_" in feature.option
        ),
        None,
    )
    if known is not None or name in ("SNAT", "DNAT"):
        return known or FEATURES["DNAT"]
    return Feature(
        f"xt_{name}",
        f"xt_{name}",
        f"NETFILTER_XT_{'TARGET' if name.isupper() else 'MATCH'}_{name.upper()}",
        "",
    )


def of_nftables(thing: Thing | None, number: int) -> str:
    """The hint for a thing that nf_tables has refused.

    Empty where the errno is about something else.

    Args:
        thing: the thing that was to be written; None for one that was to be deleted.
        number: the errno; ENOENT gives no hint where the rule jumps to a chain, which may be gone.
    """
    match thing:
        case NftChain(type="nat") if number in (errno.ENOENT, errno.EOPNOTSUPP):
            return FEATURES["nft_chain_nat"].missing
        case NftRule(spec=spec) if number == errno.EOPNOTSUPP or (
            number == errno.ENOENT and not re.search(r"\b(jump|goto|vmap)\b", spec)
        ):
            word = next((word for word in spec.split() if word in EXPRESSIONS), "")
            option = EXPRESSIONS.get(word, "")
            module = option.lower().removesuffix("_ipv4")
            return Feature(f"{word} in nf_tables", module, option, "").missing if word else ""
    return ""
