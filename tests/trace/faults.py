"""Faults of networks, each as shell lines that inject it and others that undo it.

All are injected into one lab (`bench`), one after the other. The lines name its parts in braces:
{br1} is the bridge of n1, {veth1} the host's end of c1's veth pair, {c1} and {lan} stand before a
command that runs in there, {iptables} is the command of the firewall, {client} sends a datagram
from a port to an address and a port.
"""

from __future__ import annotations

from dataclasses import dataclass

from plumb.trace.report import Wishes

QUICK = Wishes(seconds=0.12)


@dataclass(frozen=True)
class Fault:
    """Fault, and the report that a trace must give.

    Attributes:
        ask: source and target, as they are typed.
        cause: the id of the cause.
        place: the namespace at the story's end; several, separated by |, where that depends on the
            firewall.
        inject, undo: shell lines, run on the host.
        wishes: options of the trace.
        kinds: the firewalls with which the fault is possible.
        sure: True if the trace must have observed the cause.
        says: a part of the printed report.
        mends: True if the probe passes once the first remedy is applied.
        where: the words before a remedy for a namespace that the trace cannot name.
    """

    ask: tuple[str, str]
    cause: str
    place: str
    inject: str = ""
    undo: str = ""
    wishes: Wishes = QUICK
    kinds: tuple[str, ...] = ("nf_tables", "legacy", "nftables")
    sure: bool = True
    says: str = ""
    mends: bool = True
    where: str = ""


IPTABLES = ("nf_tables", "legacy")
SIX = Wishes(version=6, seconds=0.12)
ROUTED = "{lan} ip route replace 172.20.0.0/24 via 192.0.2.10"


def big(size: int) -> Wishes:
    """Options for a packet of that size."""
    return Wishes(seconds=0.12, size=size)


def rule(words: str, chain: str = "FORWARD", table: str = "filter") -> tuple[str, str]:
    """Lines that insert an iptables rule at the head of a chain, and that delete it."""
    return (
        f"{{iptables}} -t {table} -I {chain} {words}",
        f"{{iptables}} -t {table} -D {chain} {words}",
    )


def answered(where: str, ip: str) -> str:
    """Lines that ping an address until it answers, for 20 seconds at most.

    The first echo request is lost where the neighbour table, one for all workers, is full.
    """
    return f"timeout 20 sh -c 'until {where} ping -qc1 -W1 {ip} > /dev/null; do :; done'; "


def native(base: str, words: str, family: str = "inet") -> tuple[str, str]:
    """Lines that add an nft table with one base chain and a rule, and that delete it."""
    made = (
        f"add table {family} wall",
        f"add chain {family} wall guard {{{{ {base} }}}}",
        f"add rule {family} wall guard {words}",
    )
    return "; ".join(f"nft '{each}'" for each in made), f"nft delete table {family} wall"


