"""Reasons of kernel settings, by name; a link's name in it is written LINK."""

from __future__ import annotations

import re

from plumb.explain.reason import Reason
from plumb.things.layer3 import Sysctl

WHAT = "kernel setting"
TABLE: tuple[tuple[str, Reason], ...] = (
    (
        r"net/ipv4/ip_forward|net/ipv6/conf/(all|default)/forwarding",
        Reason(
            WHAT,
            "the kernel forwards packets between its links, as a router does",
            "packets between containers and other networks, and to published ports, are dropped",
            "ip-forward in the settings",
        ),
    ),
    (
        r"net/bridge/bridge-nf-call-ip6?tables",
        Reason(
            WHAT,
            "frames that stay on a bridge pass iptables as well, so that its rules can part "
            "containers of one network",
            "enable_icc=false has no effect within a network",
            "-o com.docker.network.bridge.enable_icc=false",
        ),
    ),
    (
        r"net/ipv4/conf/LINK/route_localnet",
        Reason(
            WHAT,
            "packets from 127.0.0.1 may leave by this link: a port that is published on the "
            "loopback address leads to a container",
            "127.0.0.1:PORT of this host does not answer where no proxy holds the port",
            "-p, without the user-land proxy",
        ),
    ),
    (
        r"net/ipv6/conf/LINK/disable_ipv6",
        Reason(
            WHAT,
            "the link has IPv6 where its network has, and none where it has not",
            "the link gets addresses by itself on a network without IPv6, or none where it has",
            "--ipv6",
        ),
    ),
    (
        r"net/ipv6/conf/LINK/accept_ra",
        Reason(
            WHAT,
            "a bridge takes no routes and addresses from whoever advertises them",
            "a container that sends router advertisements changes this host's routes",
        ),
    ),
    (
        r"net/ipv6/conf/LINK/addr_gen_mode",
        Reason(
            WHAT,
            "the link gives itself no link-local address: it carries frames of others",
            "the link answers neighbour discovery in the network's name",
        ),
    ),
    (
        r"net/ipv4/conf/LINK/rp_filter",
        Reason(
            WHAT,
            "packets are taken from any source that some route leads back to",
            "packets of clients of a published port are dropped, for their way back is another",
            "-o plumb.ingress.source=preserve",
        ),
    ),
    (
        r"net/ipv4/conf/LINK/(arp_ignore|arp_announce)",
        Reason(
            WHAT,
            "the link does not answer ARP for addresses on lo: the virtual address is the "
            "balancer's to answer for",
            "tasks and balancer claim one address, and connections go to any of them",
            "--opt dsr",
        ),
    ),
    (
        r"net/ipv4/neigh/default/gc_thresh\d",
        Reason(
            WHAT,
            "the kernel keeps neighbours for as many containers as overlay networks may have",
            "with many endpoints the kernel forgets some (neighbour table overflow)",
        ),
    ),
    (
        r"net/ipv4/ip_unprivileged_port_start",
        Reason(
            WHAT,
            "a container's command may listen on ports below 1024 whoever it runs as",
            "a command that is not root's cannot listen on port 80",
            "--sysctl net.ipv4.ip_unprivileged_port_start=…",
        ),
    ),
    (
        r"net/ipv4/ping_group_range",
        Reason(
            WHAT,
            "commands in the container may send pings without the capability NET_RAW",
            "ping fails for whoever is not root",
            "--sysctl net.ipv4.ping_group_range=…",
        ),
    ),
    (
        r"net/ipv4/vs/conntrack",
        Reason(
            WHAT,
            "IPVS keeps connection tracking's entries right, so that NAT sees its packets",
            "answers do not come back by way of the balancer",
        ),
    ),
    (
        r"net/ipv4/vs/\w+",
        Reason(
            WHAT,
            "IPVS in a balancer behaves as Docker sets it up: connections to a task that is gone "
            "end at once",
            "connections hang while a service's tasks change",
        ),
    ),
)
ASKED = Reason(
    WHAT,
    "the container, or its network, was asked to have it so",
    "the setting has the kernel's usual value in the container",
    "--sysctl, or the label com.docker.network.endpoint.sysctls",
)


def sysctl(thing: Sysctl) -> Reason:
    """Return the reason of a setting."""
    name = thing.name.replace(f"/{thing.dev}/", "/LINK/") if thing.dev else thing.name
    return next((reason for words, reason in TABLE if re.fullmatch(words, name)), ASKED)
