"""Reasons of what the agent does, and of files, namespaces and commands."""

from __future__ import annotations

from plumb.explain.reason import Reason
from plumb.things.cluster import EndpointRecord
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import Agent, HostPort, Proxy, at
from plumb.things.ipsec import XfrmBlock, XfrmPolicy, XfrmState
from plumb.things.sandbox import Directory, File, Namespace, Process
from plumb.things.supervision import DelayedStart, HealthProbe


def agent(thing: Agent) -> Reason:
    return Reason(
        "process",
        "the agent: it holds published ports, passes their traffic on, and answers for names",
        "published ports do not answer on this host itself, and names are not resolved",
    )


def host_port(thing: HostPort) -> Reason:
    return Reason(
        "held port",
        f"{at(thing.ip, thing.port)}/{thing.protocol} is held, so that no other program takes it",
        "another program may listen there, and never hear of what the firewall sends on",
        "-p, without the user-land proxy",
        f"to {at(thing.to_ip, thing.to_port)} by the firewall's rules",
    )


def proxy(thing: Proxy) -> Reason:
    return Reason(
        "user-land proxy",
        f"what comes to {at(thing.ip, thing.port)}/{thing.protocol} past the firewall's rules "
        "(from 127.0.0.1, by IPv6 to a container without it) goes to the container",
        "127.0.0.1 does not lead to the published port",
        "-p; userland-proxy in the settings",
        f"in a connection of its own to {at(thing.to_ip, thing.to_port)}",
    )


def resolver(thing: Resolver) -> Reason:
    return Reason(
        "embedded DNS server",
        f"answers at {thing.ip} in the container: names of its networks itself, others by asking "
        "further",
        "the container resolves no name",
        "a user-defined network; --dns",
    )


def names(thing: Names) -> Reason:
    return Reason(
        "names",
        f"{', '.join(thing.names)} on the network {thing.title}",
        "containers of the network do not find it by name",
        "--name, --network-alias, --hostname",
        f"to {', '.join(map(str, thing.ips))}" if thing.ips else "",
    )


def endpoint_record(thing: EndpointRecord) -> Reason:
    return Reason(
        "record of the cluster",
        "other hosts learn the endpoint's address, MAC address and host from it",
        "containers on other hosts do not reach this one",
        "-d overlay",
    )


def xfrm_state(thing: XfrmState) -> Reason:
    return Reason(
        "IPsec state",
        f"packets from {thing.src} to {thing.dst} are encrypted with this key",
        "packets of encrypted networks between these hosts are dropped",
        "--opt encrypted",
    )


def xfrm_policy(thing: XfrmPolicy) -> Reason:
    return Reason(
        "IPsec policy",
        f"VXLAN of encrypted networks to {thing.dst} leaves encrypted",
        "the network's frames cross in the clear, and the other host drops them",
        "--opt encrypted",
    )


def xfrm_block(thing: XfrmBlock) -> Reason:
    return Reason(
        "IPsec policy",
        "VXLAN of encrypted networks that has no policy of its own does not leave",
        "frames to a host whose keys are not here yet would cross in the clear",
        "--opt encrypted",
    )


def directory(thing: Directory) -> Reason:
    return Reason("folder", "holds a container's files", "its files have no place")


def file(thing: File) -> Reason:
    name = thing.path.rpartition("/")[2]
    return Reason(
        "file",
        f"the container's /etc/{name}",
        f"the container's commands see the host's /etc/{name}",
        {"resolv.conf": "--dns", "hosts": "--add-host", "hostname": "--hostname"}.get(name, ""),
    )


def namespace(thing: Namespace) -> Reason:
    return Reason(
        "network namespace",
        "links, addresses, routes, rules and ports of its own: what makes it a container's network",
        "the container has no network of its own",
        "--network",
    )


def process(thing: Process) -> Reason:
    return Reason(
        "process", "the container's command", "the container does nothing", "the words of run"
    )


def health_probe(thing: HealthProbe) -> Reason:
    return Reason(
        "health check",
        "the agent runs its command in the container, to see that it works",
        "nobody knows whether the container works",
        "--health-cmd",
    )


def delayed_start(thing: DelayedStart) -> Reason:
    return Reason(
        "delayed start",
        f"the agent starts the container again after {thing.seconds:g} s",
        "the container stays stopped",
        "--restart",
    )
