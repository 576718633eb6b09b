"""The three-tier lab.

A frontend, a backend that is cut off from the world, and a database that only it sees.

    world ── host:8080 ── frontend-network ── frontend:80
                          backend-network  ── frontend, api       (internal)
                          database-network ── api, database       (internal)

Run by `make demo`, in a network and mount namespace of its own that plays the host. It builds
the lab, prints what was built, tries who reaches whom with real traffic, holds that against what
the networks promise, and takes everything down again.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from plumb import Host
from plumb.kernel.netns import namespaces
from plumb.lab.lan import LAN
from plumb.probes.promises.dns_names import NameOutcome, ask, name_promises
from plumb.probes.promises.published_ports import PublishingHost, published
from plumb.probes.promises.reachability import HOST, WORLD, Member, promises
from plumb.probes.traffic.observe import Observation, try_out
from plumb.views import open_ports
from plumb.views.tables import table

STATE = """ip -o link | cut -d: -f2; ip -o address show scope global; ip route
    ip -6 route show proto boot
    for table in filter nat raw; do iptables -t $table -S; ip6tables -t $table -S; done
    sysctl net.ipv4.ip_forward;
    findmnt -n -o TARGET -t nsfs"""


def main() -> int:
    """Build, show, try, take down; the exit status says whether every promise was kept."""
    with tempfile.TemporaryDirectory(prefix="plumb-demo-") as folder, ExitStack() as stack:
        world = stack.enter_context(an_uplink(folder))
        before = commands(STATE)
        with Host(Path(folder, "root"), settings={}) as host:
            build(host)
            show(host)
            outcomes = probe(host, world)
            host.reset()
        left = commands(STATE) != before
    broken = [outcome for outcome in outcomes if not outcome.kept]
    print(
        f"{len(outcomes)} promises tried with real traffic, {len(broken)} broken. "
        + (
            "SOMETHING WAS LEFT BEHIND."
            if left
            else "Everything was taken down; the host is as it was."
        )
    )
    return 1 if broken or left else 0


def build(host: Host) -> None:
    """The lab, in one operation: all of it, or nothing."""
    with host.operation() as lab:
        lab.create_network("frontend-network")
        lab.create_network("backend-network", internal=True)
        lab.create_network("database-network", internal=True)
        lab.run("database", network="database-network")
        lab.run("api", network="backend-network")
        lab.connect("database-network", "api")
        lab.run("frontend", network="frontend-network", publish="8080:80")
        lab.connect("backend-network", "frontend")


def show(host: Host) -> None:
    """What was built, as the system's own tools see it."""
    rows = [("CONTAINER", "NETWORK", "INTERFACE", "ADDRESS", "MAC")]
    for box in host.containers():
        rows += [
            (box.name, host.network(end.network).name, end.ifname, str(end.ip), end.mac)
            for end in host.endpoints(box)
        ]
    print(table(rows))
    for command in (
        "ip -br link show type bridge",
        "iptables -S PLUMB-FORWARD",
        "iptables -S PLUMB-INTERNAL",
        "iptables -S PLUMB",
        "iptables -t nat -S PLUMB",
        "iptables -t nat -S POSTROUTING",
    ):
        print(f"# {command}\n{commands(command)}")
    print(
        table(
            [
                list(open_ports.COLUMNS.values()),
                *(list(way.row.values()) for way in open_ports.openings(members(host))),
            ]
        )
    )


def members(host: Host) -> list[Member]:
    """The containers with their endpoints and networks."""
    return [
        (box, [(end, host.network(end.network)) for end in host.endpoints(box)])
        for box in host.containers()
    ]


def probe(host: Host, world: str) -> list[Observation | NameOutcome]:
    """Try all that is promised, and print who reaches whom, and whom by name."""
    boxes, lab = host.containers(), members(host)
    places = {HOST: "", WORLD: world, **{box.name: host.namespace(box) for box in boxes}}
    made = [*promises(lab, [LAN.internet]), *published(lab, PublishingHost([LAN.host.v4.ip]))]
    outcomes = try_out(made, places)
    names = [*(box.name for box in boxes), HOST, WORLD]
    reached: dict[tuple[str, str], bool] = {}
    for outcome in outcomes:
        pair = (outcome.promise.source, outcome.promise.target)
        reached[pair] = reached.get(pair, False) or outcome.reached
    rows = [["who reaches whom", *names]]
    words = {True: "yes", False: "no", None: ""}
    rows += [
        [
            source,
            *(
                "-" if source == target else words[reached.get((source, target))]
                for target in names
            ),
        ]
        for source in names
    ]
    print(table(rows))
    named = ask(name_promises(lab), places)
    known = {
        (each.promise.source, each.promise.name): " ".join(sorted(map(str, each.found)))
        for each in named
        if each.promise.kind == "A"
    }
    rows = [["who is what to whom", *(box.name for box in boxes)]]
    print(
        table(
            [
                *rows,
                *(
                    [box.name, *(known.get((box.name, other.name)) or "-" for other in boxes)]
                    for box in boxes
                ),
            ]
        )
    )
    tried: list[Observation | NameOutcome] = [*outcomes, *named]
    for each in tried:
        if not each.kept:
            print(f"BROKEN: {each.promise}")
    return tried


@contextmanager
def an_uplink(folder: str) -> Iterator[str]:
    """A router on a LAN with the host, behind which the world begins; its namespace file."""
    world = f"{folder}/world"
    namespaces.make(world)
    commands(f"""ip link set lo up; ip link add eth0 type veth peer name lan netns {world}
        nsenter --net={world} sh -c 'ip link set lo up; ip addr add {LAN.internet}/32 dev lo
            ip addr add {LAN.router.v4} dev lan; ip link set lan up'
        ip addr add {LAN.host.v4} dev eth0; ip link set eth0 up
        ip route add default via {LAN.router.v4.ip}""")
    try:
        yield world
    finally:
        commands("ip link del eth0")
        namespaces.drop(world)


def commands(line: str) -> str:
    """Run a shell line; what it printed."""
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    sys.exit(main())
