"""Scenarios that plumb cannot play yet, and facts that it makes otherwise on purpose.

The first are skipped, the second left out of the comparison, each with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

MISSING: Mapping[str, str] = {
    "swarm-overlay-ipv6": "plumb's IPv6 overlay networks work: docs/differences.md",
    # Nodes take their addresses there before the first service, not after it.
    "swarm-ingress-custom": "an ingress network made anew is there at once: docs/differences.md",
}


FEATURES: Mapping[str, tuple[str, ...]] = {"ip_vs": ("ipvs", "ipvs-rr", "xt_ipvs")}
"""Kernel features by the module that a scenario names."""
ESP = ("esp4", "aes-gcm", "bpf", "policy", "mark")


def missing(scenario: str) -> str:
    """Why that scenario cannot be played, empty if it can."""
    return next(
        (reason for pattern, reason in MISSING.items() if fnmatchcase(scenario, pattern)), ""
    )


BALANCER = re.compile(r"^h\d lo\+veth sysctl net\.ipv4\.(ip_forward|conf\..*\.forwarding) =")
TUNNELS = re.compile(r"(PLUMB|DOCKER)-OVERLAY|vxlan-in")
BALANCING = re.compile(
    r"^h\d balancer \S+ (iptables (mangle|nat)|nft) | ipvs | sysctl net\.ipv4\.vs\."
)
"""What differs between balancers by IPVS and those by iptables or nftables."""
DIRECT = re.compile(r" address lo 10\.50\.|arp_(ignore|announce)|-> vip web n1 \S+ (tcp|udp)/80: ")
"""Direct return is IPVS's alone: without it, tasks see the balancer, and a task is not the only one
that it reaches by its service's address."""
# Docker sets its balancers' IPVS settings on the host as well; an idle connection outlives 900 s.
IPVS = r"^h\d sysctl net\.ipv4\.vs\.|^h\d balancer \S+ ipvs timeouts"
# IPv6 clients of a port of the ingress network are served, by a socket of their own.
SIX = (
    r"^h\d listens (tcp|udp) (\*|0\.0\.0\.0|\[::\]):\d+$"
    r"|-> \S+ published (2001:db8:2::1\d|::1):\d+/(tcp|udp): "
)
LEFT = (
    r"^h1 iptables (filter|nat) .*DOCKER-INGRESS|route_localnet = "
    r"|POSTROUTING -o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE$"
)
IDLE = (
    r"^h1 balancer \S+ (iptables nat POSTROUTING -d \S+ -m ipvs --ipvs -j SNAT |"
    r"sysctl net\.ipv4\.vs\.conntrack = )"
)
"""What a balancer without tasks keeps in Docker."""
BLOCK = r"^h\d xfrm policy .* action block "
INTENDED: Mapping[str, re.Pattern[str]] = {
    # A balancer forwards, whatever the machine's first namespace does (docs/differences.md).
    "overlay-one-host": BALANCER,
    "overlay-two-hosts": BALANCER,
    # What would leave in the clear is blocked by a policy as well, and Docker sets its balancers'
    # IPVS settings on the host (docs/differences.md).
    "overlay-encrypted": re.compile(rf"{BALANCER.pattern}|{BLOCK}|^h\d sysctl net\.ipv4\.vs\."),
    "swarm-two-hosts-encrypted": re.compile(BLOCK),
    # So does the namespace of a network with several subnets, which is a router between them.
    "swarm-overlay-subnets": re.compile(r"-> c\d 10\.5[01]\.0\.\d+ (icmp|tcp/80|udp/80): "),
    # A subnet that overlaps another one's is refused when the network is created, not when a
    # container joins; networks of other drivers are a host's own.
    "swarm-refused": re.compile(r"^step (9|18) |^network h1/(n3|n8) "),
    # Nothing is left of a service's ports, and its names are known without a task.
    "swarm-service-rm": re.compile(f"{LEFT}|{IDLE}"),
    "swarm-scale-zero": re.compile(rf"{LEFT}|{IDLE}|-> dns (tasks\.web|web\S*): (nodata|nxdomain)"),
    # What a task asks its own service under direct return reaches all of its tasks, by its rules.
    "swarm-dsr": re.compile(r"^web#\d (iptables (mangle|nat) |-> vip web n1 \S+ (tcp|udp)/80: )"),
    # Two published ports of one target port have one rule for it.
    "swarm-ingress-forms": re.compile(r"^web#1 iptables filter (INPUT|OUTPUT) .*port 80 "),
    # A port of mode host is listed once.
    "swarm-host-port": re.compile(r"^service web task h1: Running, Running, ports "),
    "swarm-host-port-overlay": re.compile(r"^service web task h1: Running, Running, ports "),
    "swarm-two-hosts-dnsrr": re.compile(r"^service web task h\d: Running, Running, ports "),
    # c2 shares c1's network stack, and moves into the new one (docs/differences.md): its server
    # answers there in place of c1's.
    "found-shared-restart": re.compile(r"\bc2\b|/tcp: c1 saw|tcp/80: c1 saw"),
    # The port of the tunnels is closed to all but other nodes.
    "overlay-*": TUNNELS,
    "swarm-*": re.compile(f"{TUNNELS.pattern}|{IPVS}|{SIX}"),
}


def intended(scenario: str, fact: str) -> bool:
    """True if a fact of that scenario differs from Docker's on purpose."""
    return any(
        fnmatchcase(scenario, name) and facts.search(fact) is not None
        for name, facts in INTENDED.items()
    )


def balancing(scenario: str, fact: str) -> bool:
    """True if a fact of that scenario is IPVS's own, or that of what stands in for it."""
    direct = scenario == "swarm-dsr" and DIRECT.search(fact) is not None
    return direct or BALANCING.search(fact) is not None
