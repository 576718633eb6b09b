"""Faults that users of containers report, each with the commands that inject it.

The lab has a network shop (172.20.0.0/24) with web (172.20.0.2, published at 8080, a program that
listens at 80) and db (172.20.0.3), and a network quiet (172.21.0.0/24, icc=false) with q1 and q2.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from plumb import Host
from plumb.doctor import diagnose, read
from plumb.model.diagnosis.finding import Finding, Grade
from plumb.model.parse import BRIDGE
from tests import REPOSITORY, labs
from tests.labs import Lab, sh, within
from tests.waiting import DEADLINE

LISTEN = (
    "import socket, sys; s = socket.create_server((sys.argv[1], int(sys.argv[2])))\n"
    "while True: s.accept()[0].close()"
)


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        id: the finding that it must have.
        inject: a shell line; {br}, {web} and {db} are the bridge and the containers' links in the
            host.
        inside: a shell line in the namespace of a container: its name and the line.
        remedy: the remedy that is applied: its number in the finding, or a shell line.
        after: a shell line that tidies up.
        grade: the finding's grade.
        needs: features of the kernel.
    """

    id: str
    inject: str = ""
    inside: tuple[str, str] = ("", "")
    remedy: int | str = 0
    after: str = ""
    grade: Grade = Grade.PROVEN
    needs: tuple[str, ...] = ()
    title: str = ""


