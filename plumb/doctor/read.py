"""Reading of a snapshot: plumb's record, other engines, the host's namespace and each container's.

Each namespace is read once, several at a time. What cannot be read is said in the snapshot: a host
of which little could be read is not one without faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from plumb.engine import repair
from plumb.engine.host import Host
from plumb.engine.targets import TargetResolver
from plumb.errors import PlumbError
from plumb.foreign import podman
from plumb.foreign.values import Engine
from plumb.frozen import collector_paused, replace
from plumb.kernel.diagnosis import machine, namespace, tunnels
from plumb.kernel.foreign import dockerd, files_inside
from plumb.model.cnm import Network
from plumb.model.diagnosis import overlay_state
from plumb.model.diagnosis.failed_start import FailedStart
from plumb.model.diagnosis.overlay_state import OverlayState
from plumb.model.diagnosis.snapshot import (
    PLUMB,
    ContainerState,
    EndState,
    FlowState,
    NamespaceState,
    NetworkState,
    Snapshot,
)
from plumb.model.driver_options import GatewayMode
from plumb.model.net.targets import Member
from plumb.model.netns_state import Listener
from plumb.model.observations import HOST, Netns
from plumb.model.settings import Settings

THREADS = 4
NODE_PORTS = frozenset({overlay_state.GOSSIP_PORT, overlay_state.MANAGER_PORT})
"""Ports whose holder a check asks for; that of the tunnels is the kernel's own socket."""
Listening = Mapping[Listener, int]
Reading = tuple[Netns, NamespaceState, Listening]


def read(host: Host) -> Snapshot:
    """Read this host.

    Args:
        host: plumb's own root; of its record nothing is changed.
    """
    with collector_paused():
        targets = TargetResolver(host)
        missing = list(targets.foreign.missing)
        readings = _spaces(targets, missing)
        home, spaces = readings[0], readings[1:]
        state = replace(
            home[1],
            peers=namespace.peers(home[0], [(place, one) for place, one, _ in spaces], home[1]),
        )
        containers = tuple(_containers(targets))
        failed = tuple(_failed(targets))
        owned = _owned([(home[0], state, home[2]), *spaces], containers, failed)
        flows, unread = _flows(containers)
        mine = machine.read()
        return Snapshot(
            owned[0],
            tuple(owned[1:]),
            containers,
            tuple(_networks(targets, host.settings, mine.processes)),
            flows,
            mine,
            tuple(_overlays(targets, tunnels.folders(mine.processes), missing)),
            failed,
            _drifts(host, missing),
            tuple(dict.fromkeys(str(each.engine) for each in targets.foreign.sources)),
            (*missing, *unread),
        )


def _spaces(targets: TargetResolver, missing: list[str]) -> list[Reading]:
    """Read the host's namespace, then each container's that has one."""
    known = sorted(targets.foreign.containers, key=lambda each: bool(each.etc))
    etc = {each.member.place.name: each.etc for each in known}  # last: files that are known
    places = {HOST: Netns(HOST, "")}
    files = {HOST: "/etc"}
    published = _published(targets)
    for member in targets.members:
        if member.place.name not in places and member.place.ns:
            places[member.place.name] = member.place
            given = etc.get(member.place.name)
            files[member.place.name] = (
                targets.name_files(member.place.name, member.place) if given is None else given
            )

    def one(place: Netns) -> Reading | str:
        try:
            state, listening = namespace.read(
                place, host=place.name == HOST, published=published.get(place.name, ())
            )
        except (PlumbError, OSError) as error:
            return f"the namespace of {place.name}: {error}"
        resolv, hosts = _name_files(files[place.name])
        return place, replace(state, resolv=resolv, hosts=hosts), listening

    first, *others = places.values()
    with ThreadPoolExecutor(THREADS) as pool:
        rest = list(pool.map(one, others))
    home = one(first)
    if isinstance(home, str):
        raise PlumbError(f"cannot read {home}")
    missing += [each for each in rest if isinstance(each, str)]
    return [home, *(each for each in rest if not isinstance(each, str))]


def _published(targets: TargetResolver) -> dict[str, list[tuple[str, int]]]:
    """The published ports of containers with a program, by the name of their namespace."""
    own = {member.box.id for member in targets.own if not member.box.argv}
    found: dict[str, list[tuple[str, int]]] = {}
    for member in targets.members:
        ports = [port for end, _ in member.ends for port in end.ports if port.protocol != "sctp"]
        if member.box.id not in own:
            known = found.setdefault(member.place.name, [])
            known += [(str(each.protocol), each.port) for each in ports]
    return found


def _name_files(folder: str) -> tuple[str, str]:
    """Read a namespace's resolv.conf and hosts; empty where no folder of them is known."""
    if not folder:
        return "", ""
    inside = files_inside.root_of(folder)
    if inside is None:
        return namespace.resolv_and_hosts(folder)
    root, path = inside
    longest = namespace.LONGEST
    return (
        files_inside.read(root, f"{path}/resolv.conf", longest),
        files_inside.read(root, f"{path}/hosts", longest),
    )


