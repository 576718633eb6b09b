"""Other firewalls' rules in a common form: nft's JSON and iptables' words as `FirewallRule`s.

A match that plumb does not know becomes a condition without a key, which holds for some packets and
not for others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from plumb.model.foreign_firewall import Condition, FirewallRule

Json = Any
"""A part of libnftables-json(5)."""
Elements = Callable[[str], list[Json] | None]
"""The elements of a named set or map; None where it cannot be read."""
Conditions = tuple[Condition, ...]

UNKNOWN = Condition("")
MOST = 256
"""Rules in which one of nft's is told, with values that are compared together; of more, nothing is
known but that some packets match."""
NFPROTO = {"ip": "ipv4", "ip6": "ipv6"}
META = {
    "iifname": "iifname",
    "oifname": "oifname",
    "iif": "iifname",
    "oif": "oifname",
    "iifkind": "iifkind",
    "oifkind": "oifkind",
    "nfproto": "nfproto",
    "protocol": "nfproto",
    "l4proto": "l4proto",
}
CT = {"state": "ct state", "status": "ct status"}
VERDICTS = {
    "accept": "accept",
    "drop": "drop",
    "reject": "drop",
    "return": "return",
    "jump": "jump",
    "goto": "goto",
    "continue": "",
    "queue": "accept",
    "dnat": "accept",
    "snat": "accept",
    "masquerade": "accept",
    "redirect": "accept",
}
HARMLESS = frozenset(
    {
        "counter",
        "log",
        "mangle",
        "notrack",
        "set",
        "map",
        "flow",
        "dup",
        "ct helper",
        "ct timeout",
        "secmark",
        "synproxy",
    }
)
"""Statements that every packet passes."""


# -- nft ---------------------------------------------------------------


def from_nft(statements: list[Json], elements: Elements) -> Iterator[FirewallRule]:
    """Convert a rule of nft; several rules where it looks a verdict up in a map."""
    known: list[Conditions] = [()]
    for statement in statements:
        kind, what = next(iter(statement.items()))
        if kind == "match":
            new = _match(what, elements)
            if len(known) * len(new) > MOST:
                new = [(UNKNOWN,)]
            known = [old + each for old in known for each in new]
        elif kind == "vmap":
            pairs = _values(what["key"], what["data"], elements)
            # Of what is not read, and of too many, some verdicts may be accept.
            if pairs is None or (len(known) > 1 and len(known) * len(pairs) > MOST):
                yield from (FirewallRule((*old, UNKNOWN), "accept") for old in known)
                return
            yield from (
                FirewallRule(old + new, *_verdict(*next(iter(verdict.items()))))
                for old in known
                for value, verdict in pairs
                for new in _alternatives(what["key"], [value], negated=False)
            )
            return
        elif kind in VERDICTS:
            yield from (FirewallRule(old, *_verdict(kind, what)) for old in known)
            return
        elif kind not in HARMLESS:
            known = [(*old, UNKNOWN) for old in known]


def _verdict(kind: str, what: Json) -> tuple[str, str]:
    return VERDICTS.get(kind, ""), what["target"] if kind in ("jump", "goto") else ""


def _match(match: Json, elements: Elements) -> list[Conditions]:
    values = _values(match["left"], match["right"], elements)
    if match["op"] not in ("==", "!=", "in") or values is None:
        return [(UNKNOWN,)]
    return _alternatives(match["left"], values, match["op"] == "!=")


def _named(right: Json) -> bool:
    return isinstance(right, str) and right.startswith("@")


def _small(left: Json) -> bool:
    """Check that a named set of such values is small enough to read.

    Sets of links and of states are; a set of addresses to block can be long. One of values that
    are not known here tells nothing.
    """
    parts = left.get("concat", [left]) if isinstance(left, dict) else []
    return all(
        part.get("meta", {}).get("key") in META or part.get("ct", {}).get("key") in CT
        for part in parts
    )


def _alternatives(left: Json, values: list[Json], negated: bool) -> list[Conditions]:
    """Conditions of which one must hold: a single one, except for concatenated values."""
    if isinstance(left, dict) and "concat" in left:
        if negated:
            return [(UNKNOWN,)]
        return [
            tuple(
                condition
                for part, value in zip(left["concat"], _plain(each)["concat"], strict=True)
                for condition in _condition(part, [value], negated)
            )
            for each in values
            if "concat" in _plain(each)
        ]
    return [_condition(left, values, negated)]


def _condition(left: Json, values: list[Json], negated: bool) -> Conditions:
    texts = tuple(_text(value) for value in values)
    if texts == ("*",):
        return ()  # the map's element for all other values
    match left:
        case {"meta": {"key": key}}:
            return (
                Condition(
                    META.get(key, ""), tuple(NFPROTO.get(text, text) for text in texts), negated
                ),
            )
        case {"ct": {"key": key, **more}} if not more:
            return (Condition(CT.get(key, ""), texts, negated),)
        case {"payload": {"protocol": ("ip" | "ip6") as family, "field": field}}:
            key = field if field in ("saddr", "daddr") else ""
            return Condition("nfproto", (NFPROTO[family],)), Condition(key, texts, negated)
        case {"payload": {"protocol": ("tcp" | "udp" | "sctp") as protocol, "field": "dport"}}:
            return Condition("l4proto", (protocol,)), Condition("dport", texts, negated)
        case {"payload": {"protocol": "th", "field": "dport"}}:
            return (Condition("dport", texts, negated),)
    return (UNKNOWN,)


def _values(left: Json, right: Json, elements: Elements) -> list[Json] | None:
    """The values to compare with: one, a list, a set in the rule, or a named set.

    None for a named set that is large, or cannot be read.
    """
    if _named(right):
        return elements(right[1:]) if _small(left) else None
    if isinstance(right, dict) and "set" in right:
        return list(right["set"])
    return list(right) if isinstance(right, list) else [right]


def _plain(value: Json) -> Json:
    """An element without its comment, counter, or time to live."""
    return value["elem"]["val"] if isinstance(value, dict) and "elem" in value else value


def _text(value: Json) -> str:
    match _plain(value):
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"range": [first, last]}:
            return f"{first}-{last}"
        case plain:
            return str(plain)


# -- iptables ---------------------------------------------------------------

WORD = re.compile(r'(--[a-z0-9-]+) "((?:[^"\\]|\\.)*)"(?!\S)|(\S+)', re.DOTALL)
"""An option of iptables-save's with a text in quotation marks, or a word.

