"""Objects that other programs leave in the kernel: who makes them, why, and for which option.

Chains, tables and maps of nft, comments, links, sysctls and namespaces of Docker 20.10 to main,
Podman, CNI, kube-proxy, firewalld, ufw, libvirt, LXD and Tailscale, by their names.
"""

from __future__ import annotations

import re
from typing import NamedTuple

DOCKER, PODMAN, CNI, KUBE = "Docker", "Podman", "CNI", "kube-proxy"
FIREWALLD, UFW, LIBVIRT, LXD, TAILSCALE = "firewalld", "ufw", "libvirt", "LXD", "Tailscale"


class KnownObject(NamedTuple):
    """An object.

    Attributes:
        kind: "chain", "table", "map", "comment", "link", "sysctl" or "namespace".
        name: a regular expression for its name.
        owner: the program that makes it.
        why: why it is there.
        option: the option that makes it; empty where it comes with the program.
    """

    kind: str
    name: str
    owner: str
    why: str
    option: str = ""


ICC, PUBLISH = "--icc, com.docker.network.bridge.enable_icc", "-p, --publish"
INGRESS = "docker service create --publish"
SUBNETS = "docker network create"
NETWORKS = "podman network create"
BALANCED = "docker service create --endpoint-mode vip"
LOCALNET = "userland-proxy: false"

