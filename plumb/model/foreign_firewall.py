"""Other firewalls: base chains that plumb did not make. plumb reads and judges them, no more.

A packet that the host forwards passes every base chain of the hooks on its path, in the order of
their priorities, whoever made it. "Accept" ends the walk through that one chain only; "drop" is the
end of the packet. So a chain of another firewall that drops what it does not know (by its policy,
or by a last rule that matches all) drops what plumb has let through as well, and neither `iptables
-L` nor plumb's own chains show anything of it. That chain must accept the bridges itself.

plumb judges from its rules if it does, for the kinds of packets that a bridge network needs:

    out        from a container to elsewhere, the first packet of a connection
    back       an answer to it
    in         from elsewhere to a published port, already rewritten to the container
    published  from elsewhere to a published port of the host, not rewritten yet
    proxied    the same, to a port that the user-land proxy serves, and no rule rewrites; at a
               loopback address it comes from the host itself

Before DNAT, only a rule that names a published port is judged: else the administrator who drops
what comes to the host means to. What the proxy gets passes the hook input as well.

Rules have conditions that are not known here: ports, marks, times. A rule that names the bridge or
its subnet and accepts counts as accepting, whatever else its conditions are: its author had this
traffic in mind. A drop counts if it is certain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum, IntEnum
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from plumb.address import IPNetwork
from plumb.frozen import frozen
from plumb.things.iptables import waiting


class TrafficKind(Enum):
    """A kind of packet, see above."""

    OUT = "out"
    BACK = "back"
    IN = "in"
    PUBLISHED = "published"
    PROXIED = "proxied"


class Traffic(NamedTuple):
    """Packets of one kind, of a bridge network's address family.

    Attributes:
        way: the kind.
        bridge, subnet: where the containers are.
        uplinks: the links that default routes lead through: where the rest of the world is.
        protocol, port: "tcp" and the port of the host, for packets to the host.
        source, goal: the machine that sends to the host, or gets what it sends; None for any.
    """

    way: TrafficKind
    bridge: str
    subnet: IPNetwork
    uplinks: frozenset[str] = frozenset()
    protocol: str = ""
    port: int = 0
    source: IPNetwork | None = None
    goal: IPNetwork | None = None

    @property
    def to_host(self) -> bool:
        """True if the packets have an address of the host as their destination."""
        return self.way in (TrafficKind.PUBLISHED, TrafficKind.PROXIED)

    def machine(self, key: str) -> IPNetwork | None:
        """The one machine that a rule's saddr or daddr is compared with, if it is known."""
        if self.subnet.is_loopback:
            return LOOPBACK[self.subnet.version] if key == "saddr" else self.subnet
        return self.source if key == "saddr" else self.goal


class Fit(IntEnum):
    """Share of some traffic that matches a condition."""

    NONE = 0
    SOME = 1
    ALL = 2


class Condition(NamedTuple):
    """A condition of a rule.

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
        """Share of the traffic that matches the condition."""
        found = self._fit(traffic)
        return Fit(Fit.ALL - found) if self.negated else found

    def names(self, traffic: Traffic) -> bool:
        """True if the condition names this very bridge or its subnet."""
        if traffic.to_host:
            near: tuple[str, ...] = ("dport",)
        else:
            near = ("iifname", "saddr") if traffic.way is TrafficKind.OUT else ("oifname", "daddr")
        return self.key in near and not self.negated and self.fit(traffic) is Fit.ALL

    def _fit_to_host(self, traffic: Traffic) -> Fit:
        """Share of the packets to a port of the host, from whatever client."""
        match self.key:
            case "dport":
                return ALL_OR_NONE[any(_has_port(value, traffic.port) for value in self.values)]
            case "l4proto":
                return ALL_OR_NONE[traffic.protocol in self.values]
            case "ct state":
                return ALL_OR_NONE["new" in self.values]
            case "ct status":
                return Fit.SOME if "dnat" not in self.values else Fit.NONE
            case "nfproto":
                return ALL_OR_NONE[f"ipv{traffic.subnet.version}" in self.values]
            case "saddr" | "daddr" if machine := traffic.machine(self.key):
                return max(_covers(value, machine) for value in self.values)
            case "iifname" if traffic.subnet.is_loopback:
                return ALL_OR_NONE[any(_same("lo", value) for value in self.values)]
            case "iifname":
                outside = any(_same(dev, value) for dev in traffic.uplinks for value in self.values)
                return Fit.ALL if outside else Fit.SOME if set(self.values) - {"lo"} else Fit.NONE
        return Fit.SOME

    def _fit(self, traffic: Traffic) -> Fit:
        if traffic.to_host:
            return self._fit_to_host(traffic)
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


DSTNAT = -100
"""Priority of DNAT at the hook prerouting (NF_IP_PRI_NAT_DST)."""
LOOPBACK = {4: ip_network("127.0.0.1"), 6: ip_network("::1")}
"""Source of the host's packets to its loopback addresses, by family."""
ALL_OR_NONE = (Fit.NONE, Fit.ALL)
JUMPS = 64
"""Jumps from chain to chain that are followed; nf_tables takes 16 (NFT_JUMP_STACK_SIZE)."""


