"""Replacement of names and addresses in a snapshot, so that its findings stay the same.

Each name gets a word with a number, wherever it stands. Addresses keep what checks ask of them: the
length of their common prefix with others, and those that mean something by themselves (loopback,
unspecified, link-local, multicast). MAC addresses keep that they are equal.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any

from plumb.address import IPAddress
from plumb.doctor import document
from plumb.model.diagnosis.snapshot import Snapshot
from plumb.model.observations import HOST
from plumb.store import codec

WORD = re.compile(r"[0-9A-Za-z_.:/-]+")
MAC = re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b")
IPV4 = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?\b")
KEPT_WORDS = frozenset({"", HOST, "bridge", "none", "lo", "default", "all", "ingress"})
ETHERNET = re.compile(r"(eth|en[ops]\w*|docker|wlan|wlp\w*|tun|wg|tailscale|lo)\d*")
"""Links whose names everybody's machine has; the name of another may tell something."""


def anonymised(snapshot: Snapshot) -> Snapshot:
    """Replace names and addresses.

    Returns:
        A snapshot with the same findings, about other names.
    """
    replace = _Replacement(snapshot)
    plain = codec.plain(snapshot)
    return document.read(json.dumps(replace.value(plain)).encode(), "the snapshot")


class _Replacement:
    def __init__(self, snapshot: Snapshot) -> None:
        self._secret = secrets.token_bytes(16)
        boxes = [box.name for box in snapshot.containers]
        boxes += [box.name for box in snapshot.failed]
        self._names = _numbered("container", boxes)
        self._names |= _numbered("place", (space.name for space in snapshot.spaces), self._names)
        self._names |= _numbered("network", (net.name for net in snapshot.networks), self._names)
        self._names |= _numbered("id", (net.id for net in snapshot.networks), self._names)
        links = (
            name
            for space in (snapshot.host, *snapshot.spaces)
            for link in space.links
            if not ETHERNET.fullmatch(name := link.name)
        )
        self._names |= _numbered("link", links, self._names)

    def value(self, value: Any) -> Any:
        """Replace in a value of JSON, with all that is in it."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {
                key: "" if key in FREE else self.value(each) if key not in PUBLIC else each
                for key, each in value.items()
            }
        return value

    def _text(self, text: str) -> str:
        if text in self._names:
            return self._names[text]
        text = MAC.sub(lambda found: self._mac(found[0]), text)
        text = IPV4.sub(lambda found: self._address(found[0]), text)
        return WORD.sub(lambda found: self._word(found[0]), text)

    def _mac(self, mac: str) -> str:
        return "02:" + self._digest(mac.encode())[:5].hex(":")

    def _word(self, word: str) -> str:
        if word in self._names:
            return self._names[word]
        if "::" in word or word.count(":") == 7:
            return self._address(word)
        # net/ipv4/conf/LINK/rp_filter
        return "/".join(self._names.get(part, part) for part in word.split("/"))

    def _address(self, word: str) -> str:
        """Move an address, alone or with the length of its prefix; other words stay."""
        ip, slash, length = word.partition("/")
        try:
            old = ip_address(ip)
            network = ip_network(f"{word}" if slash else ip, strict=False)
        except ValueError:
            return word
        moved = self._ip(old)
        if not slash:
            return str(moved)
        if not network.prefixlen:
            return word
        if old == network.network_address:
            return str(ip_network((moved, int(length)), strict=False))
        return f"{moved}/{length}"

    def _ip(self, ip: IPAddress) -> IPAddress:
        """Move an address, bit by bit, each by what stands before it: prefixes stay common."""
        if ip.is_loopback or ip.is_unspecified or ip.is_link_local or ip.is_multicast:
            return ip
        bits = ip.max_prefixlen
        kept = bits - 8 if bits == 32 else bits - 16
        number = int(ip)
        moved = number >> kept << kept  # 10, 172, 192, fd00 stay: they tell nothing
        for place in range(kept - 1, 7, -1):
            head = (number >> (place + 1)).to_bytes(16, "big")
            flip = self._digest(head + bytes([place]))[0] & 1
            moved |= ((number >> place & 1) ^ flip) << place
        return ip_address((moved | (number & 0xFF)).to_bytes(bits // 8, "big"))

    def _digest(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self._secret, digest_size=8).digest()


FREE = frozenset({"hosts", "ns", "netns"})
"""Fields that no check reads, or only shows."""
PUBLIC = frozenset({"engine", "driver", "kind", "type", "hook", "tool", "family", "policy"})


def _numbered(
    word: str, names: Iterable[str], taken: dict[str, str] | None = None
) -> dict[str, str]:
    fresh = [
        name
        for name in dict.fromkeys(names)
        if name not in KEPT_WORDS and name not in (taken or {})
    ]
    return {name: f"{word}{number}" for number, name in enumerate(fresh, 1)}
