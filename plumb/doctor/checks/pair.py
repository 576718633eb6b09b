"""Two ends: reasons why one container does not reach another, which alone are no faults."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from plumb.doctor import remedies
from plumb.doctor.checks import inside
from plumb.doctor.checks.ports import listening
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import ContainerState, NetworkState, Snapshot


def _common(snapshot: Snapshot, one: ContainerState, other: ContainerState) -> list[NetworkState]:
    ids = {end.network for end in one.ends}
    found = (snapshot.network(end.network) for end in other.ends if end.network in ids)
    return [net for net in found if net is not None]


def between(snapshot: Snapshot, one: ContainerState, other: ContainerState) -> Iterator[Finding]:
    """Find what keeps one container from another."""
    if one.place == other.place or not one.ends or not other.ends:
        return
    common = _common(snapshot, one, other)
    if not common and _parted(snapshot, one) and _parted(snapshot, other):
        yield _apart(snapshot, one, other)
    elif not common:
        yield _nameless_apart(snapshot, one, other)
    for net in common:
        if not net.icc and len(common) == 1:
            yield _icc(one, other, net)
        if net.default and len(common) == 1:
            yield _nameless(one, other, net)


def _networks(snapshot: Snapshot, box: ContainerState) -> list[str]:
    found = (snapshot.network(end.network) for end in box.ends)
    return [net.name for net in found if net is not None]


def _parted(snapshot: Snapshot, box: ContainerState) -> bool:
    """Test for a container on none but networks whose engine keeps others out."""
    found = (snapshot.network(end.network) for end in box.ends)
    return all(net.parted for net in found if net is not None)


def _nameless_apart(snapshot: Snapshot, one: ContainerState, other: ContainerState) -> Finding:
    name = next(iter(_networks(snapshot, other)), "NETWORK")
    command = remedies.words_of(other.engine)
    return Finding(
        "no-common-network",
        Grade.HINT,
        Severity.WARNING,
        f"{one.name} does not know the name {other.name}: they are on no common network",
        (one.name, other.name),
        tuple(f"{box.name}: {', '.join(_networks(snapshot, box))}" for box in (one, other)),
        "Names are resolved within a network. This engine lets packets from one network to another"
        " through, so by its address the container is reached all the same.",
        (f"{command} network connect {quote(name)} {remedies.own(one.name)}",),
    )


def _apart(snapshot: Snapshot, one: ContainerState, other: ContainerState) -> Finding:
    nets = [net for end in other.ends if (net := snapshot.network(end.network)) is not None]
    engine, name = other.engine, nets[0].name if nets else "NETWORK"
    internal = [net.name for net in nets if net.internal]
    return Finding(
        "no-common-network",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"{one.name} and {other.name} are on no common network",
        (one.name, other.name),
        (
            *(f"{box.name}: {', '.join(_networks(snapshot, box))}" for box in (one, other)),
            *(f"{each} is internal: nothing enters it" for each in internal),
        ),
        "Engines keep their networks apart: packets from one bridge to another are dropped, and"
        " names of other networks do not resolve. A published port of the host is open to both.",
        (f"{remedies.words_of(engine)} network connect {quote(name)} {remedies.own(one.name)}",),
    )


def _icc(one: ContainerState, other: ContainerState, net: NetworkState) -> Finding:
    return Finding(
        "icc-off",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"{one.name} and {other.name} are on {net.name}, whose containers are kept apart",
        (one.name, other.name, net.name),
        (f"{net.name}: com.docker.network.bridge.enable_icc=false",),
        "With icc=false the containers of a network reach the outside, and not each other. Only"
        " published ports, or --link on the default network, let them through.",
        (f"{remedies.words_of(net.engine)} network create NETWORK, and connect both to it",),
    )


def _nameless(one: ContainerState, other: ContainerState, net: NetworkState) -> Finding:
    return Finding(
        "no-names-on-default",
        Grade.HINT,
        Severity.WARNING,
        f"{one.name} does not know the name {other.name}: they are on the default network",
        (one.name, other.name, net.name),
        (f"{net.name}: the default network, without embedded DNS",),
        "Names are resolved on networks that a user has made, and not on the default one. By its"
        " address the container is reached all the same.",
        (f"{remedies.words_of(net.engine)} network create NETWORK, and connect both to it",),
    )


def port(snapshot: Snapshot, box: ContainerState, number: int, protocol: str) -> Iterator[Finding]:
    """Find why nobody listens at a port of a container."""
    space = snapshot.space(box)
    for end in box.ends[:1]:
        net = snapshot.network(end.network)
        if space is not None and net is not None:
            dropped = inside.port_dropped(snapshot, box, end, number, protocol)
            found = listening(box, end, net, number, protocol, space)
            yield from [found] if found is not None else []
            yield from dropped


def on_one_parent(snapshot: Snapshot, one: ContainerState, host: bool) -> Iterator[Finding]:
    """Find a macvlan or ipvlan container that is asked by its host, or asks it."""
    for end in one.ends if host else ():
        net = snapshot.network(end.network)
        if net is not None and net.on_lan and net.parent:
            yield Finding(
                "host-and-macvlan",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"the host and {one.name} do not reach each other by {net.parent}",
                (one.name, net.name, "host"),
                (f"{net.name}: {net.driver} on {net.parent}",),
                f"The kernel hands no frame from a parent to its own {net.driver} links, nor back."
                " All other machines of the segment are reached.",
                (
                    (
                        f"ip link add shim link {quote(net.parent)} type {net.driver} mode"
                        f" {'bridge' if net.own_mac else 'l2'}, with an address"
                    ),
                ),
            )
