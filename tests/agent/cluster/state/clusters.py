"""A cluster for tests: nodes that are alive, networks and endpoints in few words."""

from __future__ import annotations

import secrets
from ipaddress import IPv4Address, ip_network

from plumb.agent.cluster.state import endpoints, networks, nodes, swarm
from plumb.agent.cluster.state.etcd import Etcd
from plumb.model.cluster import Attached, AttachRequest, Node, RemoteEndpoint, Swarm
from plumb.model.cnm import Network, Pool
from plumb.model.driver_options import OverlayOptions


class Cluster:
    """Nodes in an etcd, and the leases of those that are alive."""

    def __init__(self, etcd: Etcd, hosts: tuple[str, ...], wanted: Swarm | None = None) -> None:
        self.etcd = etcd
        self.swarm = wanted or Swarm("s" * 25)
        swarm.create(etcd, self.swarm)
        self.leases = {host: self.join(host, number) for number, host in enumerate(hosts)}

    def join(self, host: str, number: int, ttl: int = 600) -> int:
        """Add a node whose id is its name; returns its lease."""
        ip = IPv4Address("192.0.2.10") + number
        nodes.put(self.etcd, Node(host, host, ip, ip, key=f"key of {host}"))
        return nodes.renew(self.etcd, host, ttl=ttl)

    def network(
        self, name: str, *subnets: str | Pool, ipv6: bool = False, vnis: tuple[int, ...] = ()
    ) -> Network:
        """Make an attachable network."""
        pools = tuple(one if isinstance(one, Pool) else Pool(ip_network(one)) for one in subnets)
        return networks.create(self.etcd, self.swarm, wish(name, *pools, ipv6=ipv6, vnis=vnis))

    def ingress(self) -> Network:
        """Make the ingress network, as `swarm init` does."""
        asked = Network(new_id(), "ingress", "overlay", overlay=OverlayOptions(ingress=True))
        return networks.create(self.etcd, self.swarm, asked)

    def attach(self, host: str, net: Network, ip: str = "", ident: str = "") -> Attached:
        """Reserve a container's addresses."""
        return endpoints.attach(self.etcd, host, container(net, ip, ident))

    def run(self, host: str, net: Network, ident: str = "", lease: int = 0) -> RemoteEndpoint:
        """Reserve a container's addresses and publish it."""
        ident = ident or new_id()
        got = self.attach(host, net, ident=ident)
        made = remote(host, net, ident, got)
        endpoints.publish(self.etcd, host, [made], lease or self.leases[host])
        return made

    def published(self, net: Network) -> set[str]:
        """Addresses at which other nodes send to something, without the prefix length."""
        return {str(ip.ip) for one in endpoints.of_network(self.etcd, net.id) for ip in one.ips}


def new_id() -> str:
    return secrets.token_hex(32)


def wish(name: str, *pools: Pool, ipv6: bool = False, vnis: tuple[int, ...] = ()) -> Network:
    """A network as it is asked for."""
    options = OverlayOptions(vnis=vnis)
    return Network(new_id(), name, "overlay", pools, ipv6=ipv6, attachable=True, overlay=options)


def container(net: Network, ip: str = "", ident: str = "") -> AttachRequest:
    """A container's wish for a place in a network."""
    wanted = IPv4Address(ip) if ip else None
    return AttachRequest(ident or new_id(), net.id, sandbox=new_id(), names=("c",), ip=wanted)


def remote(host: str, net: Network, ident: str, got: Attached) -> RemoteEndpoint:
    """An endpoint as its node publishes it."""
    vtep = IPv4Address("192.0.2.10")
    return RemoteEndpoint(ident, net.id, host, vtep, got.mac, got.ip, got.ip6, ("c",), "c" * 64)


def ip_of(got: Attached) -> str:
    """The IPv4 address that an answer has, without the prefix length."""
    assert got.ip
    return str(got.ip.ip)


def balancer_of(got: Attached) -> str:
    """The IPv4 address of the node itself."""
    assert got.balancer
    return str(got.balancer.ip)