CHAINS = (
    KnownObject("chain", "DOCKER-USER", DOCKER, "the administrator's own rules, asked first"),
    KnownObject("chain", "DOCKER-FORWARD", DOCKER, "the order in which Docker's chains are asked"),
    KnownObject("chain", "DOCKER-CT", DOCKER, "answers to connections that were let through"),
    KnownObject("chain", "DOCKER-INTERNAL", DOCKER, "internal networks are cut off", "--internal"),
    KnownObject("chain", "DOCKER-BRIDGE", DOCKER, "packets to a bridge, a jump for each", SUBNETS),
    KnownObject(
        "chain", r"DOCKER-ISOLATION-STAGE-\d", DOCKER, "networks are parted (until 28)", SUBNETS
    ),
    KnownObject("chain", "DOCKER-INGRESS", DOCKER, "services' ports on every node", INGRESS),
    KnownObject("chain", "DOCKER-OVERLAY", DOCKER, "the tunnels' port", "--opt encrypted"),
    KnownObject(
        "chain", "DOCKER_(?:OUTPUT|POSTROUTING)", DOCKER, "questions to 127.0.0.11", "--dns"
    ),
    KnownObject("chain", "DOCKER", DOCKER, "published ports, and who may come in", PUBLISH),
    KnownObject("chain", "filter-forward-in__.*", DOCKER, "packets to a bridge", SUBNETS),
    KnownObject("chain", "filter-forward-out__.*", DOCKER, "packets from a bridge", SUBNETS),
    KnownObject(
        "chain", "nat-postrouting-in__.*", DOCKER, "sources of packets to a bridge", LOCALNET
    ),
    KnownObject(
        "chain", "nat-postrouting-out__.*", DOCKER, "sources of packets from a bridge", SUBNETS
    ),
    KnownObject("chain", "nat-prerouting-and-output", DOCKER, "published ports", PUBLISH),
    KnownObject(
        "chain",
        "filter-FORWARD|nat-(?:OUTPUT|POSTROUTING|PREROUTING)|raw-PREROUTING",
        DOCKER,
        "where packets enter Docker's rules",
        "firewall-backend: nftables",
    ),
    KnownObject("chain", "dns-[ds]nat", DOCKER, "questions to 127.0.0.11", "--dns"),
    KnownObject("chain", "KUBE-.*|mark-for-masquerade", KUBE, "services of Kubernetes"),
    KnownObject("chain", "cali-.*", "Calico", "policies of Kubernetes"),
    KnownObject("chain", "FLANNEL-.*", "flannel", "the pods' subnets"),
    KnownObject("chain", "CNI-(?:HOSTPORT|DN|SN)-.*", CNI, "host ports (portmap)", "hostPort"),
    KnownObject("chain", "CNI-.*", CNI, "a pod's packets (bridge, firewall)", "ipMasq"),
    KnownObject(
        "chain", "NETAVARK-(?:HOSTPORT|DN)-.*", PODMAN, "published ports (netavark)", PUBLISH
    ),
    KnownObject("chain", "NETAVARK_ISOLATION_.*", PODMAN, "networks are parted", "--opt isolate"),
    KnownObject("chain", "NETAVARK_FORWARD", PODMAN, "what is forwarded for containers", NETWORKS),
    KnownObject("chain", "NETAVARK-.*", PODMAN, "sources of a network's packets", NETWORKS),
    KnownObject("chain", "LIBVIRT_.*", LIBVIRT, "virtual networks of guests"),
    KnownObject("chain", "f2b-.*", "fail2ban", "addresses that are banned"),
    KnownObject("chain", "ts-.*", TAILSCALE, "packets of the tailnet"),
    KnownObject("chain", "ufw6?-.*", UFW, "the administrator's rules in ufw's words"),
    KnownObject("chain", r"(?:fwd|in|out|pstrt|egress)\.\S+", LXD, "a bridge of LXD's"),
    KnownObject(
        "chain",
        "(?:filter|nat|mangle|raw)_(?:INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING|IN_|FWD_|OUT_|"
        "PRE_|POST_).*|(?:INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING)_(?:direct|ZONES).*",
        FIREWALLD,
        "zones of links",
    ),
)
TABLES = (
    KnownObject("table", "docker-bridges", DOCKER, "bridge networks", "firewall-backend: nftables"),
    KnownObject("table", "docker-dns", DOCKER, "questions to 127.0.0.11", "--dns"),
    KnownObject("table", "docker-overlay", DOCKER, "the tunnels' port", "--opt encrypted"),
    KnownObject("table", "netavark", PODMAN, "networks and published ports"),
    KnownObject("table", "cni_\\w+", CNI, "host ports and masquerading"),
    KnownObject("table", "kube-proxy", KUBE, "services of Kubernetes"),
    KnownObject("table", "firewalld", FIREWALLD, "zones of links"),
    KnownObject("table", "libvirt_network", LIBVIRT, "virtual networks of guests"),
    KnownObject("table", "lxd|incus", LXD, "bridges of LXD's"),
    KnownObject(
        "map", r"(?:filter|nat)-\w+-(?:in|out)-jumps", DOCKER, "a bridge's chains", SUBNETS
    ),
)
COMMENTS = (
    KnownObject("comment", ".*comment .?generated for (?:LXD|Incus) .*", LXD, "a bridge of LXD's"),
    KnownObject("comment", ".*comment .?(?:kubernetes |.*cluster IP).*", KUBE, "services"),
    KnownObject("comment", ".*comment .?cali:.*", "Calico", "policies of Kubernetes"),
    KnownObject("comment", ".*--comment .?flanneld .*", "flannel", "the pods' subnets"),
    KnownObject("comment", '.*comment "name: .*id: .*', CNI, "a pod's packets", "ipMasq"),
)
LINKS = (
    KnownObject("link", "docker0", DOCKER, "the default network's bridge", "bip"),
    KnownObject("link", "docker_gwbridge", DOCKER, "the way out of overlay networks", "swarm init"),
    KnownObject("link", "br-[0-9a-f]{12}", DOCKER, "a user's network's bridge", SUBNETS),
    KnownObject("link", "veth[0-9a-f]{7}", DOCKER, "the host's end of a container's link"),
    KnownObject("link", "d[mi]-[0-9a-f]{12}", DOCKER, "the parent of an internal network"),
    KnownObject("link", r"\w+\.\d{1,4}", DOCKER, "a VLAN's link, a parent", "-o parent=LINK.VLAN"),
    KnownObject("link", "vx-[0-9a-f]{6}-\\w+|ov-[0-9a-f]{6}-\\w+", DOCKER, "an overlay's tunnel"),
    KnownObject("link", "podman\\d+|cni-podman\\d+", PODMAN, "a network's bridge"),
    KnownObject("link", "cni\\d+", CNI, "a network's bridge", "bridge"),
    KnownObject("link", r"flannel\.\d+|flannel-v6\.\d+", "flannel", "the tunnel to other nodes"),
    KnownObject("link", "cali[0-9a-f]{11}|vxlan.calico", "Calico", "a pod's link"),
    KnownObject("link", "kube-ipvs0|nodelocaldns", KUBE, "services' virtual addresses"),
    KnownObject("link", "virbr\\d+(?:-nic)?|vnet\\d+", LIBVIRT, "a guest's network"),
    KnownObject("link", "lxdbr\\d+|incusbr\\d+", LXD, "a network's bridge"),
    KnownObject("link", "tailscale\\d+", TAILSCALE, "the tailnet"),
)
INSIDE_LINKS = (
    KnownObject("link", r"eth\d+", DOCKER, "a container's link on a network", "--network"),
    KnownObject("link", r"br\d+", DOCKER, "an overlay network's bridge", "-d overlay"),
    KnownObject("link", r"vxlan\d+", DOCKER, "its tunnel to other nodes", "-d overlay"),
    KnownObject("link", r"veth\d+", DOCKER, "a task's or balancer's link", "-d overlay"),
)
"""Links in namespaces of Docker's, where nobody else makes any."""
OF_LINK = r"net[./]ipv\d[./]conf[./].+[./]"
OF_IPV4 = r"net[./]ipv4[./]conf[./](?:cni-)?"
SYSCTLS = (
    KnownObject(
        "sysctl", rf"{OF_IPV4}podman\d+[./]route_localnet", PODMAN, "127.0.0.1:PORT", PUBLISH
    ),
    KnownObject("sysctl", rf"{OF_IPV4}cni\d+[./]route_localnet", CNI, "127.0.0.1:PORT", "hostPort"),
    KnownObject("sysctl", r"net[./]ipv4[./]ip_forward", DOCKER, "the host routes", "ip-forward"),
    KnownObject("sysctl", rf"{OF_LINK}forwarding", DOCKER, "the host routes", "ip-forward"),
    KnownObject("sysctl", rf"{OF_LINK}accept_ra", DOCKER, "a bridge learns no routes", "--ipv6"),
    KnownObject("sysctl", rf"{OF_LINK}disable_ipv6", DOCKER, "IPv6 where it is wanted", "--ipv6"),
    KnownObject("sysctl", rf"{OF_LINK}addr_gen_mode", DOCKER, "no address by itself", "--ipv6"),
    KnownObject("sysctl", rf"{OF_LINK}proxy_ndp", DOCKER, "neighbours are answered for", "--ipv6"),
    KnownObject("sysctl", rf"{OF_LINK}route_localnet", DOCKER, "127.0.0.1:PORT", LOCALNET),
    KnownObject("sysctl", rf"{OF_LINK}proxy_arp", DOCKER, "nobody answers for others"),
    KnownObject("sysctl", rf"{OF_LINK}arp_notify", DOCKER, "a new address is announced"),
    KnownObject("sysctl", rf"{OF_LINK}arp_(?:announce|ignore)", DOCKER, "VIPs are mute", BALANCED),
    KnownObject("sysctl", r"net[./]ipv4[./]vs[./]\w+", DOCKER, "how IPVS balances", BALANCED),
    KnownObject("sysctl", r"net[./]bridge[./]bridge-nf-call-ip6?tables", DOCKER, "icc", ICC),
    KnownObject("sysctl", r"net[./]ipv4[./]ip_unprivileged_port_start", DOCKER, "ports below 1024"),
    KnownObject("sysctl", r"net[./]ipv4[./]ping_group_range", DOCKER, "ping without privileges"),
)
NAMESPACES = (
    KnownObject("namespace", "ingress_sbox", DOCKER, "the routing mesh's balancer", INGRESS),
    KnownObject("namespace", r"\d+-[0-9a-z]{10}", DOCKER, "an overlay network", "-d overlay"),
    KnownObject("namespace", "lb_[0-9a-z]{9}", DOCKER, "a network's balancer", BALANCED),
    KnownObject("namespace", "default|[0-9a-f]{12}", DOCKER, "a container, or the host's own"),
    KnownObject("namespace", "cni-[0-9a-f-]{36}", CNI, "a pod"),
    KnownObject("namespace", "netns-[0-9a-f-]{36}", PODMAN, "a container"),
)
ALL = (*CHAINS, *TABLES, *COMMENTS, *LINKS, *SYSCTLS, *NAMESPACES)


def known_object(kind: str, name: str, inside: bool = False) -> KnownObject | None:
    """Find an object.

    Args:
        kind: as of `KnownObject`; name: its name, of a comment the rule's text.
        inside: it is in a namespace of an engine's.
    """
    fitting = (*ALL, *(INSIDE_LINKS if inside else ()))
    return next(
        (each for each in fitting if each.kind == kind and re.fullmatch(each.name, name)), None
    )


def owner(kind: str, name: str) -> str:
    """The program that makes an object; empty if it is not known."""
    found = known_object(kind, name)
    return found.owner if found else ""
