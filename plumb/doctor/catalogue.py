"""The catalogue: the checks in the order in which their faults are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from plumb.doctor.checks import (
    bridges,
    containers,
    duplicates,
    firewall,
    forwarding,
    host_input,
    inside,
    lan,
    limits,
    mtu,
    names,
    nat,
    ports,
    record,
    routing,
)
from plumb.doctor.checks.counters import checksums, direct, tracking, unanswered
from plumb.doctor.checks.overlay import node_ports, tunnels
from plumb.doctor.checks.published import stale_rules, taken
from plumb.model.diagnosis.finding import Finding
from plumb.model.diagnosis.snapshot import Snapshot

PAGE = "docs/doctor.md"


class Check(NamedTuple):
    """A check.

    Attributes:
        ids: the findings that it can have.
        title: what was looked at, for a host without faults.
        find: finds them in a snapshot.
    """

    ids: tuple[str, ...]
    title: str
    find: Callable[[Snapshot], Iterable[Finding]]


CATALOGUE = (
    Check(("ip-forward-off",), "forwarding", forwarding.off),
    Check(("link-forward-off",), "forwarding", forwarding.off_for_link),
    Check(("second-firewall", "rules-flushed"), "firewall rules", firewall.dropped),
    Check(("bridge-nf-drop",), "firewall rules", firewall.bridged_packets_dropped),
    Check(("icc-not-enforced",), "firewall rules", firewall.icc_not_enforced),
    Check(("iptables-variants",), "firewall rules", firewall.both_variants),
    Check(("ufw-bypassed",), "firewall rules", firewall.ufw_bypassed),
    Check(("dns-blocked",), "firewall rules", host_input.dns_blocked),
    Check(("direct-access-dropped",), "firewall rules", direct.dropped),
    Check(("port-dropped-inside", "firewall-inside"), "firewall rules", inside.blocked),
    Check(("port-taken-by-rule",), "address translation", nat.dnat_first),
    Check(("port-not-rewritten", "port-held"), "address translation", nat.not_rewritten),
    Check(("port-rule-stale",), "address translation", stale_rules.stale),
    Check(("no-masquerade",), "address translation", nat.no_masquerade),
    Check(("stray-masquerade",), "address translation", nat.stray_masquerade),
    Check(("subnet-twice",), "subnets and routes", routing.subnet_twice),
    Check(("route-elsewhere", "route-blackhole"), "subnets and routes", routing.stolen),
    Check(("subnet-overlap",), "subnets and routes", routing.overlap),
    Check(("rp-filter",), "subnets and routes", routing.reverse_path),
    Check(("bridge-missing",), "bridges", bridges.missing),
    Check(("hairpin-off",), "bridges", bridges.hairpin_off),
    Check(("bridge-down",), "bridges", bridges.down),
    Check(("veth-off-bridge", "veth-down", "port-blocking"), "bridges", bridges.off_bridge),
    Check(("networkd-manages",), "bridges", bridges.managed),
    Check(("veth-left-behind",), "bridges", bridges.left_behind),
    Check(("no-default-route", "wrong-gateway"), "containers", containers.no_default_route),
    Check(("address-missing",), "containers", containers.address_missing),
    Check(("link-down",), "containers", containers.link_down),
    Check(("duplicate-address",), "addresses", duplicates.address),
    Check(("duplicate-mac",), "addresses", duplicates.mac),
    Check(("listens-on-loopback", "nobody-listens"), "published ports", ports.behind),
    Check(("port-in-use",), "published ports", taken.in_use),
    Check(("port-shadowed",), "published ports", ports.in_front),
    Check(("no-localhost",), "published ports", ports.localhost),
    Check(("veth-mtu",), "MTUs", mtu.of_pair),
    Check(("mtu-above-uplink",), "MTUs", mtu.above_uplink),
    Check(("stale-flow",), "connection tracking", nat.stale_flow),
    Check(("conntrack-full",), "connection tracking", limits.conntrack),
    Check(("conntrack-was-full",), "connection tracking", tracking.was_full),
    Check(("packets-invalid",), "connection tracking", tracking.invalid),
    Check(("neighbours-full",), "neighbours", limits.neighbours),
    Check(("parent-down", "parent-no-carrier"), "macvlan and ipvlan", lan.parent_down),
    Check(("macvlan-wifi",), "macvlan and ipvlan", lan.wireless),
    Check(("nothing-received",), "macvlan and ipvlan", unanswered.nothing_received),
    Check(("overlay-ports",), "overlay networks", node_ports.dropped),
    Check(("overlay-port-silent",), "overlay networks", node_ports.silent),
    Check(("tunnel-missing", "tunnel-down", "tunnel-differs"), "overlay networks", tunnels.broken),
    Check(("tunnel-no-route", "tunnel-end-gone"), "overlay networks", tunnels.unreached),
    Check(("tunnel-mtu",), "overlay networks", tunnels.too_large),
    Check(
        ("embedded-dns-silent", "dns-loopback", "dns-no-route"), "name servers", names.unanswered
    ),
    Check(("host-dns-empty",), "name servers", names.host_without),
    Check(("accept-ra-off",), "IPv6", forwarding.not_accepted),
    Check(("checksum-errors",), "the kernel", checksums.damaged),
    Check(("iptables-without-kernel",), "the kernel", limits.no_legacy),
    Check(("modules-of-another-kernel",), "the kernel", limits.modules),
    Check(("plumb-drift",), "plumb's record", record.drifted),
    Check(("not-read",), "what could be read", record.unread),
)
PAIR = ("no-common-network", "icc-off", "no-names-on-default", "host-and-macvlan")
"""Findings about two ends only."""
