"""Two hosts, one overlay network.

Two hosts made of namespaces, with a switch between them. They become a cluster, with its state in
etcd on the first one, and share a network: encrypted where this kernel can, else in the clear.

    web ── h1 192.0.2.10 ════ VXLAN 4097 ════ 192.0.2.11 h2 ── db

Run by `make demo`. It shows the nodes, a name that resolves across, and the frames between the
hosts with both their headers, and takes everything down again.
"""

from __future__ import annotations

import difflib
import sys
import tempfile
import time

from examples.three_tier import STATE
from plumb.kernel.features.detect import tried
from plumb.kernel.features.table import GROUPS
from plumb.lab import Hosts, LabHost
from plumb.model.cluster import DATA_PATH_PORT
from plumb.probes.packets.encapsulation import EncapsulatedPacket, Tap
from plumb.views.tables import table

SUBNET = "10.50.0.0/24"
ICMP = 1
PATIENCE = 300.0
"""Seconds after which what should come to pass has not."""


def main() -> int:
    """Build, show, ping across, take down; the exit status says whether all of it was so."""
    lacking = cannot_encrypt()
    print(
        "Two hosts, one overlay network "
        + (f"in the clear: encryption {lacking}" if lacking else "with encryption (ESP)")
    )
    with Hosts(2) as hosts:
        before = [state(host) for host in hosts]
        first, second = hosts
        join(first, second)
        build(first, second, encrypted=not lacking)
        resolved = resolve(first, "db")
        seen = ping(first, "db")
        show(first, resolved, seen)
        take_down(first, second)
        left = remains(list(hosts), before)
    crossed = any(packet.spi is not None or packet.vni is not None for packet in seen)
    print(
        ("The packets crossed. " if crossed else "NOTHING CROSSED. ")
        + (
            f"SOMETHING WAS LEFT BEHIND:\n{left}"
            if left
            else "Everything was taken down; both hosts are as they were, and go."
        )
    )
    return 1 if left or not crossed else 0


def cannot_encrypt() -> str:
    """What this kernel lacks for an encrypted overlay, in a few words; empty if nothing."""
    (group,) = (group for group in GROUPS if group.name == "overlay, encrypted")
    missing = [each.name for each in tried(group.needs) if not each.able]
    return f"needs {', '.join(missing)}, which this kernel lacks" if missing else ""


def join(first: LabHost, second: LabHost) -> None:
    """Make a cluster of both: the token is in a file, so that no list of processes shows it."""
    first.plumb("swarm", "init", "--advertise-addr", first.address)
    with tempfile.NamedTemporaryFile("w", prefix="plumb-demo-") as token:
        token.write(first.plumb("swarm", "join-token", "-q", "worker").stdout)
        token.flush()
        second.plumb(
            *("swarm", "join", "--advertise-addr", second.address),
            *("--token", token.name, f"{first.address}:2377"),
        )


def build(first: LabHost, second: LabHost, *, encrypted: bool) -> None:
    """One network, and a container on each host."""
    option = ("--opt", "encrypted") if encrypted else ()
    create = ("network", "create", "-d", "overlay", "--attachable", "--subnet", SUBNET)
    first.plumb(*create, *option, "shop")
    first.plumb("run", "-d", "--name", "web", "--network", "shop", "sleep", "infinity")
    second.plumb("run", "-d", "--name", "db", "--network", "shop", "sleep", "infinity")


def resolve(host: LabHost, name: str) -> str:
    """Ask for a name in `web`, until the host has heard of it; the answer as getent prints it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        asked = host.plumb("exec", "web", "getent", "hosts", name, check=False)
        if asked.returncode == 0:
            return asked.stdout.strip()
    return "(nobody of that name)"


def ping(host: LabHost, name: str) -> list[EncapsulatedPacket]:
    """Ping from `web`, again until the other host has heard of that too.

    Returns:
        What the host's uplink carried of the echo that was answered, each kind of packet once.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        with Tap(host.netns, "eth0") as tap:
            asked = host.plumb("exec", "web", "ping", "-c", "1", "-W", "5", name, check=False)
            if asked.returncode == 0 or time.monotonic() > deadline:
                return list(dict.fromkeys(filter(across, tap.packets())))


def across(packet: EncapsulatedPacket) -> bool:
    """Is it ESP, or an echo in VXLAN? Neither nodes' talk nor neighbour discovery is."""
    echo = packet.inside is not None and packet.inside[2] == ICMP
    return packet.spi is not None or (packet.vni is not None and echo)


def show(host: LabHost, resolved: str, seen: list[EncapsulatedPacket]) -> None:
    """The nodes, the network, the name, what is known of the other host, and the frames."""
    nodes = "{{.Hostname}}\t{{.Status}}\t{{.ManagerStatus}}"
    rows = host.plumb("node", "ls", "--format", nodes).stdout.splitlines()
    print(table([("NODE", "STATUS", "MANAGER"), *(row.split("\t") for row in rows)]))
    for command in (
        "ip -br link show type vxlan",
        "ip neigh show dev vxlan0 nud permanent",
        "bridge fdb show dev vxlan0 | grep dst",
    ):
        print(f"# {command}        (on {host.name}, in the network's namespace)")
        print(in_network(host, command))
    print(f"# plumb exec web getent hosts db\n{resolved}\n")
    print("# plumb exec web ping -c 1 db, on the wire between the hosts")
    print(table([("OUTER", "CARRIES", "INNER"), *map(headers, seen)]))


def in_network(host: LabHost, command: str) -> str:
    """Run a shell line in the namespace of the network on a host; what it printed."""
    identity = host.plumb("network", "inspect", "-f", "{{.Id}}", "shop").stdout.strip()
    netns = f"$PLUMB_ROOT/netns/1-{identity[:10]}"
    return host.run("sh", "-c", f"nsenter --net={netns} sh -c '{command}'").stdout.replace(
        " \n", "\n"
    )


def headers(packet: EncapsulatedPacket) -> tuple[str, str, str]:
    """Outer header, encapsulation and inner header of a packet."""
    outer = f"{packet.src} > {packet.dst}"
    if packet.spi is not None:
        return outer, f"ESP spi {packet.spi:#x}", "(encrypted)"
    assert packet.inside is not None
    source, destination, _ = packet.inside
    return (outer, f"UDP {DATA_PATH_PORT}, VXLAN {packet.vni}", f"{source} > {destination} ICMP")


def take_down(first: LabHost, second: LabHost) -> None:
    """Undo it, by hand and in order, as one would on real hosts."""
    second.plumb("rm", "-f", "db")
    first.plumb("rm", "-f", "web")
    first.plumb("network", "rm", "shop")
    second.plumb("swarm", "leave")
    first.plumb("swarm", "leave", "--force")
    for host in (first, second):
        host.plumb("reset", "--force")


def remains(hosts: list[LabHost], before: list[str]) -> str:
    """Differences from before, once processes that end have had the time to; empty without one."""
    deadline = time.monotonic() + PATIENCE
    while True:
        now = [state(host) for host in hosts]
        if now == before or time.monotonic() > deadline:
            return "\n".join(
                line
                for was, then in zip(before, now, strict=True)
                for line in difflib.unified_diff(was.splitlines(), then.splitlines(), n=0)
            )
        time.sleep(0.1)


def state(host: LabHost) -> str:
    """Network of a host, and the number of its processes."""
    return host.run("sh", "-c", f"{STATE}; ls -d /proc/[0-9]* | wc -l").stdout


if __name__ == "__main__":
    sys.exit(main())
