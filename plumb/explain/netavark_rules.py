"""netavark's and CNI's rules of iptables by pattern: those of Podman, nerdctl, Kubernetes' nodes.

Neither records its reasons, but their rules follow a few patterns (netavark 1.4, plugins 1.1).
"""

from __future__ import annotations

from plumb.explain.docker_rules import Pattern

NETWORK = r"NETAVARK-[0-9A-F]{13}"
"""A network's chain in nat: a digest of its name."""
FORWARDS = r"NETAVARK-DN-[0-9A-F]{13}"
POD = r"CNI-[0-9a-f]{24}"
"""A container's chain in nat: a digest of its network's name and its id."""
POD_PORTS = r"CNI-DN-[0-9a-f]{21}"
ISOLATION = r"NETAVARK_ISOLATION_[123]"
PORTS = "published ports: who asks an address of this host may mean a container"
MARKED = "published ports, asked by this host or the same network: answers must come back here"
FORWARDED = "what is forwarded passes these rules"
SENT = "whatever a container sends"
ADMIN = "the administrator's own rule: CNI makes this chain, and leaves it to them"
TO_CONTAINER = "published: the destination is rewritten to a container's"
OWN_SUBNET = "within a network sources stay as they are"
MASQUERADED = "what leaves a network has the host's address, which others have a route to"

NETAVARK = (
    Pattern("filter", "FORWARD", r".*-j NETAVARK_FORWARD", FORWARDED),
    Pattern(
        "filter",
        "NETAVARK_FORWARD",
        r"-d \S+ .*--ctstate \S+ -j ACCEPT",
        "answers to a network's containers",
    ),
    Pattern("filter", "NETAVARK_FORWARD", r"-s \S+ -j ACCEPT", SENT),
    Pattern(
        "filter",
        f"FORWARD|{ISOLATION}",
        f".*-j {ISOLATION}",
        "networks with --opt isolate are parted from each other",
    ),
    Pattern("filter", ISOLATION, r"-o \S+ -j DROP", "from another network with --opt isolate"),
    Pattern("nat", "PREROUTING|OUTPUT", r".*-j NETAVARK-HOSTPORT-DNAT", PORTS),
    Pattern("nat", "NETAVARK-HOSTPORT-DNAT", rf".*-j {FORWARDS}", "a container's published port"),
    Pattern("nat", FORWARDS, r".*-j NETAVARK-HOSTPORT-SETMARK", MARKED),
    Pattern("nat", FORWARDS, r".*-j DNAT --to-destination \S+", TO_CONTAINER),
    Pattern("nat", "NETAVARK-HOSTPORT-SETMARK", r"-j MARK --set-xmark \S+", MARKED),
    Pattern("nat", "POSTROUTING", r"-j NETAVARK-HOSTPORT-MASQ", MARKED),
    Pattern("nat", "NETAVARK-HOSTPORT-MASQ", r".*-j MASQUERADE", MARKED),
    Pattern("nat", "POSTROUTING", rf"-s \S+ -j {NETWORK}", "what a network's containers send"),
    Pattern("nat", NETWORK, r"-d \S+ -j ACCEPT", OWN_SUBNET),
    Pattern("nat", NETWORK, r"! -d \S+ -j MASQUERADE", MASQUERADED),
)
CNI = (
    Pattern("filter", "FORWARD", r".*-j CNI-FORWARD", FORWARDED),
    Pattern("filter", "CNI-FORWARD", r".*-j CNI-ADMIN", "the administrator's rules come first"),
    Pattern("filter", "CNI-FORWARD", r"-d \S+ .*--ctstate \S+ -j ACCEPT", "answers to a container"),
    Pattern("filter", "CNI-FORWARD", r"-s \S+ -j ACCEPT", SENT),
    Pattern("filter", "CNI-ADMIN", ".*", ADMIN),
    Pattern("nat", "PREROUTING|OUTPUT", r".*-j CNI-HOSTPORT-DNAT", PORTS),
    Pattern("nat", "CNI-HOSTPORT-DNAT", rf".*-j {POD_PORTS}", "published ports (portmap)"),
    Pattern("nat", POD_PORTS, r".*-j CNI-HOSTPORT-SETMARK", MARKED),
    Pattern("nat", POD_PORTS, r".*-j DNAT --to-destination \S+", TO_CONTAINER),
    Pattern("nat", "CNI-HOSTPORT-SETMARK", r".*-j MARK --set-xmark \S+", MARKED),
    Pattern("nat", "POSTROUTING", r".*-j CNI-HOSTPORT-MASQ", MARKED),
    Pattern("nat", "CNI-HOSTPORT-MASQ", r".*-j MASQUERADE", MARKED),
    Pattern("nat", "POSTROUTING", rf"-s \S+ .*-j {POD}", "what a container sends (ipMasq)"),
    Pattern("nat", POD, r"-d \S+ .*-j ACCEPT", OWN_SUBNET),
    Pattern("nat", POD, r"! -d \S+ .*-j MASQUERADE", MASQUERADED),
)
