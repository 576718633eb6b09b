"""Hosts for tests of a cluster: namespaces on one switch, each with a root of its own."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from plumb.engine.cluster.client import ClusterClient
from plumb.kernel import agent_client, cluster_client
from plumb.kernel.cluster import places, process
from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from plumb.model.cluster import Node, RemoteEndpoint
from plumb.model.paths import Layout
from plumb.store import codec
from plumb.store.change import Change
from plumb.store.sqlite import SqliteStore
from plumb.things.cluster import EndpointRecord
from tests.labs import Lab, sh, within
from tests.waiting import until

FIRST = IPv4Address("192.0.2.10")


@dataclass
class Machine:
    """A host: its name, its namespace file, its address, its root."""

    name: str
    netns: str
    address: IPv4Address
    layout: Layout

    def ask(self, request: str, /, **body: Any) -> Any:
        """Ask its cluster process, as a command does."""
        with entered(self.netns):
            return cluster_client.ask(self.layout, request, body, start=request in ("init", "join"))

    @property
    def client(self) -> ClusterClient:
        """The cluster, as its engine uses it."""
        return ClusterClient(self.layout)

    def init(self, **more: Any) -> dict[str, str]:
        """Make a swarm; its join tokens by role."""
        tokens: dict[str, str] = self.ask("init", **self._own(), **more)["tokens"]
        return tokens

    def join(self, token: str, manager: Machine, **more: Any) -> str:
        """Join a swarm; the role."""
        remote = f"{manager.address}:2377"
        role: str = self.ask("join", token=token, remote=remote, **self._own(), **more)["role"]
        return role

    def _own(self) -> dict[str, Any]:
        return {"hostname": self.name, "address": str(self.address), "port": 2377}

    @property
    def pid(self) -> int:
        """The process's id, 0 without one."""
        return process.running(self.layout)

    @property
    def etcd(self) -> int:
        """Id of its etcd's process."""
        return int(self.ask("status")["etcd"])

    def record(self, end: RemoteEndpoint) -> None:
        """Write an endpoint down in this host's record, as the command does that publishes it."""
        thing = EndpointRecord(
            places.folder(self.layout), end.id, end.network, end.mac, end.ip, sandbox=end.sandbox
        )
        change, store = Change(things=((thing, None),)), SqliteStore(self.layout)
        store.finish(store.begin([], [thing], change), change)
        store.close()

    def kill(self) -> None:
        """Kill the process."""
        os.kill(self.pid, signal.SIGKILL)
        until(lambda: not self.pid)

    def nodes(self) -> dict[str, Node]:
        """The cluster's nodes by their names, as this host's managers see them."""
        found = [codec.decode(Node, one) for one in self.ask("nodes")]
        return {node.hostname: node for node in found}

    def plumb(self, *argv: str, status: int = 0) -> str:
        """Run a command line on it; what it printed, or its error."""
        with entered(self.netns):
            ran = Lab(Path(self.layout.root), self.netns).plumb(*argv, status=status)
        return ran.stdout if status == 0 else ran.stderr

    def within(self, command: str) -> str:
        """Run a shell line on it."""
        return within(self.netns, command)


@contextmanager
def hosts(count: int) -> Iterator[list[Machine]]:
    """So many hosts, h1, h2, …, on a switch; gone with all that is in them afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="plumb-hosts-"))
    made: list[Machine] = []
    switch = f"{folder}/switch"
    try:
        namespaces.make(switch)
        within(switch, "ip link add br0 type bridge; ip link set br0 up")
        made.extend(_host(folder, switch, number) for number in range(count))
        yield made
    finally:
        for machine in made:
            process.stop(machine.layout)
            agent_client.stop(machine.layout.run)
        pinned = folder.glob("*/netns/*")  # of networks that a test has left on its hosts
        paths = [*map(str, pinned), *(machine.netns for machine in made), switch]
        _end_commands(paths)
        for path in paths:
            namespaces.drop(path)
        shutil.rmtree(folder, ignore_errors=True)


def _end_commands(paths: Sequence[str]) -> None:
    """Kill what runs in namespaces yet: commands of containers that a test has left."""
    there = {os.stat(path).st_ino for path in paths}
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        with suppress(OSError):  # it has ended, or is nobody of ours
            if pid != os.getpid() and os.stat(f"/proc/{pid}/ns/net").st_ino in there:
                os.kill(pid, signal.SIGKILL)


def _host(folder: Path, switch: str, number: int) -> Machine:
    name, address = f"h{number + 1}", FIRST + number
    netns = f"{folder}/{name}"
    namespaces.make(netns)
    port = f"port{number}"
    with entered(netns):
        sh(
            f"ip link set lo up; ip link add eth0 type veth peer name {port} netns {switch}; "
            f"ip addr add {address}/24 dev eth0; ip link set eth0 up"
        )
    within(switch, f"ip link set {port} master br0 up")
    return Machine(name, netns, address, Layout(f"{folder}/root-{name}"))
