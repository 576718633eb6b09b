"""Subject of a question: the words of a command line, and the things that they mean.

plumb0, web/eth0         a link, by its name; one in a container
172.17.0.3               an address; 172.17.0.0/16: a network's addresses, a route; default
02:42:ac:11:00:03        a MAC address
net.ipv4.ip_forward      a kernel setting, with dots or slashes
PLUMB-FORWARD            a chain, table or map of the firewall
-A PLUMB -o br0 -j DROP  a rule, or a part of one
port 8080[/tcp]          a port of this host
shop, web                a network or a container: all that belongs to it
/run/…/netns/ID          a namespace, by its file
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Any

from plumb.errors import Invalid
from plumb.frozen import frozen
from plumb.things import Thing
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import OfPort
from plumb.things.iptables import Chain, Policy, Rule
from plumb.things.ipvs import IpvsDestination
from plumb.things.layer3 import Address, Route, Sysctl, dotted
from plumb.things.links import InPlace, LinkAddress, Moved, Veth
from plumb.things.nftables import NftChain, NftMap, NftRule, NftTable
from plumb.things.policy_routing import TableRoute
from plumb.things.sandbox import File, Namespace
from plumb.things.vxlan import FdbEntry, Neighbour

PORT = re.compile(r"(?:port +|:)(\d{1,5})(?:/(tcp|udp|sctp))?")
MAX_PORT = 65535
IPV4 = re.compile(r"\d+\.\d+\.\d+\.\d+")
WORD = re.compile(r"\w+", re.ASCII)
NUMBER = re.compile(r"\d+|0x[0-9a-f]+")
"""Words that may stand for a field's default, or for what is counted from others."""
DEFAULTS = {"127.0.0.11"}
TOOLS = frozenset(
    WORD.findall(
        "A I P VNI address agent at blocks bridge chain clear default destination directory"
        " dummy element entry fdb file in key link map master namespace neighbour nft of on"
        " policy priority process proxy record resolver route routing rule state sysctl table"
        " that the timeouts to up vlan xfrm"
    )
)
"""Words in the texts of things that are no fields' values."""
LONGEST = 300
"""Letters of a subject; a rule has fewer."""


@frozen
class Subject:
    """A subject.

    Attributes:
        text: as it was written.
        place: the container whose object it is; empty: anywhere.
        port, protocol: of a port; 0 and empty for anything else.
    """

    text: str
    place: str = ""
    port: int = 0
    protocol: str = ""

    @classmethod
    def parse(cls, words: tuple[str, ...]) -> Subject:
        """Read a command line's words.

        Raises:
            Invalid: there are none, or too many, or no such port exists.
        """
        text = " ".join(" ".join(words).split())
        if not text or len(text) > LONGEST:
            raise Invalid(
                "explain needs one subject",
                "as in 'plumb explain plumb0', 'plumb explain port 8080'",
            )
        if found := PORT.fullmatch(text):
            if not 0 < int(found[1]) <= MAX_PORT:
                raise Invalid(f"there is no port {found[1]}", f"ports are 1 to {MAX_PORT}")
            return cls(text, port=int(found[1]), protocol=found[2] or "")
        place, slash, name = text.partition("/")
        in_container = slash and re.fullmatch(r"[\w.-]+", name) and not _is_network(text)
        if in_container and place[:1] not in "-!" and place not in ("net", "kernel"):
            return cls(name, place)
        return cls(text)

    def is_(self, thing: Thing) -> bool:
        """True if the words name the thing itself."""
        if self.port:
            return self._is_port(thing)
        return self.text in words_of(thing)

    def is_in(self, thing: Thing) -> bool:
        """True if the words are part of what the thing says."""
        if self.port and not isinstance(thing, Rule | NftRule):
            return False
        said = thing.spec if isinstance(thing, Rule | NftRule) else str(thing)
        return bool(self._pattern.search(said))

    @cached_property
    def recorded(self) -> tuple[str, ...]:
        """Words that the record of each thing that is meant has; none where that cannot be told.

        A thing's own words are its fields, which the record has, and words of the tools'. An
        address of a network and what is a field's default are not in it.
        """
        if self.port:
            return (str(self.port),)
        if "/" in self.text and _is_network(self.text):
            return ()
        found: dict[str, None] = {}
        for part in re.split(r"[\s/\"']+", self.text):
            if IPV4.fullmatch(part):
                found.update({part: None} if part not in DEFAULTS else {})
            else:
                found.update((word, None) for word in WORD.findall(part) if word not in TOOLS)
        return tuple(word for word in found if not NUMBER.fullmatch(word))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        if self.port:
            return re.compile(rf"dport {self.port}\b")
        return re.compile(rf"(?<![\w.:-]){re.escape(self.text)}(?![\w:-]|\.\d)")

    def _is_port(self, thing: Thing) -> bool:
        return (
            isinstance(thing, OfPort)
            and thing.port == self.port
            and self.protocol in ("", thing.protocol)
        )


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


NAMES: dict[type[Thing], Callable[[Any], tuple[str, ...]]] = {
    Veth: lambda one: (one.name, one.peer, one.peer_mac),
    InPlace: lambda one: (one.name, getattr(one, "mac", "")),
    Moved: lambda one: (one.name, getattr(one, "mac", "")),
    LinkAddress: lambda one: (one.mac,),
    Address: lambda one: (str(one.ip), str(one.ip.ip), str(one.ip.network)),
    Route: lambda one: (str(one.dst), "default" if one.dst.prefixlen == 0 else ""),
    TableRoute: lambda one: (str(one.via),),
    Sysctl: lambda one: (one.name, dotted(one.name)),
    Chain: lambda one: (one.name,),
    Rule: lambda one: (str(one), one.spec),
    Policy: lambda one: (f"-P {one.chain} {one.verdict}",),
    NftTable: lambda one: (one.name,),
    NftMap: lambda one: (one.name,),
    NftChain: lambda one: (one.name,),
    NftRule: lambda one: (str(one), one.spec),
    Namespace: lambda one: (one.path,),
    File: lambda one: (one.path,),
    Names: lambda one: (*one.names, *map(str, one.ips)),
    Resolver: lambda one: (str(one.ip),),
    Neighbour: lambda one: (str(one.ip), one.mac),
    FdbEntry: lambda one: (one.mac, str(one.vtep)),
    IpvsDestination: lambda one: (str(one.ip),),
    OfPort: lambda one: () if one.ip.is_unspecified else (str(one.ip),),
}
"""Words that name a thing, by its kind or one that it is of."""


def words_of(thing: Thing) -> tuple[str, ...]:
    kind = next((one for one in type(thing).__mro__ if one in NAMES), None)
    return tuple(filter(None, NAMES[kind](thing))) if kind is not None else ()


def normal(text: str) -> str:
    """An address in its usual form; any other text as it is."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text
