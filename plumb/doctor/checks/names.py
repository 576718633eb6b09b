"""Name resolution: servers in resolv.conf that nobody answers at."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from plumb.address import IPAddress
from plumb.doctor import remedies, routes
from plumb.foreign import names
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import command
from plumb.model.diagnosis.snapshot import ContainerState, NamespaceState, NetworkState, Snapshot
from plumb.model.net.targets import address_of

EMBEDDED = ip_address("127.0.0.11")


def servers(space: NamespaceState) -> list[IPAddress]:
    """The name servers in a namespace's resolv.conf."""
    words = [line.split() for line in space.resolv.splitlines()]
    named = [each[1].partition("%")[0] for each in words if each[:1] == ["nameserver"] and each[1:]]
    return [ip for name in named if (ip := address_of(name)) is not None]


def unanswered(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers with a name server that they cannot reach."""
    reported: set[str] = set()
    said: set[str] = set()
    for box in snapshot.containers:
        space = snapshot.space(box)
        if space is None or box.place == "host" or not space.resolv or space.name in reported:
            continue
        reported.add(space.name)
        for ip in servers(space):
            finding = _of_server(snapshot, box, space, ip)
            if finding is not None and finding.subject not in said:
                said.add(finding.subject)
                yield finding


def _of_server(
    snapshot: Snapshot, box: ContainerState, space: NamespaceState, ip: IPAddress
) -> Finding | None:
    nets = [net for end in box.ends if (net := snapshot.network(end.network)) is not None]
    heard = any(
        each.protocol == "udp" and each.takes(ip) and (each.port == 53 or ip == EMBEDDED)
        for each in space.listeners
    )
    if ip == EMBEDDED and not heard:
        return _embedded(box)
    serving = next((net for net in nets if net.engine == "podman" and ip in net.gateways), None)
    if serving is not None and not _serves(snapshot.host, ip):
        return _aardvark(box, serving, ip)
    if ip.is_loopback and not heard:
        return _loopback(box, ip)
    if nets and all(net.internal for net in nets) and ip in servers(snapshot.host):
        return None  # Podman gives the host's servers to containers of internal networks, too
    lost = not space.defaults(ip.version) and any(net.bridged and not net.internal for net in nets)
    if not ip.is_loopback and box.ends and not lost and routes.to(space, ip) is None:
        return _no_route(box, ip)
    return None


def _embedded(box: ContainerState) -> Finding:
    return Finding(
        "embedded-dns-silent",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"the embedded DNS server of {box.name} does not run",
        (box.name,),
        (f"{box.name}: resolv.conf: nameserver 127.0.0.11", f"{box.name}: ss -lun: nobody there"),
        "The engine's process answers for names at 127.0.0.11 in each container. It was killed, or"
        " the container was left over from before it started.",
        (remedies.rebuild(box.engine), remedies.restart(box.engine, box.name)),
    )


def _serves(host: NamespaceState, ip: IPAddress) -> bool:
    return any(
        each.protocol == "udp" and each.port == 53 and each.takes(ip) for each in host.listeners
    )


def _aardvark(box: ContainerState, net: NetworkState, ip: IPAddress) -> Finding:
    return Finding(
        "embedded-dns-silent",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"the name server of {net.name}, aardvark-dns, does not run",
        (box.name, net.name),
        (f"{box.name}: resolv.conf: nameserver {ip}", f"host: ss -lun: nobody at {ip}:53"),
        "Podman's aardvark-dns answers for names at the gateway of each network. It was killed, and"
        " is started again with the next container, or when a network is reloaded.",
        (command(("podman", "network", "reload", names.qualifier(box.name)[1])),),
    )


def _loopback(box: ContainerState, ip: IPAddress) -> Finding:
    return Finding(
        "dns-loopback",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"{box.name} asks for names at {ip}, which is its own loopback",
        (box.name,),
        (f"{box.name}: resolv.conf: nameserver {ip}", f"{box.name}: ss -lun: nobody at {ip}:53"),
        "The address is that of a resolver on the host, as systemd-resolved's 127.0.0.53. Inside a"
        " container the same address is the container's own, and nobody listens there.",
        (
            f"{remedies.words_of(box.engine)} run --dns ADDRESS …",
            '"dns": ["ADDRESS"] in daemon.json, and restart the engine',
        ),
    )


def _no_route(box: ContainerState, ip: IPAddress) -> Finding:
    return Finding(
        "dns-no-route",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"{box.name} has no route to its name server {ip}",
        (box.name,),
        (f"{box.name}: resolv.conf: nameserver {ip}", f"{box.name}: ip route get {ip}: no route"),
        "Questions for names cannot leave the container, so each waits for its time limit. The"
        " server is outside, and the container's networks lead nowhere.",
        (f"{remedies.words_of(box.engine)} network connect NETWORK {remedies.own(box.name)}",),
    )


def host_without(snapshot: Snapshot) -> Iterator[Finding]:
    """Find a host whose resolv.conf names no server, which its containers get, too."""
    running = [box for box in snapshot.containers if box.ends]
    if running and not servers(snapshot.host):
        yield Finding(
            "host-dns-empty",
            Grade.LIKELY,
            Severity.WARNING,
            "the host's resolv.conf names no server",
            ("host",),
            (
                "/etc/resolv.conf: "
                + ("no nameserver" if snapshot.host.resolv else "empty or gone"),
            ),
            "Containers get the host's servers; with none, names of the outside do not resolve."
            " The file may be a symbolic link to a file that is gone.",
            ("ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",),
        )