FAULTS: dict[str, Fault] = {
    # -- drop rules ---------------------------------------------------------------
    "direct-access": Fault(("lan", "c1:80"), "direct-access", "host", says="gateway_mode"),
    "direct-access-6": Fault(("lan", "c1:80"), "direct-access", "host", wishes=SIX),
    "forward-policy": Fault(
        ("lan", "host:8080"),
        "forward-policy",
        "host",
        "{iptables} -P FORWARD DROP; {iptables} -D FORWARD -j PLUMB-FORWARD",
        "{iptables} -I FORWARD 2 -j PLUMB-FORWARD",
        kinds=IPTABLES,
        says="policy DROP",
    ),
    "second-firewall": Fault(
        ("lan", "host:8080"),
        "second-firewall",
        "host",
        *native(
            "type filter hook forward priority 10; policy drop;", "ct state established accept"
        ),
        says="inet wall guard",
    ),
    "second-firewall-rule": Fault(
        ("c1", "198.51.100.1"),
        "second-firewall",
        "host",
        *native("type filter hook forward priority 10;", "ip daddr 198.51.100.1 drop"),
    ),
    "reject": Fault(
        ("lan", "host:8080"),
        "users-rule",
        "host",
        *rule("-p tcp --dport 80 -j REJECT", "PLUMB-USER"),
        kinds=IPTABLES,
        says="REJECT",
    ),
    "reject-reset": Fault(
        ("lan", "host:8080"),
        "users-rule",
        "host",
        *rule("-p tcp --dport 80 -j REJECT --reject-with tcp-reset", "PLUMB-USER"),
        kinds=IPTABLES,
        says="REJECT",
    ),
    "users-drop": Fault(
        ("c2", "198.51.100.1"),
        "users-rule",
        "host",
        *rule("-d 198.51.100.1/32 -j DROP", "PLUMB-USER"),
        kinds=IPTABLES,
    ),
    "somebodys-drop": Fault(
        ("c2", "198.51.100.1"),
        "dropped",
        "host",
        *rule("-d 198.51.100.1/32 -j DROP"),
        kinds=IPTABLES,
        says="somebody else",
    ),
    "native-reject": Fault(
        ("c2", "198.51.100.1:80"),
        "rejected",
        "host",
        *native("type filter hook forward priority -10;", "ip daddr 198.51.100.1 reject"),
    ),
    "input-drop": Fault(
        ("c2", "host:22"),
        "input-drop",
        "host",
        *rule("-p tcp --dport 22 -j DROP", "INPUT"),
        kinds=IPTABLES,
    ),
    "input-drop-native": Fault(
        ("c2", "host:22"),
        "input-drop",
        "host",
        *native("type filter hook input priority 0;", "tcp dport 22 drop"),
    ),
    "output-drop": Fault(
        ("host", "198.51.100.1:80"),
        "output-drop",
        "host",
        *rule("-d 198.51.100.1/32 -j DROP", "OUTPUT"),
        kinds=IPTABLES,
    ),
    "icc-off": Fault(("c4", "c5:80"), "icc-off", "host"),
    "internal": Fault(
        ("c6", "198.51.100.1"),
        "internal",
        "host",
        "{c6} ip route add default via 172.23.0.1",
        "{c6} ip route del default",
    ),
    "unpublished": Fault(
        ("c3", "c2:80"),
        "unpublished",
        "host",
        "{iptables} -t raw -D PREROUTING -d 172.20.0.3/32 ! -i {br1} -j DROP",
        "{iptables} -t raw -I PREROUTING -d 172.20.0.3/32 ! -i {br1} -j DROP",
        kinds=IPTABLES,
        says="plumb network connect n1 c3",
    ),
    "other-network": Fault(
        ("c3", "c1:80"), "other-network", "host", says="plumb network connect n1 c3"
    ),
    "bridge-netfilter": Fault(
        ("c1", "c2:80"),
        "bridge-netfilter",
        "host",
        *rule("-s 172.20.0.2/32 -d 172.20.0.3/32 -j DROP"),
        kinds=IPTABLES,
    ),
    "bridge-firewall": Fault(
        ("c1", "c2:80"),
        "bridge-firewall",
        "host",
        *native("type filter hook forward priority -200;", "ip daddr 172.20.0.3 drop", "bridge"),
    ),
    # -- listeners ---------------------------------------------------------------
    "nobody-listens": Fault(("c2", "c1:85"), "nobody-listens", "c1", says="0.0.0.0:80"),
    "nobody-listens-udp": Fault(("c2", "c1:85/udp"), "nobody-listens", "c1"),
    "nobody-behind-the-port": Fault(("lan", "host:8085"), "nobody-listens", "c1"),
    "on-loopback": Fault(("c2", "c1:82"), "listens-on-loopback", "c1", says="127.0.0.1:82"),
    "other-family": Fault(("c2", "c1:83"), "other-family", "c1", wishes=SIX),
    "published-on-loopback": Fault(
        ("lan", "host:8081"), "published-on-loopback", "host", says="127.0.0.1:8081"
    ),
    "unpublished-port": Fault(("lan", "host:9999"), "nobody-listens", "host"),
    "echo-ignored": Fault(
        ("c2", "c1"),
        "echo-ignored",
        "c1",
        "{c1} sysctl -qw net.ipv4.icmp_echo_ignore_all=1",
        "{c1} sysctl -qw net.ipv4.icmp_echo_ignore_all=0",
    ),
    # -- routes ---------------------------------------------------------------
    "ip-forward": Fault(
        ("lan", "host:8080"),
        "ip-forward",
        "host",
        "sysctl -qw net.ipv4.ip_forward=0",
        "sysctl -qw net.ipv4.ip_forward=1",
        says="net/ipv4/ip_forward = 0",
    ),
    "ip-forward-6": Fault(
        ("lan", "host:8080"),
        "ip-forward",
        "host",
        "sysctl -qw net.ipv6.conf.all.forwarding=0",
        "sysctl -qw net.ipv6.conf.all.forwarding=1; ip -6 route replace default via 2001:db8:2::1",
        wishes=SIX,
    ),
    "forward-of-link": Fault(
        ("lan", "host:8080"),
        "ip-forward",
        "host",
        "sysctl -qw net.ipv4.conf.eth0.forwarding=0",
        "sysctl -qw net.ipv4.conf.eth0.forwarding=1",
        says="eth0",
    ),
    "no-default-route": Fault(
        ("lan", "host:8080"),
        "no-reply-route",
        "c1",
        "{c1} ip route del default",
        "{c1} ip route add default via 172.20.0.1",
    ),
    "no-route": Fault(
        ("c1", "198.51.100.1"),
        "no-route",
        "c1",
        "{c1} ip route del default",
        "{c1} ip route add default via 172.20.0.1",
    ),
    "no-network": Fault(("c7", "198.51.100.1"), "no-network", "c7"),
    "no-reply-route-on-host": Fault(
        ("lan", "host:8080"),
        "no-reply-route",
        "host",
        "{lan} ip addr add 203.0.113.9/32 dev lo; "
        "{lan} ip route replace 192.0.2.10 dev port0 src 203.0.113.9; "
        "ip route del default",
        "ip route add default via 192.0.2.1; {lan} ip route del 192.0.2.10; "
        "{lan} ip addr del 203.0.113.9/32 dev lo",
    ),
    "blackhole": Fault(
        ("c1", "198.51.100.1:80"),
        "blackhole-route",
        "host",
        "ip route add blackhole 198.51.100.1",
        "ip route del blackhole 198.51.100.1",
    ),
    "prohibit": Fault(
        ("c1", "198.51.100.1:80"),
        "prohibit-route",
        "host",
        "ip route add prohibit 198.51.100.1",
        "ip route del prohibit 198.51.100.1",
    ),
    "unreachable": Fault(
        ("c1", "198.51.100.1:80"),
        "unreachable-route",
        "host",
        "ip route add unreachable 198.51.100.1",
        "ip route del unreachable 198.51.100.1",
    ),
    "other-route": Fault(
        ("lan", "host:8080"),
        "other-route",
        "host|lan",
        "ip route add 172.20.0.2/32 via 192.0.2.1",
        "ip route del 172.20.0.2/32 via 192.0.2.1",
    ),
    "rp-filter-neighbour": Fault(
        ("lan", "host:8080"),
        "rp-filter",
        "lan",
        "ip route add 203.0.113.9/32 dev {br2}; {lan} ip addr add 203.0.113.9/32 dev lo; "
        "{lan} ip neigh flush dev port0; ip neigh flush dev eth0; "
        "{lan} ip route replace 192.0.2.10 dev port0 src 203.0.113.9; "
        "sysctl -qw net.ipv4.conf.eth0.rp_filter=1",
        "sysctl -qw net.ipv4.conf.eth0.rp_filter=0; ip route del 203.0.113.9/32 dev {br2}; "
        "{lan} ip route del 192.0.2.10; {lan} ip addr del 203.0.113.9/32 dev lo",
        sure=False,
    ),
    "rp-filter": Fault(
        ("lan", "host:8080"),
        "rp-filter",
        "host",
        "ip route add 203.0.113.9/32 dev {br2}; {lan} ip addr add 203.0.113.9/32 dev lo; "
        + answered("{lan}", "192.0.2.10")
        + "{lan} ip route replace 192.0.2.10 dev port0 src 203.0.113.9; "
        "sysctl -qw net.ipv4.conf.eth0.rp_filter=1",
        "sysctl -qw net.ipv4.conf.eth0.rp_filter=0; ip route del 203.0.113.9/32 dev {br2}; "
        "{lan} ip route del 192.0.2.10; {lan} ip addr del 203.0.113.9/32 dev lo",
    ),
    "ttl": Fault(("c1", "198.51.100.1:80"), "ttl", "host", wishes=Wishes(seconds=0.12, ttl=1)),
    # -- links ---------------------------------------------------------------
    "off-bridge": Fault(
        ("lan", "host:8080"),
        "off-bridge",
        "host",
        "ip link set {veth1} nomaster; {flush}",
        "ip link set {veth1} master {br1}",
    ),
    "off-bridge-beside": Fault(
        ("c2", "c1:80"),
        "off-bridge",
        "c2",
        "ip link set {veth1} nomaster; {flush}",
        "ip link set {veth1} master {br1}",
    ),
    "link-down": Fault(
        ("lan", "host:8080"),
        "link-down",
        "host",
        "ip link set {veth1} down; {flush}",
        "ip link set {veth1} up; {running}",
    ),
    "peer-down": Fault(
        ("lan", "host:8080"),
        "peer-down",
        "host",
        "{c1} ip link set eth0 down; {flush}",
        "{c1} ip link set eth0 up; {c1} ip route replace default via 172.20.0.1; {running}; {six}",
    ),
    "bridge-down": Fault(
        ("lan", "host:8080"),
        "bridge-down",
        "host|lan",
        "ip link set {br1} down",
        "ip link set {br1} up; {six}",
    ),
    "gateway-gone": Fault(
        ("c1", "198.51.100.1"),
        "gateway-gone",
        "c1",
        "ip addr del 172.20.0.1/24 dev {br1}; {flush}",
        "ip addr add 172.20.0.1/24 brd 172.20.0.255 dev {br1}",
    ),
    "address-gone": Fault(
        ("c2", "c1:80"),
        "address-gone",
        "c2",
        "{c1} ip addr del 172.20.0.2/24 dev eth0; {flush}",
        "{c1} ip addr add 172.20.0.2/24 brd 172.20.0.255 dev eth0; "
        "{c1} ip route replace default via 172.20.0.1",
    ),
    "target-gone": Fault(("c2", "172.20.0.99:80"), "target-gone", "c2"),
    "isolated": Fault(
        ("c2", "c1:80"),
        "isolated",
        "c2",
        "bridge link set dev {veth1} isolated on; bridge link set dev {veth2} isolated on; {flush}",
        "bridge link set dev {veth1} isolated off; bridge link set dev {veth2} isolated off",
    ),
    "isolated-known": Fault(
        ("c2", "c1:80"),
        "isolated",
        "host",
        answered("{c2}", "172.20.0.2")
        + "bridge link set dev {veth1} isolated on; bridge link set dev {veth2} isolated on",
        "bridge link set dev {veth1} isolated off; bridge link set dev {veth2} isolated off",
    ),
    "port-state": Fault(
        ("lan", "host:8080"),
        "port-state",
        "host",
        "bridge link set dev {veth1} state 0",
        "bridge link set dev {veth1} state 3",
        says="disabled",
    ),
    # -- NAT ---------------------------------------------------------------
    "no-masquerade": Fault(
        ("c1", "198.51.100.1"),
        "no-masquerade",
        "host",
        "{lan} ip route del 172.20.0.0/24; "
        "{iptables} -t nat -D POSTROUTING -s 172.20.0.0/24 ! -o {br1} -j MASQUERADE",
        ROUTED + "; {iptables} -t nat -I POSTROUTING -s 172.20.0.0/24 ! -o {br1} -j MASQUERADE",
        kinds=IPTABLES,
        sure=False,
    ),
    "no-masquerade-answered": Fault(
        ("c1", "198.51.100.1"),
        "no-masquerade",
        "host",
        "{iptables} -t nat -D POSTROUTING -s 172.20.0.0/24 ! -o {br1} -j MASQUERADE",
        "{iptables} -t nat -I POSTROUTING -s 172.20.0.0/24 ! -o {br1} -j MASQUERADE",
        kinds=IPTABLES,
    ),
    "wrong-dnat": Fault(
        ("lan", "host:8080"),
        "wrong-dnat",
        "host",
        *rule("-p tcp --dport 8080 -j DNAT --to-destination 172.20.0.3:80", "PREROUTING", "nat"),
        kinds=IPTABLES,
    ),
    "dnat-target-gone": Fault(
        ("lan", "host:9000"),
        "target-gone",
        "host",
        "{iptables} -t nat -I PREROUTING -p tcp --dport 9000"
        " -j DNAT --to-destination 172.20.0.99:80; "
        "{iptables} -I PLUMB-USER -d 172.20.0.99/32 -j ACCEPT",
        "{iptables} -t nat -D PREROUTING -p tcp --dport 9000"
        " -j DNAT --to-destination 172.20.0.99:80; "
        "{iptables} -D PLUMB-USER -d 172.20.0.99/32 -j ACCEPT",
        kinds=IPTABLES,
    ),
    "stale-conntrack": Fault(
        ("lan", "host:8053/udp"),
        "stale-conntrack",
        "host",
        "{iptables} -t nat -I PREROUTING -p udp --dport 8053"
        " -j DNAT --to-destination 172.20.0.77:53; "
        "{iptables} -I PLUMB-USER -p udp --dport 53 -j ACCEPT; "
        "{lan} {client} 7777 192.0.2.10 8053; "
        "{iptables} -t nat -D PREROUTING -p udp --dport 8053"
        " -j DNAT --to-destination 172.20.0.77:53",
        "{iptables} -D PLUMB-USER -p udp --dport 53 -j ACCEPT",
        wishes=Wishes(seconds=0.12, sport=7777),
        kinds=IPTABLES,
    ),
    "stale-conntrack-elsewhere": Fault(
        ("lan", "host:8053/udp"),
        "stale-conntrack",
        "host|lan",
        "{iptables} -t nat -I PREROUTING -p udp --dport 8053"
        " -j DNAT --to-destination 198.51.100.1:53; "
        "{lan} {client} 7778 192.0.2.10 8053; "
        "{iptables} -t nat -D PREROUTING -p udp --dport 8053"
        " -j DNAT --to-destination 198.51.100.1:53",
        wishes=Wishes(seconds=0.12, sport=7778),
        kinds=("nftables",),
    ),
    # -- sizes ---------------------------------------------------------------
    "mtu-on-the-way": Fault(
        ("c1", "198.51.100.1"),
        "mtu",
        "host",
        "ip link set eth0 mtu 1400",
        "ip link set eth0 mtu 1500; {six}",
        wishes=big(1450),
    ),
    "mtu-of-the-sender": Fault(("c1", "c2"), "mtu", "c1", wishes=big(1600)),
    "veth-mtu": Fault(
        ("c2", "c1"),
        "veth-mtu",
        "host",
        "{c1} ip link set eth0 mtu 1300",
        "{c1} ip link set eth0 mtu 1500; {six}",
        wishes=big(1450),
    ),
}

