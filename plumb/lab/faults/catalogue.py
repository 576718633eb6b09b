"""Catalogue of faults that users of containers report, each with the line that injects it."""

from __future__ import annotations

from plumb.lab.faults.fault import Fault
from plumb.model.diagnosis.finding import Grade

HELD = "up1 type veth peer name up2"
FAULTS = (
    Fault("ip-forward-off", "sysctl -qw net.ipv4.ip_forward=0", level=1, title="ip_forward is 0"),
    Fault(
        "link-forward-off",
        "sysctl -qw net.ipv4.conf.shop0.forwarding=0",
        title="forwarding is off for the bridge",
    ),
    Fault(
        "second-firewall",
        "nft add table inet mine; nft add chain inet mine forward"
        " '{ type filter hook forward priority 10; policy drop; }'",
        after="nft delete table inet mine",
        title="a table of nft's own with policy drop",
    ),
    Fault(
        "rules-flushed",
        "iptables -F FORWARD; iptables -P FORWARD DROP",
        title="iptables -F FORWARD, policy DROP",
    ),
    Fault(
        "no-masquerade", "iptables -t nat -F POSTROUTING", title="iptables -t nat -F POSTROUTING"
    ),
    Fault(
        "stray-masquerade",
        "iptables -t nat -A POSTROUTING -j MASQUERADE",
        level=3,
        title="POSTROUTING -j MASQUERADE without a match",
    ),
    Fault(
        "bridge-nf-drop",
        "sysctl -qw net.bridge.bridge-nf-call-iptables=1;"
        " iptables -I FORWARD -i shop0 -o shop0 -j DROP",
        remedy="iptables -D FORWARD -i shop0 -o shop0 -j DROP",
        needs=("br_netfilter",),
        level=3,
        title="bridge-nf-call-iptables=1 and a drop within the bridge",
    ),
    Fault(
        "icc-not-enforced",
        "plumb network create --subnet 172.21.0.0/24"
        " -o com.docker.network.bridge.enable_icc=false quiet;"
        " plumb run -d --name q1 --network quiet; plumb run -d --name q2 --network quiet;"
        " sysctl -qw net.bridge.bridge-nf-call-iptables=0",
        after="plumb rm -f q1 q2; plumb network rm quiet",
        needs=("br_netfilter",),
        level=3,
        title="icc=false and bridge-nf-call-iptables=0",
    ),
    Fault(
        "ufw-bypassed",
        "iptables -N ufw-user-input; iptables -A ufw-user-input -p tcp -m tcp --dport 8080 -j DROP",
        remedy=1,
        grade=Grade.LIKELY,
        after="iptables -F PLUMB-USER; iptables -F ufw-user-input; iptables -X ufw-user-input",
        level=3,
        title="ufw deny 8080, a published port",
    ),
    Fault(
        "route-elsewhere",
        "ip route add 172.20.0.0/25 dev eth0",
        title="a more specific route by the uplink",
    ),
    Fault(
        "route-elsewhere",
        "ip route add default dev eth0 table 51820;"
        " ip rule add not fwmark 51820 table 51820 priority 200",
        after="ip rule del priority 100; ip rule del priority 200; ip route flush table 51820",
        also="vpn-first",
        title="a VPN's table is asked first",
    ),
    Fault(
        "route-blackhole", "ip route add blackhole 172.20.0.0/25", title="a route of type blackhole"
    ),
    Fault(
        "subnet-overlap",
        "ip route add 172.20.0.0/15 via 192.0.2.1",
        remedy="ip route del 172.20.0.0/15",
        grade=Grade.LIKELY,
        level=3,
        title="a LAN's route contains the subnet",
    ),
    Fault(
        "rp-filter",
        f"ip link add {HELD}; ip link set up1 up; ip link set up2 up;"
        " ip route add default dev up1 metric 500; sysctl -qw net.ipv4.conf.eth0.rp_filter=1",
        after="ip link del up1",
        grade=Grade.HINT,
        level=3,
        title="strict rp_filter with two default routes",
    ),
    Fault("bridge-missing", "ip link del shop0", level=1, title="the bridge is deleted"),
    Fault("bridge-down", "ip link set shop0 down", level=1, title="the bridge is down"),
    Fault(
        "veth-off-bridge",
        "ip link set $(port web) nomaster",
        level=1,
        title="a veth is taken off its bridge",
    ),
    Fault(
        "veth-down",
        "ip link set $(port web) down",
        level=1,
        title="the host's end of a veth is down",
    ),
    Fault(
        "port-blocking",
        "bridge link set dev $(port web) state 0",
        level=3,
        title="a port of the bridge is in STP's state disabled",
    ),
    Fault(
        "veth-left-behind",
        "ip link add left1 type veth peer name left2; ip link set left1 master shop0",
        grade=Grade.LIKELY,
        level=3,
        title="a veth without a container on the bridge",
    ),
    Fault("no-default-route", "inside web ip route del default", level=1, title="no default route"),
    Fault(
        "wrong-gateway",
        "inside web ip route replace default via 172.20.0.99",
        grade=Grade.LIKELY,
        title="another default gateway",
    ),
    Fault(
        "address-missing",
        "inside web ip addr del 172.20.0.2/24 dev eth0",
        level=1,
        title="the container's address is removed",
    ),
    Fault("link-down", "inside web ip link set eth0 down", level=1, title="eth0 in it is down"),
    Fault(
        "duplicate-address",
        "inside db ip addr add 172.20.0.2/24 dev eth0",
        level=3,
        title="two containers with one address",
    ),
    Fault(
        "duplicate-mac",
        "inside db ip link set eth0 address 02:42:ac:14:00:02",
        level=3,
        title="two containers with one MAC",
    ),
    Fault(
        "listens-on-loopback",
        "plumb run -d --name own --network shop -p 8081:81"
        " python3 -m http.server 81 --bind 127.0.0.1",
        remedy="plumb rm -f own",
        title="the program listens on 127.0.0.1 in its container",
    ),
    Fault(
        "nobody-listens",
        "plumb run -d --name own --network shop -p 8081:81 sleep infinity",
        remedy="plumb rm -f own",
        level=1,
        title="a published port that leads to nobody",
    ),
    Fault(
        "veth-mtu",
        "inside web ip link set eth0 mtu 1400",
        level=1,
        title="a veth's ends with two MTUs",
    ),
    Fault(
        "mtu-above-uplink",
        "ip link set eth0 mtu 1400",
        remedy=1,
        after="ip link set eth0 mtu 1500; iptables -t mangle -F FORWARD",
        grade=Grade.LIKELY,
        level=3,
        title="the uplink's MTU is smaller",
    ),
    Fault(
        "parent-down",
        "ip link set par up; plumb network create -d macvlan -o parent=par --subnet 10.9.0.0/24 mv;"
        " plumb run -d --name own --network mv; ip link set par down",
        after="plumb rm -f own; plumb network rm mv",
        needs=("macvlan",),
        level=1,
        title="a macvlan's parent is down",
    ),
    Fault(
        "parent-no-carrier",
        "ip link set par up; plumb network create -d macvlan -o parent=par --subnet 10.9.0.0/24 mv;"
        " plumb run -d --name own --network mv; ip link set far down",
        remedy="ip link set far up",
        after="plumb rm -f own; plumb network rm mv",
        needs=("macvlan",),
        title="a macvlan's parent has no carrier",
    ),
    Fault(
        "dns-loopback",
        "plumb run -d --name own --dns 127.0.0.53",
        remedy="plumb rm -f own",
        title="nameserver 127.0.0.53 in a container",
    ),
    Fault(
        "host-dns-empty",
        "mount --bind /dev/null /etc/resolv.conf",
        remedy="umount /etc/resolv.conf",
        grade=Grade.LIKELY,
        title="the host's resolv.conf is empty",
    ),
    Fault(
        "dns-blocked",
        "plumb run -d --name own --dns 172.17.0.1;"
        " iptables -A INPUT -i plumb0 -p udp --dport 53 -j DROP",
        after="iptables -F INPUT; plumb rm -f own",
        level=3,
        title="INPUT drops questions to a name server on the host",
    ),
    Fault(
        "port-dropped-inside",
        "inside web iptables -P INPUT DROP",
        remedy="plumb exec --privileged web iptables -P INPUT ACCEPT",
        title="iptables -P INPUT DROP in a container with a published port",
    ),
    Fault(
        "port-dropped-inside",
        "inside web iptables -A INPUT -p tcp -m tcp --dport 80 -j REJECT",
        remedy="plumb exec --privileged web iptables -F INPUT",
        level=3,
        also="port-rejected-inside",
        title="a rule in a container rejects its published port",
    ),
    Fault(
        "firewall-inside",
        "inside db iptables -P OUTPUT DROP",
        remedy="plumb exec --privileged db iptables -P OUTPUT ACCEPT",
        grade=Grade.HINT,
        title="iptables -P OUTPUT DROP in a container",
    ),
    Fault(
        "port-taken-by-rule",
        "iptables -t nat -I PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 22",
        level=3,
        title="a REDIRECT of a published port before the engine's rules",
    ),
    Fault(
        "direct-access-dropped",
        "plumb network create away; plumb run -d --name own --network away;"
        " plumb exec own ping -c 5 -i 0.2 -W 1 172.20.0.2 || true",
        remedy="iptables -t raw -Z PREROUTING",
        grade=Grade.HINT,
        after="plumb rm -f own; plumb network rm away",
        level=3,
        title="packets from elsewhere to a container's own address",
    ),
    Fault(
        "accept-ra-off",
        "sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.eth0.accept_ra=1;"
        " ip -6 route add default via fe80::1 dev eth0 proto ra metric 1",
        grade=Grade.LIKELY,
        after="ip -6 route del default proto ra; sysctl -qw net.ipv6.conf.all.forwarding=0",
        level=3,
        title="IPv6 forwarding with accept_ra=1 on the uplink",
    ),
    Fault(
        "plumb-drift",
        "iptables -t nat -D PLUMB 1",
        level=3,
        title="one of plumb's rules is deleted",
    ),
)
