"""Two hosts on a switch, each with its own root, and an overlay network that both have a part of.

    c1 ── h1 192.0.2.10 ──── switch ──── 192.0.2.11 h2 ── c2

There is no control plane here: each host is told of the other's endpoints by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from plumb import Host
from plumb.address import IPNetwork
from plumb.drivers import DRIVERS
from plumb.engine.cluster import attach
from plumb.kernel import agent_client
from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from plumb.model.cluster import Encryption, RemoteEndpoint
from plumb.model.cnm import Network, Pool
from plumb.model.paths import Layout
from plumb.store import codec
from tests import cases, fake_cluster
from tests.fake_cluster import FakeCluster, node
from tests.labs import sh, within

ONE, TWO = ip_address("192.0.2.10"), ip_address("192.0.2.11")
SUBNET = IPv4Network("10.50.0.0/24")


@dataclass
class LabHost:
    """A host of the two.

    Attributes:
        netns: its namespace's file; root: plumb's root on it.
        cluster: the cluster as it knows it.
        settings: the host's settings.
    """

    netns: str
    root: Path
    cluster: FakeCluster
    settings: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def plumb(self) -> Iterator[Host]:
        """plumb on this host, with the thread in it."""
        with (
            entered(self.netns),
            Host(self.root, settings=self.settings, cluster=self.cluster) as host,
        ):
            yield host

    def run(self, name: str, network: str = "n1") -> None:
        """Run a container."""
        with self.plumb() as host:
            host.run(name, network=network)

    def inside(self, name: str, command: str, check: bool = True) -> str:
        """Run a shell line in a container."""
        with self.plumb() as host:
            return within(host.namespace(host.container(name)), command, check)

    def learn(self, net: Network, remotes: Sequence[RemoteEndpoint]) -> None:
        """Tell it of the other's endpoints."""
        with self.plumb() as host, host._within() as op:  # as the cluster process does
            attach.apply(op, net.id, remotes)

    def encrypt(self, keys: Encryption) -> None:
        """Give it keys."""
        with self.plumb() as host, host._within() as op:  # as the cluster process does
            attach.encrypt(op, keys)

    def told(self) -> list[RemoteEndpoint]:
        """What it has published, as the other host is to know it."""
        own = {"node": self.cluster.me.id, "vtep": str(self.cluster.me.data_path)}
        return [codec.decode(RemoteEndpoint, {**row, **own}) for row in self.cluster.rows()]


def network(*subnets: IPNetwork, internal: bool = False, **options: str) -> Network:
    """An overlay network n1 as a manager would have recorded it."""
    pools = tuple(Pool(subnet, gateway=subnet.network_address + 1) for subnet in subnets)
    made = Network(
        "5" * 64,
        "n1",
        "overlay",
        pools,
        ipv6=any(subnet.version == 6 for subnet in subnets),
        internal=internal,
        attachable=True,
        **DRIVERS["overlay"].network_fields(options),
    )
    return FakeCluster(node(ONE)).create_network(made)


@contextmanager
def two_hosts(
    *nets: Network, settings: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[tuple[LabHost, LabHost]]:
    """Two hosts on a switch, with these networks in their cluster."""
    with tempfile.TemporaryDirectory(prefix="plumb-lab-") as folder, ExitStack() as stack:
        running = stack.enter_context(fake_cluster.processes())
        switch = f"{folder}/switch"
        namespaces.make(switch)
        stack.callback(namespaces.drop, switch)
        within(switch, "ip link add br0 type bridge; ip link set br0 up; ip link set lo up")
        made = []
        for number, address in enumerate((ONE, TWO)):
            netns = f"{folder}/h{number}"
            namespaces.make(netns)
            stack.callback(namespaces.drop, netns)
            with entered(netns):
                sh(f"""ip link set lo up; sysctl -qw net.ipv6.conf.default.accept_dad=0
                    ip link add eth0 type veth peer name port{number} netns {switch}
                    ip link set eth0 up; ip addr add {address}/24 dev eth0; {cases.FORWARDS}""")
            within(switch, f"ip link set port{number} master br0 up")
            cluster = FakeCluster(node(address, ident=f"{number}" * 25))
            cluster.nets = {net.id: net for net in nets}
            cluster.last = {str(SUBNET): 1 + 100 * number}
            root = Path(f"{folder}/root{number}")
            running[Layout(str(root)).cluster_process] = cluster
            made.append(LabHost(netns, root, cluster, settings))
            stack.callback(agent_client.stop, f"{folder}/root{number}")
            stack.callback(_drop_all, root / "netns")
        yield made[0], made[1]
        for lab in made:
            with lab.plumb() as host:
                assert host.check() == []
                host.reset()


def _drop_all(folder: Path) -> None:
    """Unmount what a test that failed has left."""
    for path in folder.glob("*"):
        namespaces.drop(str(path))


# -- encryption ---------------------------------------------------------------

ONE_KEY = Encryption(((1, "11" * 16),), (1,))
ROTATION = (
    Encryption(((1, "11" * 16), (2, "22" * 16)), (1,)),
    Encryption(((1, "11" * 16), (2, "22" * 16)), (2, 1)),
    Encryption(((2, "22" * 16),), (2,)),
)
"""A new key is known everywhere, then used, then the old one goes."""


@contextmanager
def encrypted_pair() -> Iterator[tuple[LabHost, LabHost, Network]]:
    """c1 on h1 and c2 on h2, on an encrypted network."""
    net = network(SUBNET, encrypted="")
    with two_hosts(net) as (h1, h2):
        for host in (h1, h2):
            host.encrypt(ONE_KEY)
        h1.run("c1")
        h2.run("c2")
        h1.learn(net, h2.told())
        h2.learn(net, h1.told())
        yield h1, h2, net