A link's name stands without marks, whatever is in it."""

OPTIONS = {
    "-i": "iifname",
    "-o": "oifname",
    "-s": "saddr",
    "-d": "daddr",
    "-p": "l4proto",
    "--dport": "dport",
    "--dports": "dport",
    "--ctstate": "ct state",
    "--state": "ct state",
    "--ctstatus": "ct status",
    "--src-range": "saddr",
    "--dst-range": "daddr",
}
TARGETS = {
    "ACCEPT": "accept",
    "DROP": "drop",
    "REJECT": "drop",
    "RETURN": "return",
    "QUEUE": "accept",
    "NFQUEUE": "accept",
    "DNAT": "accept",
    "SNAT": "accept",
    "MASQUERADE": "accept",
    "REDIRECT": "accept",
}


def from_iptables(spec: str, chains: frozenset[str]) -> FirewallRule:
    """Convert a rule of iptables-save.

    Args:
        spec: the rule's words after the chain's name.
        chains: the names of the table's chains: other targets are extensions.
    """
    found: list[Condition] = []
    negated = False
    words = _words(spec)
    for word in words:
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g"):
            target = next(words, "")
            jump = ("jump" if word == "-j" else "goto", target)
            return FirewallRule(
                tuple(found), *(jump if target in chains else (TARGETS.get(target, ""), ""))
            )
        if word in ("-m", "--comment"):
            next(words, "")
        elif word in OPTIONS:
            found.append(
                Condition(OPTIONS[word], _iptables_values(OPTIONS[word], next(words, "")), negated)
            )
        elif word.startswith("-"):
            found.append(UNKNOWN)
        negated = False
    return FirewallRule(tuple(found))


def _words(spec: str) -> Iterator[str]:
    """Yield the words of a rule, without their quotation marks."""
    for option, quoted, plain in WORD.findall(spec):
        if option:
            yield from (option, quoted)
        else:
            yield plain


def _iptables_values(key: str, word: str) -> tuple[str, ...]:
    """Convert a value to nft's form: br-+ to br-*, and states in capitals, parted by commas."""
    if key == "dport":
        return tuple(word.replace(":", "-").split(","))
    return (word.replace("+", "*"),) if key.endswith("name") else tuple(word.lower().split(","))
