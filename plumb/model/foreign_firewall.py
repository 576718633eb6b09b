"""Walls: what somebody else's firewall drops. They are read and judged, never made.

A packet that the host forwards passes every base chain that hooks into its way, in the order of
their priorities, whoever made it. "Accept" ends the walk through that one chain only; "drop" is the
end of the packet. So a chain of another firewall that drops what it does not know (by its policy,
or by a last rule that matches all) drops what plumb has let through as well, and neither `iptables
-L` nor plumb's own chains show anything of it. It must let the bridges pass by itself.

Whether it does is told from its rules, for the three kinds of packets that a bridge network lives
by:

    out     from a container to elsewhere, the first packet of a connection
    back    an answer to it
    in      from elsewhere to a published port, already rewritten to the container

Rules can ask for much that is not known here: ports, marks, times. A rule that names the bridge or
its subnet and accepts
counts as letting pass, whatever else it asks for: who wrote it had this traffic in mind. A drop
counts if it is certain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from plumb.address import IPNetwork


class TrafficKind(Enum):
    """A kind of packet, see above."""

    OUT = "out"
    BACK = "back"
    IN = "in"


class Traffic(NamedTuple):
    """Packets of one kind, of a bridge network's address family.

    Attributes:
        way: the kind.
        bridge, subnet: where the containers are.
        uplinks: the links that default routes lead through: where the rest of the world is.
    """

    way: TrafficKind
    bridge: str
    subnet: IPNetwork
    uplinks: frozenset[str] = frozenset()


class Fit(IntEnum):
    """How much of some traffic a condition holds for."""

    NONE = 0
    SOME = 1
    ALL = 2


class Condition(NamedTuple):
    """One condition of a rule.

    Attributes:
        key: what is compared: "iifname", "oifname", "iifkind", "oifkind", "saddr", "daddr", "ct
            state", "ct status", "nfproto"; anything else is not known here.
        values: one of these: names (with * at the end for all that begin so), addresses, prefixes,
        ranges FIRST-LAST, states.
        negated: none of these.
    """

    key: str
    values: tuple[str, ...] = ()
    negated: bool = False

    def fit(self, traffic: Traffic) -> Fit:
        """How much of the traffic it holds for."""
        found = self._fit(traffic)
        return Fit(Fit.ALL - found) if self.negated else found

    def names(self, traffic: Traffic) -> bool:
        """Whether it is about this very bridge or its subnet."""
        near = ("iifname", "saddr") if traffic.way is TrafficKind.OUT else ("oifname", "daddr")
        return self.key in near and not self.negated and self.fit(traffic) is Fit.ALL

    def _fit(self, traffic: Traffic) -> Fit:
        near, far = ("iif", "oif") if traffic.way is TrafficKind.OUT else ("oif", "iif")
        if self.key == near + "name":
            return ALL_OR_NONE[any(_same(traffic.bridge, value) for value in self.values)]
        if self.key == far + "name":
            if any(_same(dev, value) for dev in traffic.uplinks for value in self.values):
                return Fit.ALL
            return Fit.SOME if set(self.values) - {traffic.bridge} else Fit.NONE
        if self.key == near + "kind":
            return ALL_OR_NONE["bridge" in self.values]
        if self.key == ("saddr" if traffic.way is TrafficKind.OUT else "daddr"):
            return max((_covers(value, traffic.subnet) for value in self.values), default=Fit.NONE)
        if self.key == "ct state":
            return ALL_OR_NONE[
                ("established" if traffic.way is TrafficKind.BACK else "new") in self.values
            ]
        if self.key == "ct status" and traffic.way is TrafficKind.IN:
            return ALL_OR_NONE["dnat" in self.values]
        if self.key == "nfproto":
            return ALL_OR_NONE[f"ipv{traffic.subnet.version}" in self.values]
        return Fit.SOME


ALL_OR_NONE = (Fit.NONE, Fit.ALL)


def _same(name: str, value: str) -> bool:
    return name.startswith(value[:-1]) if value.endswith("*") else name == value


def _covers(value: str, subnet: IPNetwork) -> Fit:
    """How much of a subnet lies in an address, a prefix or a range; a set's name tells nothing."""
    try:
        if "-" in value:
            first, last = (int(ip_address(end)) for end in value.split("-"))
            version = ip_address(value.split("-")[0]).version
        else:
            network = ip_network(value, strict=False)
            first, last, version = (
                int(network.network_address),
                int(network.broadcast_address),
                network.version,
            )
    except ValueError:
        return Fit.SOME
    low, high = int(subnet.network_address), int(subnet.broadcast_address)
    if version != subnet.version or last < low or high < first:
        return Fit.NONE
    return Fit.ALL if first <= low and high <= last else Fit.SOME


