"""Causes at an overlay network's VXLAN link: nobody known behind it, or a loss there."""

from __future__ import annotations

from plumb.foreign.values import Engine
from plumb.model.cnm import Network
from plumb.model.observations import Netns
from plumb.trace import link_labels
from plumb.trace.causes import by_neighbour, owners
from plumb.trace.causes.case import Case, Cause
from plumb.trace.path import Ending, Tunnelled

GOSSIP = "plumb doctor, on both hosts: nodes tell each other of containers by port 7946"
"""What to try where a node of Docker's swarm has not heard of a container."""


def find(case: Case) -> Cause | None:
    """Find what became of a packet that left by a VXLAN link, or should have."""
    steps = case.story.ways[case.end.way]
    last = steps[-1] if steps else None
    if not case.gone:
        return None
    if not isinstance(last, Tunnelled) or last.inbound:
        return _unknown(case)
    net = _network(case, last.place)
    return _without_entry(case, net, last) if last.dst is None else _behind(case, net, last)


def _network(case: Case, place: Netns) -> Network | None:
    nets = (net for net in case.networks if net.multi_host)
    return next((net for net in nets if link_labels.place_of(net) == place), None)


def _is_docker_s(case: Case, net: Network | None) -> bool:
    return net is not None and case.engines.get(net.id) is Engine.DOCKER


def _without_entry(case: Case, net: Network | None, step: Tunnelled) -> Cause:
    mending = (GOSSIP,) if _is_docker_s(case, net) else ()
    return Cause(
        "no-fdb-entry",
        f"{step.dev} does not know which host has {step.mac}",
        (f"{step.place.name}: bridge fdb: no entry of {step.mac} dev {step.dev} with a dst",),
        (*mending, owners.rebuild(case, net)),
    )


def _behind(case: Case, net: Network | None, step: Tunnelled) -> Cause | None:
    if case.end.ending not in (Ending.LOST, Ending.BEYOND) or step.dst is None:
        return None
    remedies = (
        (
            f"plumb doctor, and plumb trace of the same packet, on {step.dst}",
            f"let UDP port {step.port} pass between {step.src} and {step.dst}",
        )
        if _is_docker_s(case, net)
        else ("plumb check --peers", f"plumb check, on the host that has {step.dst}")
    )
    return Cause(
        "behind-vxlan",
        f"it is lost between this host and {step.dst}, or there",
        (f"{step.place.name}: bridge fdb: {step.mac} dev {step.dev} dst {step.dst}",),
        remedies,
        sure=False,
    )


def _unknown(case: Case) -> Cause | None:
    """Find an address of Docker's overlay that no node has told this one of.

    The VXLAN link answers questions for MAC addresses on the network (ARP) by its own entries, and
    floods none of them to other hosts.
    """
    hop = by_neighbour.next_hop(case)
    known, net = by_neighbour.neighbour(hop), case.network_of(hop.ip)
    if known is None or known.state not in by_neighbour.DEAD or net is None:
        return None
    facts = case.facts.get(link_labels.place_of(net).name)
    if facts is None or not _is_docker_s(case, net) or not net.multi_host:
        return None
    links = [link.name for link in facts.links if link.kind == "vxlan"]
    listed = any(each.ip == hop.ip and each.dev in links for each in facts.neighbours)
    if listed or not links or case.holder(hop.ip) is not None:
        return None
    return Cause(
        "no-peer",
        f"no container of {net.name} that this host has been told of has {hop.ip}",
        (
            f"{hop.facts.place.name}: ip neigh: {hop.ip} dev {hop.dev} {known.state}",
            f"{facts.place.name}: ip neigh: no entry of {hop.ip} dev {', '.join(links)}",
        ),
        (f"docker ps, on the host that should have {hop.ip}", GOSSIP),
    )