def _same(name: str, value: str) -> bool:
    return name.startswith(value[:-1]) if value.endswith("*") else name == value


def _has_port(value: str, port: int) -> bool:
    """True if a port is in a number or a range FIRST-LAST; false for the name of a service."""
    first, _, last = value.partition("-")
    last = last or first
    numbers = all(end.isascii() and end.isdigit() and len(end) <= 5 for end in (first, last))
    return numbers and int(first) <= port <= int(last)


def _covers(value: str, subnet: IPNetwork) -> Fit:
    """Share of a subnet in an address, prefix or range; unknown (SOME) for the name of a set."""
    try:
        if "-" in value:
            ends = [ip_address(end) for end in value.split("-")]
        else:
            network = ip_network(value, strict=False)
            ends = [network.network_address, network.broadcast_address]
        first, last = map(int, ends)
    except ValueError:
        return Fit.SOME
    low, high = int(subnet.network_address), int(subnet.broadcast_address)
    if ends[0].version != subnet.version or last < low or high < first:
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
        """Share of the traffic that matches all conditions of the rule."""
        return min((condition.fit(traffic) for condition in self.conditions), default=Fit.ALL)


class _Step(NamedTuple):
    """A chain's name; if all of the traffic comes there; if a rule on the way named it."""

    chain: str
    sure: bool = True
    named: bool = False


