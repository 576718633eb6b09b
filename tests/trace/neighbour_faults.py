"""Faults of neighbours and routers, and of namespaces that a trace does not watch.

The lines name the parts of the lab as those of `faults` do.
"""

from __future__ import annotations

from plumb.trace.report import Wishes
from tests.trace.faults import IPTABLES, SIX, Fault, big, native

ELSEWHERE = "02:00:00:00:00:99"
"""A MAC address that no link has."""
IMPATIENT = (
    "sysctl -qw net.ipv4.neigh.{br1}.retrans_time_ms=50;"
    " sysctl -qw net.ipv4.neigh.{br1}.mcast_solicit=1"
)
PATIENT = (
    "sysctl -qw net.ipv4.neigh.{br1}.retrans_time_ms=1000;"
    " sysctl -qw net.ipv4.neigh.{br1}.mcast_solicit=3"
)
BY_C2 = "{c1} ip route add %s via 172.20.0.3; {c2} sysctl -qw net.ipv4.ip_forward=1; "
BACK = "{c1} ip route del %s via 172.20.0.3; "
GATEWAY = "{c1} ip route replace default via 172.20.0.1"


def entry(where: str, ip: str, dev: str, mac: str = ELSEWHERE) -> tuple[str, str]:
    """Lines that set a neighbour's MAC address by hand, and that delete it."""
    return (
        f"{where} ip neigh replace {ip} lladdr {mac} dev {dev}",
        f"{where} ip neigh del {ip} dev {dev}",
    )