HELD = "up1 type veth peer name up2"
FAULTS = (
    Fault("ip-forward-off", "sysctl -qw net.ipv4.ip_forward=0", title="ip_forward is 0"),
    Fault(
        "link-forward-off",
        "sysctl -qw net.ipv4.conf.{br}.forwarding=0",
        title="forwarding is off for the bridge",
    ),
    Fault(
        "second-firewall",
        "nft add table inet mine; nft add chain inet mine forward"
        " '{{ type filter hook forward priority 10; policy drop; }}'",
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
        title="POSTROUTING -j MASQUERADE without a match",
    ),
    Fault(
        "bridge-nf-drop",
        "sysctl -qw net.bridge.bridge-nf-call-iptables=1;"
        " iptables -I FORWARD -i {br} -o {br} -j DROP",
        remedy="iptables -D FORWARD -i {br} -o {br} -j DROP",
        needs=("br_netfilter",),
        title="bridge-nf-call-iptables=1 and a drop within the bridge",
    ),
    Fault(
        "icc-not-enforced",
        "sysctl -qw net.bridge.bridge-nf-call-iptables=0",
        needs=("br_netfilter",),
        title="icc=false and bridge-nf-call-iptables=0",
    ),
    Fault(
        "ufw-bypassed",
        "iptables -N ufw-user-input; iptables -A ufw-user-input -p tcp -m tcp --dport 8080 -j DROP",
        remedy=1,
        grade=Grade.LIKELY,
        after="iptables -F PLUMB-USER; iptables -F ufw-user-input; iptables -X ufw-user-input",
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
        title="a LAN's route contains the subnet",
    ),
    Fault(
        "rp-filter",
        f"ip link add {HELD}; ip link set up1 up; ip link set up2 up;"
        " ip route add default dev up1 metric 500; sysctl -qw net.ipv4.conf.eth0.rp_filter=1",
        after="ip link del up1",
        grade=Grade.HINT,
        title="strict rp_filter with two default routes",
    ),
    Fault("bridge-missing", "ip link del {br}", title="the bridge is deleted"),
    Fault("bridge-down", "ip link set {br} down", title="the bridge is down"),
    Fault("veth-off-bridge", "ip link set {web} nomaster", title="a veth is taken off its bridge"),
    Fault("veth-down", "ip link set {web} down", title="the host's end of a veth is down"),
    Fault(
        "port-blocking",
        "ip link set {br} type bridge stp_state 1; ip link set {web} down; ip link set {web} up",
        title="STP keeps a port of the bridge from forwarding",
    ),
    Fault(
        "veth-left-behind",
        "ip link add left1 type veth peer name left2; ip link set left1 master {br}",
        grade=Grade.LIKELY,
        title="a veth without a container on the bridge",
    ),
    Fault("no-default-route", inside=("web", "ip route del default"), title="no default route"),
    Fault(
        "wrong-gateway",
        inside=("web", "ip route replace default via 172.20.0.99"),
        grade=Grade.LIKELY,
        title="another default gateway",
    ),
    Fault(
        "address-missing",
        inside=("web", "ip addr del 172.20.0.2/24 dev eth0"),
        title="the container's address is removed",
    ),
    Fault("link-down", inside=("web", "ip link set eth0 down"), title="eth0 in it is down"),
    Fault(
        "duplicate-address",
        inside=("db", "ip addr add 172.20.0.2/24 dev eth0"),
        title="two containers with one address",
    ),
    Fault(
        "duplicate-mac",
        inside=("db", "ip link set eth0 address {mac}"),
        title="two containers with one MAC",
    ),
    Fault(
        "listens-on-loopback",
        "plumb run -d --name own --network shop -p 8081:81 {python} -c '{listen}' 127.0.0.1 81",
        remedy="plumb rm -f own",
        title="the program listens on 127.0.0.1 in its container",
    ),
    Fault(
        "nobody-listens",
        "plumb run -d --name own --network shop -p 8081:81 sleep 1000",
        remedy="plumb rm -f own",
        title="a published port that leads to nobody",
    ),
    Fault(
        "veth-mtu", inside=("web", "ip link set eth0 mtu 1400"), title="a veth's ends with two MTUs"
    ),
    Fault(
        "mtu-above-uplink",
        "ip link set eth0 mtu 1400",
        remedy=1,
        after="ip link set eth0 mtu 1500; iptables -t mangle -F FORWARD",
        grade=Grade.LIKELY,
        title="the uplink's MTU is smaller",
    ),
    Fault(
        "parent-down",
        "ip link set par up; plumb network create -d macvlan -o parent=par --subnet 10.9.0.0/24 mv;"
        " plumb run -d --name own --network mv; ip link set par down",
        after="plumb rm -f own; plumb network rm mv",
        needs=("macvlan",),
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
    Fault("embedded-dns-silent", "plumb agent stop", title="the embedded DNS server is killed"),
    Fault(
        "dns-blocked",
        "plumb run -d --name own --dns 172.17.0.1;"
        " iptables -A INPUT -i plumb0 -p udp --dport 53 -j DROP",
        after="iptables -F INPUT; plumb rm -f own",
        title="INPUT drops questions to a name server on the host",
    ),
    Fault(
        "port-taken-by-rule",
        "iptables -t nat -I PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 22",
        title="a REDIRECT of a published port before the engine's rules",
    ),
    Fault(
        "accept-ra-off",
        "sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.eth0.accept_ra=1;"
        " ip -6 route add default via fe80::1 dev eth0 proto ra metric 1",
        grade=Grade.LIKELY,
        after="ip -6 route del default proto ra; sysctl -qw net.ipv6.conf.all.forwarding=0",
        title="IPv6 forwarding with accept_ra=1 on the uplink",
    ),
    Fault("plumb-drift", "iptables -t nat -D PLUMB 1", title="one of plumb's rules is deleted"),
)


@contextmanager
def scene() -> Iterator[Lab]:
    """The lab of the faults."""
    with labs.lab(lan=True) as lab:
        sh("ip link add par type veth peer name far; ip link set far up")
        plumb(lab, "network create --subnet 172.20.0.0/24 shop")
        plumb(lab, f"network create --subnet 172.21.0.0/24 -o {BRIDGE}enable_icc=false quiet")
        lab.plumb(
            *("run", "-d", "--name", "web", "--network", "shop", "-p", "8080:80"),
            *(sys.executable, "-c", LISTEN, "0.0.0.0", "80"),
        )
        for name, net in (("db", "shop"), ("q1", "quiet"), ("q2", "quiet")):
            lab.plumb("run", "-d", "--name", name, "--network", net)
        yield lab


def plumb(lab: Lab, line: str) -> None:
    """Run a command line of plumb."""
    lab.plumb(*line.split())


def found(lab: Lab) -> list[Finding]:
    """Diagnose the lab's host."""
    with lab.host() as host:
        return diagnose.diagnose(read.read(host))


def until(lab: Lab, good: Callable[[list[Finding]], bool]) -> list[Finding]:
    """Diagnose until a program that was just started listens, or until the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not good(last := found(lab)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return last


def names(host: Host) -> dict[str, str]:
    """Names for a fault's shell lines."""
    by_name = {box.name: host.endpoints(box)[0] for box in host.containers() if host.endpoints(box)}
    return {
        "br": host.network("shop").link,
        "web": by_name["web"].link,
        "db": by_name["db"].link,
        "mac": by_name["web"].mac,
        "python": sys.executable,
        "listen": LISTEN,
    }


def inject(lab: Lab, fault: Fault) -> dict[str, str]:
    """Inject a fault; the names for further lines."""
    with lab.host() as host:
        known = names(host)
        box, line = fault.inside
        if box:
            within(host.namespace(host.container(box)), line.format(**known))
    if fault.inject:
        shell(lab, fault.inject.format(**known))
    return known


def shell(lab: Lab, line: str) -> str:
    """Run a shell line in which `plumb` is this lab's."""
    own = f"PLUMB_ROOT={lab.root} PYTHONPATH={REPOSITORY} {sys.executable} -m plumb"
    return sh(f'plumb() {{ {own} "$@"; }}; {line}')