def _owned(
    readings: Iterable[Reading],
    containers: Iterable[ContainerState],
    failed: Iterable[FailedStart] = (),
) -> list[NamespaceState]:
    """Name the programs that listen at published ports, or behind them."""
    ports = {
        number
        for box in containers
        for end in box.ends
        for port in end.ports
        for number in (port.port, port.host_port)
    } | NODE_PORTS
    ports |= {number for box in failed for _, number in box.ports}
    kept = list(readings)
    wanted = frozenset(
        inode for _, _, found in kept for each, inode in found.items() if each.port in ports
    )
    names = namespace.owners(wanted)
    return [
        replace(
            state,
            listeners=tuple(
                replace(each, who=names.get(found[each], "")) for each in state.listeners
            ),
        )
        for _, state, found in kept
    ]


def _failed(targets: TargetResolver) -> Iterable[FailedStart]:
    """Containers that did not start, for an error about one of their published ports."""
    for box, source in targets.foreign.stopped:
        ports = tuple(
            (str(each.protocol), number) for each in box.ports if (number := each.first) is not None
        )
        if any(f":{number}" in box.error for _, number in ports):
            yield FailedStart(box.name, str(source.engine), box.error, ports)


def _containers(targets: TargetResolver) -> Iterable[ContainerState]:
    engines = {each.member.box.id: str(each.source.engine) for each in targets.foreign.containers}
    for member in targets.members:
        box = member.box
        engine = engines.get(box.id, PLUMB)
        program = bool(box.argv) or engine != PLUMB
        yield ContainerState(box.name, engine, member.place.name, tuple(_ends(member)), program)


def _ends(member: Member) -> Iterable[EndState]:
    for end, _ in member.ends:
        yield EndState(end.network, end.mac, end.ip, end.ip6, end.ports)


def _networks(
    targets: TargetResolver, settings: Settings, running: Iterable[tuple[int, str]]
) -> Iterable[NetworkState]:
    refused = next(
        (text for each in dockerd.among(running) if (text := each.refused("iptables"))), ""
    )
    foreign = {
        each.network.id: (str(each.source.engine), each.driver) for each in targets.foreign.networks
    }
    for net in targets.networks:
        engine, driver = foreign.get(net.id, (PLUMB, net.driver))
        made = _network(net, engine, driver)
        rules = engine != PLUMB or settings.firewall(4)
        made = made if rules else replace(made, masquerade=False)
        yield replace(made, unruled=refused) if engine == Engine.DOCKER else made


def _network(net: Network, engine: str, driver: str) -> NetworkState:
    return NetworkState(
        net.id,
        net.name,
        engine,
        driver,
        net.link,
        net.parent,
        tuple(pool.subnet for pool in net.pools),
        tuple(ip for pool in net.pools if (ip := pool.router) is not None),
        net.ipv6,
        net.internal or net.closed or net.bridge.mode4 is GatewayMode.ISOLATED,
        net.bridge.masquerade,
        net.bridge.icc,
        tuple(version for version in (4, 6) if net.bridge.mode(version) in NATTED),
        net.default or (engine == Engine.PODMAN and net.name == podman.DEFAULT),
        net.bridge_in_host,
        net.on_lan,
        net.traits.own_mac,
        net.traits.multi_host,
        net.overlay.vnis,
        net.overlay.encrypted,
        net.overlay.vtep,
        net.overlay.port if engine == PLUMB and net.traits.multi_host else 0,
        net.internal or _parted(net, engine),
    )


def _parted(net: Network, engine: str) -> bool:
    """Test for a network that other networks of its engine do not reach.

    Podman parts those alone that have its option isolate, and CNI's plugins part none.
    """
    if engine == Engine.PODMAN:
        return podman.parted(net)
    return engine != Engine.CONTAINERD


NATTED = (GatewayMode.NAT, GatewayMode.NAT_UNPROTECTED)


def _overlays(
    targets: TargetResolver, folders: list[str], missing: list[str]
) -> Iterable[OverlayState]:
    """Read the namespaces of overlay networks that containers of this host are on."""
    used = {net.id for member in targets.members for _, net in member.ends}
    for net in targets.networks:
        if not net.multi_host or net.id not in used:
            continue
        known = (net.overlay.netns, *(f"{folder}/1-{net.id[:10]}" for folder in folders))
        files = [file for file in known if file and tunnels.is_namespace(file)]
        if files:
            try:
                yield OverlayState(net.id, files[0], tunnels.read(files[0]))
            except (PlumbError, OSError) as error:
                missing.append(f"the namespace of the network {net.name}: {error}")
        else:
            missing.append(f"the namespace of the network {net.name}: it is not in {folders[0]}")


def _flows(containers: Iterable[ContainerState]) -> tuple[tuple[FlowState, ...], tuple[str, ...]]:
    """Read rewritten flows, where a port is published by UDP."""
    ports = frozenset(
        port.host_port
        for box in containers
        for end in box.ends
        for port in end.ports
        if port.protocol == "udp" and port.host_port
    )
    if not ports:
        return (), ()
    try:
        return tuple(machine.rewritten_flows(ports)), ()
    except OSError as error:
        return (), (f"connection tracking: {error}",)


def _drifts(host: Host, missing: list[str]) -> tuple[str, ...]:
    """Compare plumb's record with the kernel, twice: a command may be at work at the first look."""
    with suppress(FileNotFoundError):
        try:
            first = repair.check(host.store, host.kernel)
            second = repair.check(host.store, host.kernel) if first else []
        except PlumbError as error:
            missing.append(f"plumb's record: {error}")
            return ()
        known = set(map(str, first))
        lost = ("agent: plumb's agent does not run",) if host.agent_lost else ()
        return (*lost, *(text for each in second if (text := str(each)) in known))
    return ()