NEIGHBOUR_FAULTS: dict[str, Fault] = {
    # -- neighbours ---------------------------------------------------------------
    "duplicate-address": Fault(
        ("host", "c1:81"),
        "duplicate-address",
        "c2",
        "{c1} ip link set eth0 arp off; ip neigh flush dev {br1};"
        " {c2} ip addr add 172.20.0.2/32 dev eth0; {c2} ip route add local 172.20.0.2 dev eth0;"
        " timeout 20 sh -c 'until ping -qc1 -W1 172.20.0.2 > /dev/null; do :; done';"
        " {c1} ip link set eth0 arp on",
        "{c2} ip addr del 172.20.0.2/32 dev eth0; ip neigh flush dev {br1}",
        says="two have the address 172.20.0.2: host sends to c2's MAC",
    ),
    "wrong-mac": Fault(
        ("lan", "host:8080"),
        "wrong-neighbour",
        "c1",
        *entry("", "172.20.0.2", "{br1}"),
        says="set by hand",
    ),
    "wrong-mac-of-another": Fault(
        ("lan", "host:8080"),
        "wrong-neighbour",
        "c2",
        *entry("", "172.20.0.2", "{br1}", "{mac2}"),
        says="(c2's)",
    ),
    "wrong-mac-beside": Fault(
        ("c2", "c1:80"), "wrong-neighbour", "c1", *entry("{c2}", "172.20.0.2", "eth0")
    ),
    "wrong-mac-of-the-gateway": Fault(
        ("c1", "198.51.100.1"),
        "wrong-neighbour",
        "c2|host",
        *entry("{c1}", "172.20.0.1", "eth0"),
        says="host has",
    ),
    "wrong-mac-of-the-client": Fault(
        ("c2", "c1:80"), "wrong-neighbour", "c2", *entry("{c1}", "172.20.0.3", "eth0")
    ),
    "wrong-mac-outside": Fault(
        ("host", "192.0.2.1"),
        "wrong-neighbour",
        "host",
        *entry("", "192.0.2.1", "eth0"),
        sure=False,
    ),
    "an-address-that-nobody-has": Fault(
        ("host", "172.20.0.99"),
        "target-gone",
        "host",
        IMPATIENT,
        PATIENT,
        wishes=Wishes(seconds=1),
        says="no running container has that address",
    ),
    # -- routers ---------------------------------------------------------------
    "wrong-gateway": Fault(
        ("c1", "198.51.100.1"),
        "wrong-gateway",
        "c1",
        "{c1} ip route replace default via 172.20.0.77",
        GATEWAY,
        says="which nobody has; the gateway of its network is 172.20.0.1",
    ),
    "wrong-gateway-6": Fault(
        ("c1", "[2001:db8:2::1]"),
        "wrong-gateway",
        "c1",
        "{c1} ip -6 route replace default via fd00:20::77",
        "{c1} ip -6 route replace default via fd00:20::1",
        wishes=SIX,
    ),
    "wrong-gateway-for-the-answer": Fault(
        ("lan", "host:8080"),
        "wrong-gateway",
        "c1",
        "{c1} ip route replace default via 172.20.0.77",
        GATEWAY,
    ),
    "a-container-as-gateway": Fault(
        ("c1", "198.51.100.1"),
        "wrong-gateway",
        "c2",
        "{c1} ip route replace default via 172.20.0.3; {c2} sysctl -qw net.ipv4.ip_forward=0",
        GATEWAY + "; {c2} sysctl -qw net.ipv4.ip_forward=1",
        says="is c2, no router",
    ),
    "router-container": Fault(
        ("c1", "198.51.100.1"),
        "dropped",
        "c2",
        BY_C2
        % "198.51.100.1"
        + "sysctl -qw net.bridge.bridge-nf-call-iptables=0;"  # NAT decides once for a flow
        " {c2} {iptables} -I FORWARD -d 198.51.100.1/32 -j DROP",
        BACK % "198.51.100.1" + "sysctl -qw net.bridge.bridge-nf-call-iptables=1;"
        " {c2} {iptables} -D FORWARD -d 198.51.100.1/32 -j DROP",
        kinds=IPTABLES,
        says="a rule in c2 drops it",
    ),
    "router-container-between-networks": Fault(
        ("c1", "c3"),
        "dropped",
        "c2",
        BY_C2 % "172.21.0.0/24" + "sysctl -qw net.bridge.bridge-nf-call-iptables=0;"
        " {c2} {iptables} -I FORWARD -d 172.21.0.2/32 -j DROP",
        BACK % "172.21.0.0/24" + "sysctl -qw net.bridge.bridge-nf-call-iptables=1;"
        " {c2} {iptables} -D FORWARD -d 172.21.0.2/32 -j DROP",
        kinds=IPTABLES,
        mends=False,  # the host's own rules part the networks behind it
    ),
    # -- namespaces that are not watched -----------------------------------------------
    "dropped-beyond": Fault(
        ("c1", "198.51.100.1"),
        "dropped-beyond",
        "host",
        "{lan} nft 'add table inet wall'; {lan} nft 'add chain inet wall guard"
        " {{ type filter hook input priority 0; }}';"
        " {lan} nft 'add rule inet wall guard ip protocol icmp drop'",
        "{lan} nft delete table inet wall",
        says="beyond host's eth0",
    ),
    "mtu-of-the-far-end": Fault(
        ("c1", "198.51.100.1"),
        "veth-mtu",
        "host",
        "{lan} ip link set port0 mtu 1300",
        "{lan} ip link set port0 mtu 1500",
        wishes=big(1450),
        says="port0, the other end of eth0",
        where="{lan}",
    ),
    "mtu-of-the-far-end-beside": Fault(
        ("host", "192.0.2.1"),
        "veth-mtu",
        "host",
        "{lan} ip link set port0 mtu 1300",
        "{lan} ip link set port0 mtu 1500",
        wishes=big(1450),
        where="{lan}",
    ),
    # -- bridges ---------------------------------------------------------------
    "bridge-down-from-a-container": Fault(
        ("c1", "198.51.100.1"),
        "bridge-down",
        "host|c1",
        "ip link set {br1} down",
        "ip link set {br1} up; {six}",
    ),
    "bridge-down-beside": Fault(
        ("c2", "c1:80"),
        "bridge-down",
        "host|c2",
        "ip link set {br1} down",
        "ip link set {br1} up; {six}",
    ),
    "bridge-down-to-the-host": Fault(
        ("c2", "host:8080"),
        "bridge-down",
        "host|c2",
        "ip link set {br1} down; {flush}",
        "ip link set {br1} up; {six}",
    ),
    # -- firewalls ---------------------------------------------------------------
    "an-answer-is-forwarded-too": Fault(
        ("lan", "host:8080"),
        "second-firewall",
        "host",
        *native("type filter hook forward priority 10; policy drop;", "ct state new counter"),
        says="tcp sport 80 accept",
    ),
    "unpublished-address": Fault(
        ("c3", "c2"),
        "unpublished",
        "host",
        "{iptables} -t raw -D PREROUTING -d 172.20.0.3/32 ! -i {br1} -j DROP",
        "{iptables} -t raw -I PREROUTING -d 172.20.0.3/32 ! -i {br1} -j DROP",
        kinds=IPTABLES,
        says="c2's address on n1 is not published",
    ),
}
