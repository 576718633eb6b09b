"""A swarm's recording: what is seen besides of its nodes and networks, and what is no fact in it.

The namespaces of an overlay network are called by what they are: "h1 network n1", "h1 balancer
n1"; a network tells its peers, containers and services; nodes tell their roles."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from ipaddress import ip_interface, ip_network
from typing import Any

from tests.conformance.observe import DEEP, DEEP_LINK, State, observe
from tests.conformance.rig import Rig
from tests.conformance.scenarios import Recording
from tests.conformance.services import Services

INHERITED = re.compile(r"net\.ipv4\.(ip_forward|conf\..*\.forwarding)")
"""A new namespace forwards IPv4 if the machine's first one does, which says nothing."""


PATIENCE = 180.0
"""Seconds in which a service's tasks must run."""


def observe_deeply(netns: str) -> State:
    """Observe what balancers need, too."""
    return observe(netns, DEEP, DEEP_LINK)


def recorded(normal: Recording, lab: Rig, services: Mapping[str, Any]) -> Recording:
    """The recording, with what the lab's nodes and services are."""
    for box in normal["containers"].values():
        _forget_inherited(box["state"])
    for other in normal["others"].values():
        _forget_inherited(other["state"])
    return {**normal, "reach": _at_home(normal), "swarm": {**_nodes(lab), **services}}


def _forget_inherited(state: dict[str, Any]) -> None:
    state["sysctls"] = {k: v for k, v in state["sysctls"].items() if not INHERITED.fullmatch(k)}


def services(lab: Rig, networks: Mapping[str, Mapping[str, Any]]) -> Services:
    """The services of the lab's swarm, as its first manager tells them."""
    names = {net["Id"]: net["Name"] for net in networks.values()}
    for host in lab.hosts.values():
        if nodes := host.nodes():
            inspected = host.services()
            tasks = {one["Spec"]["Name"]: host.tasks(one["Spec"]["Name"]) for one in inspected}
            return Services(inspected, tasks, nodes, names)
    return Services(networks=names)


def wait_for_tasks(lab: Rig, service: str, number: int) -> bool:
    """Wait until so many tasks of a service run, and no update of it is under way.

    False if there is no such service, or they do not run in time.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        running = sum(
            name.startswith(f"{service}.")
            for host in lab.hosts.values()
            for name in host.asked("ps", "--format", "{{.Names}}").split()
        )
        known = [
            one
            for host in lab.hosts.values()
            for one in host.services()
            if one["Spec"]["Name"] == service
        ]
        updating = any((one.get("UpdateStatus") or {}).get("State") == "updating" for one in known)
        if running == number and not updating:
            return True
        if (number and not known) or time.monotonic() > deadline:
            return False
        time.sleep(0.5)


def network(network: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded besides of a network, as `network inspect -v` has it."""
    return {
        "Peers": sorted(peer["IP"] for peer in network.get("Peers") or ()),
        "Containers": sorted(
            " ".join(filter(None, (c["Name"], c["IPv4Address"], c["IPv6Address"])))
            for c in (network.get("Containers") or {}).values()
        ),
        "Services": {
            name or "(none)": {
                "VIP": service["VIP"],
                "Ports": service["Ports"],
                "Balanced": service["LocalLBIndex"] > 0,
                "Tasks": sorted(
                    f"{t['Name']} {t['EndpointIP']} on {t['Info'].get('Host IP')}"
                    for t in service["Tasks"]
                ),
            }
            for name, service in (network.get("Services") or {}).items()
        },
    }


def by_network(
    others: Mapping[str, tuple[str, State]], networks: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[str, State]]:
    """Namespaces that are no container's, each with its host, by what they are for.

    Args:
        others: by host and the kinds of links in them.
        networks: as `network inspect` has them.
    """
    subnets = {
        ip_network(pool["Subnet"]): network["Name"]
        for network in networks.values()
        if network.get("Scope") == "swarm"
        for pool in (network.get("IPAM") or {}).get("Config") or ()
    }
    found = {}
    for label, (host, state) in others.items():
        held = {
            subnets[subnet]
            for link, addresses in state["addrs"].items()
            for address in addresses
            if link != "lo" and (subnet := ip_interface(address).network) in subnets
        }
        kinds = {link["kind"] for link in state["links"].values()}
        kind = "network" if "vxlan" in kinds else "balancer"
        name = f"{host} {kind} {'+'.join(sorted(held))}" if held else label
        found[name] = host, state
    return found


def _at_home(normal: Recording) -> dict[str, dict[str, str]]:
    """Who reaches whom, without addresses of plumb_gwbridge on another host: both have the same."""
    home = {name: box["host"] for name, box in normal["containers"].items()}
    spanning = {n["Name"] for n in normal["networks"].values() if n.get("Scope") == "swarm"}
    shared = {
        name: {
            endpoint[key]
            for network, endpoint in box["inspect"]["Networks"].items()
            for key in ("IPAddress", "GlobalIPv6Address")
            if network in spanning
        }
        for name, box in normal["containers"].items()
    }

    def local_elsewhere(source: str, probe: str) -> bool:
        name, _, rest = probe.partition(" ")
        if len(normal["hosts"]) == 1 or source == "lan" or name not in home:
            return False
        return home[name] != home.get(source, source) and rest.split()[0] not in shared[name]

    return {
        source: {p: found for p, found in probes.items() if not local_elsewhere(source, p)}
        for source, probes in normal["reach"].items()
    }


def _nodes(lab: Rig) -> dict[str, Any]:
    found = {name: host.nodes() for name, host in lab.hosts.items()}
    return {
        "roles": {name: "manager" if nodes else "worker or none" for name, nodes in found.items()},
        "nodes": {
            node["Description"]["Hostname"]: {
                "Role": node["Spec"]["Role"],
                "Availability": node["Spec"]["Availability"],
                "State": node["Status"]["State"],
                "Addr": node["Status"].get("Addr"),
                "Leader": (node.get("ManagerStatus") or {}).get("Leader", False),
                "Reachability": (node.get("ManagerStatus") or {}).get("Reachability"),
                "Manager": (node.get("ManagerStatus") or {}).get("Addr"),
            }
            for node in next(filter(None, found.values()), [])
        },
    }