@frozen
class ForeignFirewall:
    """A base chain that drops what it does not know.

    Attributes:
        tool: whose it is: "nft", "iptables-nft", "ip6tables-legacy", …
        family: "ip", "ip6" or "inet".
        hook: "forward", "input", "prerouting" or "postrouting".
        priority: base chains of lower numbers come first; iptables' filter is 0.
        policy: "accept" or "drop".
        lines: the rules of the chain and of those that it jumps to, without plumb's.
        shared: plumb has rules in this chain too; those that stand behind plumb's are left out,
            since plumb has decided by then.
    """

    tool: str
    family: str
    table: str
    chain: str
    hook: str
    priority: int
    policy: str
    lines: Mapping[str, tuple[FirewallRule, ...]] = field(default_factory=dict, hash=False)
    shared: bool = False

    @property
    def drops(self) -> bool:
        """True if the chain drops anything."""
        return self.policy == "drop" or self._reaches_drop({self.chain}, [self.chain])

    def _reaches_drop(self, visited: set[str], ahead: list[str]) -> bool:
        while ahead:
            for rule in self.lines.get(ahead.pop(), ()):
                if rule.verdict == "drop":
                    return True
                if rule.target and rule.target not in visited:
                    visited.add(rule.target)
                    ahead.append(rule.target)
        return False

    @property
    def stands(self) -> bool:
        """True if the chain drops what none of its rules accepts."""
        last = self.lines.get(self.chain, ())[-1:]
        return self.policy == "drop" or last == (FirewallRule(verdict="drop"),)

    @property
    def why(self) -> str:
        """Reason why the chain drops packets, in words."""
        if self.policy == "drop":
            return "its policy is drop"
        last = "its last rule drops all that no other accepts"
        return last if self.stands else "a rule of it drops them"

    def concerns(self, version: int) -> bool:
        """True if packets of an address family pass this chain."""
        return self.family in ("inet", "ip" if version == 4 else "ip6")

    def stops(self, traffic: Traffic) -> bool:
        """True if the chain drops this traffic where it passes by its bridge.

        Before routing, packets come from the bridge; after it, they go there. On the other side
        they are the host's own, and an administrator who drops those means to.
        """
        if traffic.to_host:
            return self._stops_to_host(traffic)
        if (self.hook, traffic.way is TrafficKind.OUT) in (
            ("prerouting", False),
            ("postrouting", True),
        ) or self.hook == "input":
            return False
        return (self._verdict(traffic) or self.policy) != "accept"

    def refuses(self, traffic: Traffic) -> bool:
        """True if a rule drops packets to the host for certain, or what it sends to such a port.

        A policy is no proof: rules before it may accept for reasons that are not known here.
        """
        return self.hook in ("input", "output") and self._verdict(traffic) == "drop"

    def _stops_to_host(self, traffic: Traffic) -> bool:
        if self.hook == "input" and traffic.way is TrafficKind.PROXIED:
            return (self._verdict(traffic) or self.policy) != "accept"
        if self.hook == "prerouting" and self.priority < DSTNAT:
            return self._verdict(traffic) == "drop"
        return False

    def _verdict(self, traffic: Traffic) -> str:
        """Walk the chain and return its verdict: accept, drop, or nothing."""
        return self._walk(_Step(self.chain), traffic, {}, JUMPS)

    def _walk(self, step: _Step, traffic: Traffic, known: dict[_Step, str], left: int) -> str:
        """Walk one chain, once; what jumps to itself, which no kernel takes, has no verdict."""
        if step not in known and left:
            known[step] = ""
            known[step] = self._rules(step, traffic, known, left)
        return known.get(step, "")

    def _rules(self, step: _Step, traffic: Traffic, known: dict[_Step, str], left: int) -> str:
        for line in self.lines.get(step.chain, ()):
            fit = line.fit(traffic)
            if fit is Fit.NONE:
                continue
            certain = step.sure and fit is Fit.ALL
            about = step.named or any(condition.names(traffic) for condition in line.conditions)
            if line.verdict == "accept" and (certain or about):
                return "accept"
            if line.verdict == "drop" and certain:
                deliberate = traffic.to_host and self.hook == "prerouting" and not about
                return "accept" if deliberate else "drop"
            if line.verdict in ("jump", "goto"):
                verdict = self._walk(_Step(line.target, certain, about), traffic, known, left - 1)
                if verdict or (certain and line.verdict == "goto"):
                    return verdict
            if line.verdict == "return" and fit is Fit.ALL:
                break
        return ""

    def __str__(self) -> str:
        owner = f"table {self.family}" if self.tool == "nft" else f"{self.tool} table"
        where = f"{owner} {self.table}"
        return f"{where}, chain {self.chain} (hook {self.hook}, priority {self.priority})"


def openings(firewall: ForeignFirewall, bridges: Sequence[str]) -> list[str]:
    """Commands that insert accepting rules for bridges at the head of the chain.

    Firewalld's chains are changed through firewalld.
    """
    if firewall.table == "firewalld":
        return [
            f"firewall-cmd {keep}--zone=trusted --add-interface={bridge}"
            for bridge in bridges
            for keep in ("", "--permanent ")
        ]
    sides = [
        side
        for side, hook in (("iif", "postrouting"), ("oif", "prerouting"))
        if firewall.hook != hook
    ]
    if firewall.tool != "nft":
        table = "" if firewall.table == "filter" else f"-t {firewall.table} "
        return [
            f"{waiting(firewall.tool)} {table}-I {firewall.chain} -{side[0]} {bridge} -j ACCEPT"
            for bridge in bridges
            for side in sides
        ]
    quoted = [f'"{bridge}"' for bridge in bridges]
    names = quoted[0] if len(quoted) == 1 else f"{{ {', '.join(quoted)} }}"
    chain = f"{firewall.family} {firewall.table} {firewall.chain}"
    return [f"nft insert rule {chain} {side}name {names} accept" for side in sides]


def port_openings(firewall: ForeignFirewall, ports: Sequence[tuple[str, int]]) -> list[str]:
    """Commands that insert accepting rules for ports at the head of the chain."""
    if firewall.table == "firewalld":
        return [
            f"firewall-cmd {keep}--add-port={port}/{protocol}"
            for protocol, port in ports
            for keep in ("", "--permanent ")
        ]
    if firewall.tool != "nft":
        table = "" if firewall.table == "filter" else f"-t {firewall.table} "
        return [
            f"{waiting(firewall.tool)} {table}-I {firewall.chain}"
            f" -p {protocol} --dport {port} -j ACCEPT"
            for protocol, port in ports
        ]
    chain = f"{firewall.family} {firewall.table} {firewall.chain}"
    return [f"nft insert rule {chain} {protocol} dport {port} accept" for protocol, port in ports]