class FirewallRule(NamedTuple):
    """A rule: what it holds for, and what becomes of a packet then.

    Attributes:
        verdict: "accept", "drop" (reject as well), "return", "jump", "goto", or "" where the next
        rule is asked.
        target: where it jumps to.
    """

    conditions: tuple[Condition, ...] = ()
    verdict: str = ""
    target: str = ""

    def fit(self, traffic: Traffic) -> Fit:
        """How much of the traffic it holds for."""
        return min((condition.fit(traffic) for condition in self.conditions), default=Fit.ALL)


@dataclass(frozen=True)
class ForeignFirewall:
    """A base chain that drops what it does not know.

    Attributes:
        tool: whose it is: "nft", "iptables-nft", "ip6tables-legacy", …
        family: "ip", "ip6" or "inet".
        hook: "forward", "prerouting" or "postrouting".
        priority: base chains of lower numbers come first; iptables' filter is 0.
        policy: "accept" or "drop".
        lines: the rules of the chain and of those that it jumps to.
    """

    tool: str
    family: str
    table: str
    chain: str
    hook: str
    priority: int
    policy: str
    lines: Mapping[str, tuple[FirewallRule, ...]] = field(default_factory=dict, hash=False)

    @property
    def stands(self) -> bool:
        """Whether it is a wall at all: what no rule accepts is dropped."""
        last = self.lines.get(self.chain, ())[-1:]
        return self.policy == "drop" or last == (FirewallRule(verdict="drop"),)

    @property
    def why(self) -> str:
        """Why it drops."""
        return (
            "its policy is drop"
            if self.policy == "drop"
            else "its last rule drops all that no other accepts"
        )

    def concerns(self, version: int) -> bool:
        """Whether packets of an address family come by."""
        return self.family in ("inet", "ip" if version == 4 else "ip6")

    def stops(self, traffic: Traffic) -> bool:
        """Whether it drops this traffic, as far as it is known where it comes by: by its bridge.

        Before routing, packets come from the bridge; after it, they go there. On the other side
        they are the host's own, and whoever walls that off knows why.
        """
        if (self.hook, traffic.way is TrafficKind.OUT) in (
            ("prerouting", False),
            ("postrouting", True),
        ):
            return False
        return (
            self._verdict(self.chain, traffic, sure=True, named=False) or self.policy
        ) != "accept"

    def _verdict(self, chain: str, traffic: Traffic, sure: bool, named: bool) -> str:
        """What a chain says: accept, drop, or nothing.

        Args:
            chain: its name.
            traffic: the packets.
            sure: all of the traffic comes here.
            named: a rule on the way here was about this very traffic.
        """
        for line in self.lines.get(chain, ()):
            fit = line.fit(traffic)
            if fit is Fit.NONE:
                continue
            certain = sure and fit is Fit.ALL
            about = named or any(condition.names(traffic) for condition in line.conditions)
            if line.verdict == "accept" and (certain or about):
                return "accept"
            if line.verdict == "drop" and certain:
                return "drop"
            if line.verdict in ("jump", "goto"):
                said = self._verdict(line.target, traffic, certain, about)
                if said or (certain and line.verdict == "goto"):
                    return said
            if line.verdict == "return" and fit is Fit.ALL:
                break
        return ""

    def __str__(self) -> str:
        where = (
            f"table {self.family} {self.table}"
            if self.tool == "nft"
            else f"{self.tool} table {self.table}"
        )
        return f"{where}, chain {self.chain} (hook {self.hook}, priority {self.priority})"


def openings(wall: ForeignFirewall, bridges: Sequence[str]) -> list[str]:
    """Commands that let bridges pass a wall, at the head of its chain.

    Firewalld's chains are changed through firewalld.
    """
    if wall.table == "firewalld":
        return [
            f"firewall-cmd {keep}--zone=trusted --add-interface={bridge}"
            for bridge in bridges
            for keep in ("", "--permanent ")
        ]
    sides = [
        side for side, hook in (("iif", "postrouting"), ("oif", "prerouting")) if wall.hook != hook
    ]
    if wall.tool != "nft":
        table = "" if wall.table == "filter" else f"-t {wall.table} "
        return [
            f"{wall.tool} {table}-I {wall.chain} -{side[0]} {bridge} -j ACCEPT"
            for bridge in bridges
            for side in sides
        ]
    quoted = [f'"{bridge}"' for bridge in bridges]
    names = quoted[0] if len(quoted) == 1 else f"{{ {', '.join(quoted)} }}"
    return [
        f"nft insert rule {wall.family} {wall.table} {wall.chain} {side}name {names} accept"
        for side in sides
    ]
