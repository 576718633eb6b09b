"""nft's words as JSON expressions (libnftables-json(5)), as far as plumb's rules have them.

The vocabulary is closed: a word that is not in the table is an error, so nothing that a user named
can become more than the name that it is. plumb writes rules in JSON with it, and compares the JSON
of the kernel's rules with the JSON that it would write: so the spelling and spacing of a version of
nft do not matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from plumb.things.nftables import NftRule

Json = dict[str, Any]
Found = re.Match[str]


def _match(left: Json, right: Any, op: str = "==") -> Json:
    return {"match": {"op": op, "left": left, "right": right}}


def _op(found: Found) -> str:
    return "!=" if found["not"] else "=="


def _address(found: Found) -> Json:
    left = {"payload": {"protocol": found["family"], "field": found["field"]}}
    right: Any = (
        {"prefix": {"addr": found["ip"], "len": int(found["length"])}}
        if found["length"]
        else found["ip"]
    )
    return _match(left, right, _op(found))


def _mark(found: Found) -> Json:
    mark: Json = {"meta": {"key": "mark"}}
    return _match(
        {"&": [mark, int(found["mask"], 16)]} if found["mask"] else mark, int(found["value"], 16)
    )


def _link(found: Found) -> Json:
    names = re.findall(r'"([^"]+)"', found["names"])
    return _match(
        {"meta": {"key": found["key"]}},
        {"set": names} if found["names"].startswith("{") else names[0],
        _op(found),
    )


def _dnat(found: Found) -> Json:
    return {"dnat": {"addr": found["ip"].strip("[]"), "port": int(found["port"])}}


def _chosen(found: Found) -> Json:
    """An address that a number chooses from a map: one that counts up or is random, or a hash."""
    count = {"mod": int(found["count"])}
    if found["mode"]:
        key: Json = {"numgen": {"mode": found["mode"], **count, "offset": 0}}
    else:
        source = {"payload": {"protocol": found["family"], "field": "saddr"}}
        key = {"jhash": {**count, "seed": int(found["seed"], 16), "expr": source}}
    pairs = (pair.split(" : ") for pair in found["pairs"].split(", "))
    data = {"set": [[int(number), ip] for number, ip in pairs]}
    return {"dnat": {"addr": {"map": {"key": key, "data": data}}}}


NOT, NAME, IP, HEX = "(?P<not>!= )?", r"[A-Za-z0-9_.@-]+", r"[0-9a-f:.]+", "0x[0-9a-f]{8}"
LINK = f'"{NAME}"'
NUMBER = (
    r"(?:numgen (?P<mode>inc|random)|jhash (?P<family>ip6?) saddr) mod (?P<count>\d+)"
    r"(?: seed (?P<seed>0x[0-9a-f]+))?"
)
WORDS: dict[str, Callable[[Found], Json]] = {
    "ct state established,related": lambda _: _match(
        {"ct": {"key": "state"}}, ["established", "related"], "in"
    ),
    "ct state established,new": lambda _: _match(
        {"ct": {"key": "state"}}, ["established", "new"], "in"
    ),
    "ct state new": lambda _: _match({"ct": {"key": "state"}}, "new", "in"),
    "ether saddr (?P<mac>[0-9a-f:]{17})": lambda found: _match(
        {"payload": {"protocol": "ether", "field": "saddr"}}, found["mac"]
    ),
    rf"ct mark set (?P<value>{HEX})": lambda found: {
        "mangle": {"key": {"ct": {"key": "mark"}}, "value": int(found["value"], 16)}
    },
    "meta mark set ct mark": lambda _: {
        "mangle": {"key": {"meta": {"key": "mark"}}, "value": {"ct": {"key": "mark"}}}
    },
    "ct state established": lambda _: _match({"ct": {"key": "state"}}, "established", "in"),
    "ct status dnat": lambda _: _match({"ct": {"key": "status"}}, "dnat", "in"),
    rf"(?P<key>[io]ifname) {NOT}(?P<names>{LINK}|\{{ {LINK}(?:, {LINK})* \}})": _link,
    rf"(?P<key>[io]ifname) vmap (?P<map>@{NAME})": lambda found: {
        "vmap": {"key": {"meta": {"key": found["key"]}}, "data": found["map"]}
    },
    rf"(?P<family>ip6?) (?P<field>[sd]addr) {NOT}(?P<ip>{IP})(?:/(?P<length>\d+))?": _address,
    r"(?P<protocol>tcp|udp|sctp) (?P<field>[sd]port) (?P<port>\d+)": lambda found: _match(
        {"payload": {"protocol": found["protocol"], "field": found["field"]}}, int(found["port"])
    ),
    "ip protocol (?P<protocol>icmp|tcp|udp|sctp)": lambda found: _match(
        {"payload": {"protocol": "ip", "field": "protocol"}}, found["protocol"]
    ),
    f"meta l4proto {NOT}(?P<protocol>icmp|ipv6-icmp)": lambda found: _match(
        {"meta": {"key": "l4proto"}}, found["protocol"], _op(found)
    ),
    r"@th,(?P<offset>\d+),(?P<bits>\d+) (?P<value>0x[0-9a-f]+)": lambda found: _match(
        {"payload": {"base": "th", "offset": int(found["offset"]), "len": int(found["bits"])}},
        int(found["value"], 16),
    ),
    "meta ipsec missing": lambda _: _match({"meta": {"key": "ipsec"}}, False),
    rf"meta mark set (?P<value>{HEX})": lambda found: {
        "mangle": {"key": {"meta": {"key": "mark"}}, "value": int(found["value"], 16)}
    },
    r"fib (?P<field>[sd]addr) type local": lambda found: _match(
        {"fib": {"result": "type", "flags": [found["field"]]}}, "local"
    ),
    r"fib saddr \. iif oif exists": lambda _: _match(
        {"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, True
    ),
    rf"meta mark (?:& (?P<mask>{HEX}) == )?(?P<value>{HEX})": _mark,
    "counter": lambda _: {"counter": None},
    "(?P<verdict>accept|drop|return|masquerade)": lambda found: {found["verdict"]: None},
    rf"jump (?P<chain>{NAME})": lambda found: {"jump": {"target": found["chain"]}},
    r"snat to :(?P<port>\d+)": lambda found: {"snat": {"port": int(found["port"])}},
    rf"snat to (?P<ip>{IP})": lambda found: {"snat": {"addr": found["ip"]}},
    rf"dnat to {NUMBER} map \{{ (?P<pairs>\d+ : {IP}(?:, \d+ : {IP})*) \}}": _chosen,
    r"dnat to (?P<ip>[0-9.]+|[0-9a-f]*:[0-9a-f]*:[0-9a-f:]*)": lambda found: {
        "dnat": {"addr": found["ip"]}
    },
    r"redirect to :(?P<port>\d+)": lambda found: {"redirect": {"port": int(found["port"])}},
    rf"dnat to (?P<ip>[0-9.]+|\[{IP}\]):(?P<port>\d+)": _dnat,
}
COMMENT = re.compile(r'(?:(?P<words>.*) )?comment "(?P<text>[A-Za-z0-9 ]*)"')
TABLE = [(re.compile(rf"{pattern}(?: |$)"), make) for pattern, make in WORDS.items()]


def translate(spec: str) -> Json:
    """Translate a rule's words to the parts of a JSON rule: `expr`, and `comment` if it has one.

    Raises:
        ValueError: a word is not in the table.
    """
    comment = COMMENT.fullmatch(spec)
    words, expressions, at = (comment["words"] or "") if comment else spec, [], 0
    while at < len(words):
        found, make = next(
            ((found, make) for pattern, make in TABLE if (found := pattern.match(words, at))),
            (None, None),
        )
        if found is None or make is None:
            raise ValueError(f"nftables rule {spec!r}: {words[at:]!r} is not in the vocabulary")
        expressions.append(make(found))
        at = found.end()
    return {"expr": expressions, **({"comment": comment["text"]} if comment else {})}


def written(rule: NftRule, counted: tuple[int, int] = (0, 0)) -> Json:
    """The JSON rule that adds a rule.

    Args:
        rule: the rule.
        counted: packets and bytes that its counter begins with.
    """
    parts = translate(rule.spec)
    if counted != (0, 0):
        begin = {"counter": {"packets": counted[0], "bytes": counted[1]}}
        parts["expr"] = [begin if "counter" in each else each for each in parts["expr"]]
    return {"rule": {"family": rule.family, "table": rule.table, "chain": rule.chain, **parts}}


def comparable(rule: Json) -> str:
    """A JSON rule as a text for comparison.

    The text has neither the rule's handle nor its counts, and a set's elements are sorted.
    """
    return json.dumps([rule.get("comment", ""), *map(_plain, rule["expr"])], sort_keys=True)


def _plain(value: Any) -> Any:
    match value:
        case {"counter": _}:
            return "counter"
        case {"set": [*elements]}:
            return {"set": sorted(map(str, elements))}
        case {"flags": str(flag), **rest}:
            return _plain({**rest, "flags": [flag]})
        case dict():
            return {key: _plain(part) for key, part in value.items()}
        case [*parts]:
            return [_plain(part) for part in parts]
    return value
