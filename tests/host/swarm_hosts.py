"""Hosts of a lab that are nodes of one cluster, and containers on an overlay network of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from plumb.lab.hosts import ROOT, Hosts, LabHost

SUBNET = "10.50.0.0/16"
PROCESSES = {"agent": f"{ROOT}/agent.pid", "cluster": f"{ROOT}/cluster/agent.pid"}


@contextmanager
def swarm(count: int, managers: int = 1, network: str = "n1") -> Iterator[Hosts]:
    """Make so many hosts nodes of a cluster with an overlay network."""
    with Hosts(count) as hosts:
        first, *others = hosts
        first.plumb("swarm", "init", "--advertise-addr", first.address)
        tokens = {
            role: first.plumb("swarm", "join-token", "-q", role).stdout.strip()
            for role in ("manager", "worker")
        }
        for host in others[: managers - 1]:
            join(host, first, tokens["manager"])
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda host: join(host, first, tokens["worker"]), others[managers - 1 :]))
        create = ("network", "create", "-d", "overlay", "--attachable", "--subnet", SUBNET)
        first.plumb(*create, network)
        yield hosts


def join(host: LabHost, manager: LabHost, token: str) -> None:
    """Make a host a node."""
    place = f"{manager.address}:2377"
    host.plumb("swarm", "join", "--advertise-addr", host.address, "--token", token, place)


def run(host: LabHost, name: str, network: str = "n1") -> None:
    """Run a container there."""
    host.plumb("run", "-d", "--name", name, "--network", network, "sleep", "100000")


def address(host: LabHost, name: str, network: str = "n1") -> str:
    """IPv4 address of a container on the network."""
    (found,) = json.loads(host.plumb("inspect", name).stdout)
    ip: str = found["NetworkSettings"]["Networks"][network]["IPAddress"]
    return ip


def pings(host: LabHost, name: str, target: str) -> bool:
    """Whether a container there reaches an address or a name with one packet."""
    words = ("exec", name, "ping", "-n", "-c", "1", "-W", "1", target)
    return host.plumb(*words, check=False).returncode == 0


def findings(host: LabHost) -> str:
    """What `check` says there."""
    ran = host.plumb("check", check=False)
    return (ran.stdout + ran.stderr).strip()


def entries(host: LabHost) -> int:
    """Number of FDB entries that lead to other hosts, of the overlay networks there."""
    return len(listed_entries(host))


def listed_entries(host: LabHost) -> list[str]:
    """These entries, as `bridge fdb` has them."""
    script = (
        f"for ns in {ROOT}/netns/*; do nsenter --net=$ns bridge fdb show; done 2>/dev/null"
        " | grep ' dst '"
    )
    return host.run("sh", "-c", script, check=False).stdout.splitlines()


def pid(host: LabHost, process: str) -> int:
    """Process id of the host's agent or cluster process, seen from the host; 0 without one."""
    said = host.run("cat", PROCESSES[process], check=False).stdout.split()
    return int(said[0]) if said else 0


def kill(host: LabHost, process: str) -> bool:
    """End it as a lack of memory does; False where none ran."""
    found = pid(host, process)
    return bool(found) and host.run("kill", "-9", str(found), check=False).returncode == 0
