"""Reasons of links, and of what stands on a link: addresses, routes, neighbours."""

from __future__ import annotations

from plumb.explain.reason import Reason
from plumb.things.layer3 import Address, Route
from plumb.things.links import Bridge, Dummy, Ipvlan, LinkAddress, Macvlan, Master, Up, Veth, Vlan
from plumb.things.policy_routing import RoutingRule, TableRoute
from plumb.things.vxlan import FdbEntry, Neighbour, Vxlan


def bridge(thing: Bridge) -> Reason:
    return Reason(
        "bridge",
        "a network's switch: frames between its containers pass here, and its address is their "
        "gateway",
        "containers of the network reach neither each other nor anything else",
        "-o com.docker.network.bridge.name",
        "by MAC address to one of its ports, or up to this host's routing",
    )


def veth(thing: Veth) -> Reason:
    return Reason(
        "veth pair",
        f"a container's way to its network: {thing.peer} is the end in the container, "
        f"{thing.name} is plugged into {thing.master}",
        "the container has no interface on this network",
        next=f"out of {thing.peer} in the container; from there into bridge {thing.master}",
    )


def dummy(thing: Dummy) -> Reason:
    return Reason(
        "dummy link",
        "the parent of a network without a parent: frames stay among its containers",
        "the network's sub-interfaces have no link to stand on",
        "--internal, or no -o parent",
        "to the network's other sub-interfaces; nowhere else",
    )


def vlan(thing: Vlan) -> Reason:
    return Reason(
        "VLAN link",
        f"frames of {thing.parent} with the tag {thing.id}",
        "the network's containers are not in that VLAN",
        f"-o parent={thing.name}",
        f"with the tag {thing.id} out of {thing.parent}",
    )


def macvlan(thing: Macvlan) -> Reason:
    return Reason(
        "macvlan link",
        f"a container's own MAC address on {thing.parent}, mode {thing.mode}",
        "the container has no interface on this network",
        f"-d macvlan -o parent={thing.parent}",
        f"out of {thing.parent} to the LAN; the host itself does not see them",
    )


def ipvlan(thing: Ipvlan) -> Reason:
    return Reason(
        "ipvlan link",
        f"a container's own addresses on {thing.parent}, whose MAC address it shares; "
        f"mode {thing.mode}",
        "the container has no interface on this network",
        f"-d ipvlan -o parent={thing.parent}",
        f"out of {thing.parent} to the LAN; the host itself does not see them",
    )


def vxlan(thing: Vxlan) -> Reason:
    return Reason(
        "VXLAN link",
        f"frames to containers on other hosts go in UDP packets to port {thing.port}, with the "
        f"network's number {thing.id} (VNI)",
        "containers of the network reach those on other hosts no longer",
        "-d overlay; swarm init --data-path-port",
        f"to the host that the FDB names for the MAC address, UDP port {thing.port}",
    )


def master(thing: Master) -> Reason:
    return Reason(
        "bridge port",
        f"{thing.dev} is a port of {thing.bridge}",
        f"frames of {thing.dev} do not come to the network",
        next=f"into bridge {thing.bridge}",
    )


def up(thing: Up) -> Reason:
    return Reason(
        "link that is up",
        f"the kernel sends and takes frames on {thing.dev} only while it is up",
        f"nothing passes {thing.dev}, and routes by way of it are gone",
    )


def link_address(thing: LinkAddress) -> Reason:
    return Reason(
        "MAC address",
        f"the address of {thing.dev} that --mac-address asked for",
        "the container has another MAC address than was asked for",
        "--mac-address",
    )


def address(thing: Address) -> Reason:
    if thing.ns:
        return Reason(
            "address",
            f"the container's own address on this network, {thing.ip}",
            "nobody on the network reaches the container by this address",
            "--ip, --ip6, or the next free one",
        )
    return Reason(
        "address",
        f"the gateway of the network's containers, {thing.ip.ip}; with it the kernel has the route "
        f"to {thing.ip.network}",
        "containers have no way out, and this host has no route to them",
        "--gateway",
        "to this host itself, or by its routing to where they are for",
    )


def route(thing: Route) -> Reason:
    if thing.dst.prefixlen == 0:
        return Reason(
            "default route",
            "all that the container sends to other networks goes to its gateway"
            if thing.via
            else f"all that the container sends goes out of {thing.dev}",
            "the container reaches its own networks and nothing else",
            "network connect --gw-priority",
            f"to {thing.via} on {thing.dev}" if thing.via else f"out of {thing.dev}",
        )
    return Reason(
        "route",
        f"addresses of {thing.dst} are reached by way of {thing.via or thing.dev}",
        f"the container does not reach {thing.dst}",
        next=f"to {thing.via} on {thing.dev}" if thing.via else f"out of {thing.dev}",
    )


def fdb_entry(thing: FdbEntry) -> Reason:
    return Reason(
        "FDB entry",
        f"the container with the MAC address {thing.mac} is on the host {thing.vtep}",
        "frames to this container go to no host: the link does not learn and does not flood",
        next=f"in VXLAN to {thing.vtep}",
    )


def neighbour(thing: Neighbour) -> Reason:
    return Reason(
        "permanent neighbour",
        f"{thing.ip} has the MAC address {thing.mac}: the link answers ARP for it, which is not "
        "sent to other hosts",
        "the container on the other host is not found by its address",
        next=f"to {thing.mac} on {thing.dev}",
    )


def routing_rule(thing: RoutingRule) -> Reason:
    return Reason(
        "routing rule",
        f"packets with the mark {thing.mark:#x} are routed by table {thing.table}: answers to "
        "clients of a published port, whose own address the task sees",
        "answers take the default route and do not pass the balancer that rewrote the question",
        "-o plumb.ingress.source=preserve",
        f"to the routes of table {thing.table}",
    )


def table_route(thing: TableRoute) -> Reason:
    return Reason(
        "route of a table",
        f"answers to clients of a published port go back to the balancer {thing.via}",
        "answers take the default route and do not pass the balancer that rewrote the question",
        "-o plumb.ingress.source=preserve",
        f"to {thing.via} on {thing.dev}",
    )
