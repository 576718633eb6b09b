"""Reasons of chains, rules and balancers.

A rule carries its own reason, in the words of `drivers.rule_reasons`. What breaks without it
follows from what it does to a packet.
"""

from __future__ import annotations

import re

from plumb.drivers import rule_reasons
from plumb.explain.reason import Reason
from plumb.things.iptables import Chain, Policy, Rule
from plumb.things.ipvs import IpvsDestination, IpvsService, IpvsTimeouts
from plumb.things.nftables import NftChain, NftElement, NftMap, NftRule, NftTable

CHAINS: tuple[tuple[str, str], ...] = (
    (r"(PLUMB|DOCKER)-USER", "the administrator's own rules, which come before all others"),
    (r"(PLUMB|DOCKER)-FORWARD", "the order in which a forwarded packet meets the chains below"),
    (r"(PLUMB|DOCKER)-CT", "answers to connections that were let through, a rule for each bridge"),
    (r"(PLUMB|DOCKER)-INTERNAL", "nothing enters or leaves an internal network"),
    (r"(PLUMB|DOCKER)-BRIDGE", "packets to a bridge, a jump for each"),
    (r"(PLUMB|DOCKER)-ISOLATION-STAGE-\d", "packets of one network to another are dropped"),
    (r"(PLUMB|DOCKER)-INGRESS", "published ports of services, on every node"),
    (r"(PLUMB|DOCKER)-OVERLAY", "the tunnels' port is for nodes of the cluster alone"),
    (r"PLUMB-VS-[0-9A-F]+|vs-[0-9a-f]+", "the choice of a task for a new connection to a service"),
    (r"(PLUMB|DOCKER)_(OUTPUT|POSTROUTING)", "questions to 127.0.0.11 go to the embedded DNS"),
    (r"PLUMB|DOCKER", "published ports: in nat their destination, in filter who may come in"),
)
NFT_CHAINS: tuple[tuple[str, str], ...] = (
    (r".*forward-in__.*", "packets to a bridge's containers: what is published, and nothing else"),
    (r".*forward-out__.*", "packets from a bridge's containers"),
    (r".*postrouting-out__.*", "packets of a network that leave by another link: their source"),
    (r".*postrouting-in__.*", "packets to a network that need this host's address as source"),
    (r".*nat.*(prerouting|output).*", "destinations of published ports"),
    (r"raw-.*", "containers are not reached past their published ports"),
    (r"services-.*", "a balancer's choice among the tasks of its services"),
    (r"(?s:.*)", "where packets enter the rules of this table"),
)
EFFECTS: tuple[tuple[str, str], ...] = (
    (
        r"MASQUERADE|SNAT|snat|masquerade",
        "answers go to an address that is known to nobody outside",
    ),
    (r"DNAT|dnat", "connections to this address and port do not come to the container"),
    (r"REDIRECT|redirect", "connections to the published port do not come to the command's port"),
    (r"(?i)(?<![\w-])drop", "the packets that it drops would come through"),
    (r"(?i)reject", "the packets that it refuses would come through"),
    (r"(?i)(?<![\w-])accept", "packets that it accepts meet the rules behind it, which drop them"),
    (r"RETURN|return", "packets that it lets pass would be rewritten by the rules behind it"),
    (r"MARK|mark set|HMARK", "the connection has no mark, by which it would be sent to a task"),
    (r"(?:-j|-g|jump|goto) \S", "packets do not come to the rules of the chain that it leads to"),
)
OPTIONS: tuple[tuple[str, str], ...] = (
    (re.escape(rule_reasons.NO_ICC), "-o com.docker.network.bridge.enable_icc=false"),
    (r"containers of .* reach each other", "-o com.docker.network.bridge.enable_icc"),
    (r"the world does not know", "-o com.docker.network.bridge.enable_ip_masquerade"),
    (r"nothing (leaves|enters) the internal", "--internal"),
    (r"published|it may be a published port|service's mark", "-p, --publish"),
    (r"this host's alone", "-p 127.0.0.1:…"),
    (r"a link: ", "--link"),
    (r"a routed network|unprotected", "-o com.docker.network.bridge.gateway_mode_ipv4=routed"),
    (r"let in by the administrator", "bridge-accept-fwmark in the settings"),
    (r"DNS|127\.0\.0\.11", "--dns; a user-defined network"),
    (r"slot|task|balancer", "service create"),
)


def first(table: tuple[tuple[str, str], ...], text: str, whole: bool = False) -> str:
    """Return the words of the first pattern that fits a text; empty without one.

    Args:
        whole: the pattern must fit all of the text.
    """
    test = re.fullmatch if whole else re.search
    return next((words for pattern, words in table if test(pattern, text)), "")


def chain(thing: Chain) -> Reason:
    why = first(CHAINS, thing.name, whole=True) or "rules that belong together"
    return Reason(
        "chain",
        f"{why} (table {thing.table})",
        "the rules in it, and those that lead to it, cannot be",
        next="through its rules in their order, and back to the chain that they came from",
    )


def rule(thing: Rule | NftRule) -> Reason:
    target = re.search(r"(?:-j|-g|jump|goto) (\S+)", thing.spec)
    return Reason(
        "rule",
        thing.why or "plumb made it before it noted reasons",
        first(EFFECTS, thing.spec) or "what it counts or marks is not",
        first(OPTIONS, thing.why),
        f"if it fits, to {target[1]}" if target else "",
    )


def policy(thing: Policy) -> Reason:
    return Reason(
        "policy",
        thing.why or f"packets that no rule of {thing.chain} decides: {thing.verdict}",
        "this host forwards for anybody, not only for its containers",
        "ip-forward-no-drop in the settings turns it off",
    )


def nft_table(thing: NftTable) -> Reason:
    return Reason(
        "nft table",
        "plumb's rules in a table of their own: no other firewall's rules are touched",
        "none of the rules in it can be",
        "firewall-backend nftables",
    )


def nft_map(thing: NftMap) -> Reason:
    return Reason(
        "nft map",
        "a packet's link chooses the chain by one look, however many networks there are",
        "no packet finds the rules of its network",
        next="to the chain that it names for the link",
    )


def nft_chain(thing: NftChain) -> Reason:
    return Reason(
        "nft chain",
        first(NFT_CHAINS, thing.name, whole=True),
        "the rules in it, and those that lead to it, cannot be",
        next="through its rules in their order",
    )


def nft_element(thing: NftElement) -> Reason:
    return Reason(
        "map element",
        f"packets of {thing.link} go to the chain {thing.chain}",
        f"packets of {thing.link} pass none of its network's rules",
        next=f"to the chain {thing.chain}",
    )


def ipvs_service(thing: IpvsService) -> Reason:
    return Reason(
        "IPVS service",
        f"connections with the mark {thing.mark:#x} go to a service's tasks, by {thing.scheduler}",
        "the service's virtual address answers nobody",
        "service create --lb-algorithm",
        "to one of its destinations",
    )


def ipvs_destination(thing: IpvsDestination) -> Reason:
    weight = "no new connection" if thing.weight == 0 else "its share of new connections"
    return Reason(
        "IPVS destination",
        f"the task {thing.ip} gets {weight}",
        "the task gets no connection by the virtual address",
        "service create --replicas",
        f"to {thing.ip}",
    )


def ipvs_timeouts(thing: IpvsTimeouts) -> Reason:
    return Reason(
        "IPVS timeouts",
        f"a TCP connection without a packet is known for {thing.tcp} s, longer than the kernel's "
        "keepalive waits",
        "idle connections break after 900 s",
    )
