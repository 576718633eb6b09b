"""Faults on a Docker host: how each is made and undone, and what a trace must find.

Words in braces: n1, n2 are bridges; web, c2 run a command in that container's namespace; lan is the
LAN router's namespace; port is web's end of its veth pair in the host."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DockerFault:
    """A fault.

    Attributes:
        inject, undo: shell lines, or one of docker's.
        mended: what undoes a remedy.
        source, target: as `trace` takes them.
        cause: the id of the cause.
        says: words that the explanation has.
        remedies: how many of those that can be run are tried; each must make the packet pass.
    """

    inject: str
    undo: str
    source: str
    target: str
    cause: str
    says: str = ""
    remedies: int = 9
    mended: str = ""


OUTSIDE, ROUTER = "198.51.100.1", "192.0.2.1"
AGAIN = "systemctl restart docker"
FAULTS = {
    "no-masquerade": DockerFault(
        "iptables -t nat -F POSTROUTING", AGAIN, "c2", OUTSIDE, "no-masquerade", "c2's own address"
    ),
    "flushed": DockerFault(
        "iptables -F; iptables -P FORWARD DROP",
        AGAIN,
        "c2",
        OUTSIDE,
        "forward-policy",
        "Docker's own rules for this network are not there",
    ),
    "legacy-policy": DockerFault(
        "iptables-legacy -P FORWARD DROP",
        "iptables-legacy -P FORWARD ACCEPT",
        "c2",
        OUTSIDE,
        "forward-policy",
        "nothing in FORWARD of iptables-legacy accepts it",
    ),
    "ufw": DockerFault(
        "iptables -P INPUT DROP; iptables -N ufw-before-input; iptables -A INPUT -j"
        " ufw-before-input",
        "iptables -P INPUT ACCEPT; iptables -F INPUT; iptables -X ufw-before-input",
        "c2",
        "host:2222",
        "input-drop",
        "whose own firewall drops it",
        0,
    ),
    "no-ipv6": DockerFault(
        "true", "true", "c2", "[2001:db8:ffff::1]:80", "no-route", "n1 was made without it", 0
    ),
    "users-rule": DockerFault(
        "iptables -C FORWARD -j DOCKER-USER 2>/dev/null || iptables -I FORWARD -j DOCKER-USER;"
        " iptables -I DOCKER-USER -s 172.20.0.0/24 -j DROP",
        "iptables -D DOCKER-USER -s 172.20.0.0/24 -j DROP || true",
        "c2",
        OUTSIDE,
        "users-rule",
    ),
    "second-firewall": DockerFault(
        "nft add table inet mine; nft add chain inet mine forward"
        " '{{ type filter hook forward priority 10; policy drop; }}'",
        "nft delete table inet mine",
        "c2",
        OUTSIDE,
        "second-firewall",
    ),
    "firewalld": DockerFault(
        "nft add table inet firewalld; nft add chain inet firewalld filter_FORWARD"
        " '{{ type filter hook forward priority 10; }}'; nft add rule inet firewalld"
        " filter_FORWARD iifname {n1} drop",
        "nft delete table inet firewalld",
        "c2",
        OUTSIDE,
        "second-firewall",
        "the last word of its own chain only",
        0,
    ),
    "ingress": DockerFault(
        "nft add table netdev early; nft add chain netdev early in"
        " '{{ type filter hook ingress device eth0 priority 0; policy drop; }}'",
        "nft delete table netdev early",
        "{lan}",
        "host:8080",
        "ingress-drop",
        "before the rules that this trace sees",
        0,
    ),
    "no-default-route-of-the-host": DockerFault(
        "ip route del default",
        f"ip route add default via {ROUTER}",
        "c2",
        OUTSIDE,
        "no-route",
        "host has no route to",
        0,
    ),
    "egress": DockerFault(
        "nft add table netdev late; nft add chain netdev late out"
        " '{{ type filter hook egress device eth0 priority 0; policy drop; }}'",
        "nft delete table netdev late",
        "c2",
        OUTSIDE,
        "policy",
        "netdev late",
        0,
    ),
    "ip-forward": DockerFault(
        "sysctl -qw net.ipv4.ip_forward=0",
        "sysctl -qw net.ipv4.ip_forward=1",
        "c2",
        OUTSIDE,
        "ip-forward",
    ),
    "other-network": DockerFault(
        "true",
        "true",
        "far",
        "web:80",
        "other-network",
        "far is not on n1",
        1,
        "docker network disconnect n1 far",
    ),
    "internal": DockerFault("true", "true", "shut", OUTSIDE, "internal", "n4 is internal", 0),
    "off-bridge": DockerFault(
        "ip link set {port} nomaster",
        "ip link set {port} master {n1}",
        "c2",
        "web:80",
        "off-bridge",
        "not attached to br-",
        1,
    ),
    "port-down": DockerFault(
        "ip link set {port} down",
        "ip link set {port} up",
        "c2",
        "web:80",
        "link-down",
        "web's veth",
    ),
    "inside-down": DockerFault(
        "{web} ip link set eth0 down",
        "docker restart web",
        "c2",
        "web:80",
        "peer-down",
        "eth0 in web is down",
    ),
    "address-gone": DockerFault(
        "{web} ip addr flush dev eth0",
        "docker restart web",
        "c2",
        "web:80",
        "address-gone",
        "web does not have 172.20.0.2 any more",
    ),
    "no-default-route": DockerFault(
        "{web} ip route del default",
        "docker restart web",
        "{lan}",
        "host:8080",
        "no-reply-route",
        "web has no route to",
    ),
    "policy-inside": DockerFault(
        "{web} iptables -P INPUT DROP",
        "{web} iptables -P INPUT ACCEPT",
        "c2",
        "web:80",
        "input-drop",
        "web",
    ),
    "rule-inside": DockerFault(
        "{c2} iptables -A OUTPUT -p tcp --dport 80 -j DROP",
        "{c2} iptables -F OUTPUT",
        "c2",
        "web:80",
        "output-drop",
        "c2",
    ),
    "bridge-down": DockerFault(
        "ip link set {n1} down",
        "ip link set {n1} up",
        "c2",
        "web:80",
        "bridge-down",
        "bridge of n1",
    ),
    "gateway-gone": DockerFault(
        "ip addr del 172.20.0.1/24 dev {n1}",
        "ip addr replace 172.20.0.1/24 dev {n1}",
        "c2",
        OUTSIDE,
        "gateway-gone",
        "does not have 172.20.0.1 any more",
    ),
    "other-route": DockerFault(
        "ip link add br9 type bridge; ip addr add 172.20.0.1/25 dev br9; ip link set br9 up",
        "ip link del br9",
        "host",
        "172.20.0.2:80",
        "other-route",
        "172.20.0.2 is on n1",
        1,
    ),
    "on-loopback": DockerFault(
        "true", "true", "{lan}", "host:8082", "listens-on-loopback", "in inner port 80", 0
    ),
    "nobody": DockerFault(
        "true", "true", "host", "127.0.0.1:8090", "nobody-listens", "in silent", 0
    ),
    "published-on-loopback": DockerFault(
        "true", "true", "{lan}", "host:8081", "published-on-loopback", "leads to dflt", 0
    ),
}

NO_PROXY = {
    "port-held": DockerFault(
        "iptables -t nat -F DOCKER",
        AGAIN,
        "{lan}",
        "host:8080",
        "port-held",
        "dockerd only holds port 8080 for web",
    ),
    "route-localnet": DockerFault(
        "sysctl -qw net.ipv4.conf.{n1}.route_localnet=0",
        "sysctl -qw net.ipv4.conf.{n1}.route_localnet=1",
        "host",
        "127.0.0.1:8080",
        "route-localnet",
        "it was rewritten to web",
    ),
    "own-source": DockerFault(
        "iptables -t nat -D POSTROUTING -s 172.20.0.2/32 -d 172.20.0.2/32 -p tcp"
        " -m tcp --dport 80 -j MASQUERADE",
        AGAIN,
        "web",
        "host:8080",
        "own-source",
        "it came back to web with its own address as the source",
    ),
    "hairpin": DockerFault(
        "bridge link set dev {port} hairpin off",
        "bridge link set dev {port} hairpin on",
        "web",
        "host:8080",
        "hairpin",
        "it must go back to web",
    ),
}
"""Faults of a host whose dockerd has no user-land proxy."""
