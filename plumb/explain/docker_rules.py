"""Docker's rules by pattern: of 20.10 to main, of both back ends, of swarm.

Docker records no reasons; but its rules follow a few patterns, and plumb's own are the same with
PLUMB for DOCKER.
"""

from __future__ import annotations

from typing import NamedTuple

from plumb.drivers import rule_reasons

WHOSE = r"(?:DOCKER|PLUMB)"
TABLES = r"(?:docker|plumb)-bridges"
DNS_TABLES = r"(?:docker|plumb)-dns"

PUBLISHED = "published: the destination is rewritten to a container's"
PARTED = "networks are parted from each other"
MESH = "the routing mesh: a service's published port, taken on every node"
TASK = "a service's task: the routing mesh reaches the published port on it, and no other"


class Pattern(NamedTuple):
    """Regular expressions for a rule's table, chain and text, and the reason for such rules."""

    table: str
    chain: str
    words: str
    why: str


FORWARD = rf"{WHOSE}-FORWARD|FORWARD"
TABLE = (
    Pattern("filter", "FORWARD", rf"-j {WHOSE}-USER", rule_reasons.USERS_RULES_FIRST),
    Pattern(
        "filter", rf"{WHOSE}-USER", "-j RETURN", "nobody has a rule of their own: Docker's end"
    ),
    Pattern(
        "filter",
        rf"{WHOSE}-USER",
        ".*",
        "the administrator's own rule: Docker makes this chain and leaves it to them",
    ),
    Pattern(
        "filter", "FORWARD", rf"-j {WHOSE}-FORWARD", "whatever is forwarded passes Docker's rules"
    ),
    Pattern("filter", FORWARD, rf"-j {WHOSE}-CT", rule_reasons.ESTABLISHED),
    Pattern("filter", FORWARD, rf"-j {WHOSE}-(?:INTERNAL|ISOLATION-STAGE-1)", PARTED),
    Pattern("filter", FORWARD, rf"-j {WHOSE}-(?:BRIDGE|INGRESS)", rule_reasons.INTO_CONTAINERS),
    Pattern(
        "filter",
        rf"{WHOSE}-CT|FORWARD",
        r"-o \S+ .*(?:RELATED,ESTABLISHED|ESTABLISHED,RELATED) -j ACCEPT",
        rule_reasons.REPLIES,
    ),
    Pattern(
        "filter",
        rf"{WHOSE}-(?:INTERNAL|ISOLATION).*",
        ".*-j DROP",
        "an internal network, or one network's way to another: cut off",
    ),
    Pattern(
        "filter",
        rf"{WHOSE}-BRIDGE|FORWARD",
        rf"-o \S+ -j {WHOSE}",
        "packets to this bridge: only published ports are let in",
    ),
    Pattern("filter", WHOSE, r"! -i \S+ -o \S+ -j DROP", rule_reasons.UNPUBLISHED),
    Pattern("filter", WHOSE, r"! -i \S+ -o \S+ -j ACCEPT", rule_reasons.UNPROTECTED),
    Pattern(
        "filter", WHOSE, r"-o \S+ -p (?:icmp|ipv6-icmp) -j ACCEPT", rule_reasons.ICMP_OF_ROUTED
    ),
    Pattern(
        "filter",
        rf"{WHOSE}-ISOLATION-STAGE-1",
        rf"-i \S+ ! -o \S+ -j {WHOSE}-ISOLATION-STAGE-2",
        "what leaves this bridge: to another one it is dropped in the next chain",
    ),
    Pattern("filter", rf"{WHOSE}-ISOLATION-STAGE-\d", "-j RETURN", "no other network: go on"),
    Pattern(
        "filter",
        FORWARD,
        r"-m set --match-set docker-ext-bridges-v\d dst .*",
        "packets to any of Docker's bridges, whose names are in that set",
    ),
    Pattern(
        "filter", WHOSE, r"-d \S+ ! -i \S+ -o \S+ .*--dport \d+ -j ACCEPT", "this port is published"
    ),
    Pattern("filter", FORWARD, r"-i (\S+) -o \1 -j DROP", rule_reasons.NO_ICC),
    Pattern(
        "filter",
        FORWARD,
        r"-i (\S+) -o \1 -j ACCEPT",
        "containers of a network reach each other (icc)",
    ),
    Pattern("filter", FORWARD, r"-i \S+(?: ! -o \S+)? -j ACCEPT", rule_reasons.OUTGOING),
    Pattern("filter|nat", rf"{WHOSE}-INGRESS", "-j RETURN", "no service's port: go on"),
    Pattern("filter|nat", rf"{WHOSE}-INGRESS", ".*", MESH),
    Pattern("nat", "PREROUTING|OUTPUT", rf".*--dst-type LOCAL -j {WHOSE}-INGRESS", MESH),
    Pattern(
        "filter",
        "INPUT",
        r"-p udp -m policy --dir in --pol none .*-j DROP",
        "an encrypted overlay network: its packets are taken by ESP alone, never in the clear",
    ),
    Pattern(
        "mangle",
        "OUTPUT",
        r"-p udp .*-j MARK --set-x?mark 0xd0c4e3(?:/\S+)?",
        "an encrypted overlay network: the mark by which its packets go out by ESP",
    ),
    Pattern(
        "nat",
        "PREROUTING|OUTPUT",
        rf".*--dst-type LOCAL -j {WHOSE}",
        "to an address of this host: it may be a published port",
    ),
    Pattern("nat", WHOSE, r".*-j DNAT --to-destination \S+", PUBLISHED),
    Pattern("nat", WHOSE, r"-i \S+ -j RETURN", "from a container to a published port: the proxy's"),
    Pattern("nat", "POSTROUTING", r"-s (\S+) -d \1 .*-j MASQUERADE", rule_reasons.HAIRPIN),
    Pattern(
        "nat",
        "POSTROUTING",
        r"-s \S+ ! -o \S+ -j (?:MASQUERADE|SNAT).*",
        rule_reasons.masquerade("this network"),
    ),
    Pattern(
        "nat", "POSTROUTING", r"-o \S+ .*--src-type LOCAL -j MASQUERADE", rule_reasons.LOCAL_SOURCE
    ),
    Pattern(
        "raw",
        "PREROUTING",
        r"-d 127\.0\.0\.1\S* ! -i lo .*-j DROP",
        "published on this host's loopback: nobody else's, whatever a neighbour routes here",
    ),
    Pattern("raw", "PREROUTING", r"-d \S+ ! -i \S+ -j DROP", rule_reasons.NO_DIRECT_ROUTING),
    Pattern(
        "raw",
        "PREROUTING",
        r"-d \S+ -i \S+ -j ACCEPT",
        "this interface is trusted to reach containers directly",
    ),
    Pattern(
        "nat",
        rf"{WHOSE}_(?:OUTPUT|POSTROUTING)|OUTPUT|POSTROUTING",
        r".*127\.0\.0\.11.*",
        "the embedded DNS server at 127.0.0.11",
    ),
    Pattern(DNS_TABLES, ".*", ".*", "the embedded DNS server at 127.0.0.11"),
    Pattern(TABLES, ".*", '.*comment "ICC"', "containers of a network reach each other (icc)"),
    Pattern(TABLES, ".*", '.*comment "OUTGOING"', rule_reasons.OUTGOING),
    Pattern(
        TABLES,
        ".*",
        '.*comment "INTERNAL NETWORK (?:IN|E)GRESS"',
        "an internal network: nothing enters or leaves it",
    ),
    Pattern(
        TABLES,
        "filter-forward-in__.*",
        r"ip6? daddr \S+ \w+ dport \S+ .*accept.*",
        "this port is published",
    ),
    Pattern(TABLES, "raw-PREROUTING", "ip6? daddr .*drop.*", rule_reasons.NO_DIRECT_ROUTING),
    Pattern(TABLES, "filter-forward-in__.*", ".*UNPUBLISHED PORT DROP.*", rule_reasons.UNPUBLISHED),
    Pattern(
        TABLES,
        "filter-forward-.*",
        "ct state established,related .*accept",
        rule_reasons.ESTABLISHED,
    ),
    Pattern(TABLES, ".*", ".*dnat to .*", PUBLISHED),
    Pattern(TABLES, ".*", ".*(?:masquerade|snat to).*", rule_reasons.masquerade("this network")),
    Pattern(TABLES, ".*", ".*(?:vmap|jump) .*", "to the chains of this network"),
)
"""Rules on a host and in any container."""
INSIDE = (
    Pattern("filter", "INPUT", r"-d \S+ .*--dport \d+ .*NEW,ESTABLISHED -j ACCEPT", TASK),
    Pattern("filter", "OUTPUT", r"-s \S+ .*--sport \d+ .*--ctstate ESTABLISHED -j ACCEPT", TASK),
    Pattern("filter", "INPUT", r"-d \S+ -p (?:tcp|udp|sctp) -j DROP", TASK),
    Pattern("filter", "OUTPUT", r"-s \S+ -p (?:tcp|udp|sctp) -j DROP", TASK),
    Pattern(
        "nat",
        "PREROUTING",
        r"-d \S+ .*--dport \d+ -j REDIRECT --to-ports \d+",
        "a service's task: the published port of the mesh is the program's own",
    ),
    Pattern(
        "mangle",
        "PREROUTING|INPUT|OUTPUT",
        r".*-j MARK --set-x?mark .*",
        "the mark by which IPVS knows the service of a published port or a virtual address",
    ),
    Pattern(
        "nat",
        "POSTROUTING",
        r"-d \S+ -m ipvs --ipvs -j SNAT --to-source \S+",
        "the balancer's own address, so that the task's answer comes back to it",
    ),
)
"""Rules of swarm inside its sandboxes and its tasks' namespaces.

On the host the same words are somebody's own.
"""