NO_PROXY: dict[str, Fault] = {
    "hairpin": Fault(
        ("c1", "192.0.2.10:8080"),
        "hairpin",
        "host",
        "bridge link set dev {veth1} hairpin off",
        "bridge link set dev {veth1} hairpin on",
    ),
    "route-localnet": Fault(
        ("host", "127.0.0.1:8080"),
        "route-localnet",
        "host",
        "sysctl -qw net.ipv4.conf.{br1}.route_localnet=0",
        "sysctl -qw net.ipv4.conf.{br1}.route_localnet=1",
    ),
    "loopback-source": Fault(
        ("host", "127.0.0.1:8080"),
        "loopback-source",
        "c1|host",
        "{iptables} -t nat -D POSTROUTING -o {br1} -m addrtype --src-type LOCAL -j MASQUERADE",
        "{iptables} -t nat -I POSTROUTING -o {br1} -m addrtype --src-type LOCAL -j MASQUERADE",
        kinds=IPTABLES,
    ),
    "own-source": Fault(
        ("c1", "192.0.2.10:8080"),
        "own-source",
        "c1",
        "{iptables} -t nat -S POSTROUTING > {saved}; {iptables} -t nat -F POSTROUTING",
        "grep ^-A {saved} | while read line; do {iptables} -t nat $line; done",
        kinds=IPTABLES,
    ),
}
"""Faults without the user-land proxy: NAT serves all clients of a published port."""

MACVLAN: dict[str, Fault] = {
    "own-parent": Fault(("host", "m1"), "own-parent", "lan|host"),
    "own-parent-back": Fault(("m1", "192.0.2.10"), "own-parent", "m1"),
    "private": Fault(("p1", "p2"), "private-links", "p1"),
    "nobody-listens": Fault(("m1", "m2:81"), "nobody-listens", "m2"),
    "no-neighbour": Fault(("m1", "192.0.2.99"), "no-neighbour", "m1"),
}
"""Faults of macvlan networks."""
