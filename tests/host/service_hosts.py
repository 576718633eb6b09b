"""A host with services: tasks that tell who they are and whom they see, and a client that counts.

    n1       10.50.0.0/24   VIP .100, tasks from .2 on, the balancer's address among them
    ingress  10.0.0.0/24    VIP .100, ingress_sbox 10.0.0.2

There is no control plane: the host is told of its services by hand."""

from __future__ import annotations

import selectors
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

from plumb import Host
from plumb.engine.cluster import attach, node
from plumb.frozen import replace
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.system import this_system
from plumb.model.cluster import AttachRequest, balancer_id
from plumb.model.cnm import Network, Pool, Sandbox
from plumb.model.net.status import TaskOf
from plumb.model.paths import Layout
from plumb.model.ports import ServicePort
from plumb.model.service.virtual import Backend, VirtualService
from tests import fake_cluster, labs
from tests.fake_cluster import INGRESS, FakeCluster
from tests.fake_cluster import node as a_node
from tests.host.servers import SECONDS, Server, children

N1 = Network("5" * 64, "n1", "overlay", (Pool(IPv4Network("10.50.0.0/24")),), attachable=True)
VIP, DOOR = IPv4Interface("10.50.0.100/24"), IPv4Interface("10.0.0.100/24")
PORT = ServicePort(80, 8080)


def talk(place: str, name: str, port: int = 80) -> Server:
    """Tell each client of TCP the server's name and the client's address, and answer on and on."""
    with entered(place):
        stream = socket.create_server(
            ("::", port), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True
        )

    def serve() -> None:
        waiting = selectors.DefaultSelector()
        waiting.register(stream, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is stream:
                    client, peer = stream.accept()
                    client.sendall(f"{name} {_seen(peer)}\n".encode())
                    waiting.register(client, selectors.EVENT_READ)
                elif not _answered(key.fileobj, name):  # type: ignore[arg-type]  # a socket
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]

    return stream, serve


def _answered(client: socket.socket, name: str) -> bool:
    """Whether a client has said something, and got its answer."""
    with suppress(OSError):
        if client.recv(64):
            client.sendall(f"{name} again\n".encode())
            return True
    return False


def echo(place: str, name: str, port: int = 80) -> Server:
    """Tell each client of UDP the same."""
    with entered(place):
        datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        datagrams.bind(("::", port))

    def serve() -> None:
        while True:
            peer = datagrams.recvfrom(64)[1]
            datagrams.sendto(f"{name} {_seen(peer)}".encode(), peer)

    return datagrams, serve


def _seen(peer: Sequence[Any]) -> str:
    """A client's address, without what marks IPv4 in a socket of both."""
    return str(peer[0]).removeprefix("::ffff:")


@dataclass
class ServiceHost:
    """A host, the cluster as it knows it, and its tasks by name."""

    lab: labs.Lab
    host: Host
    cluster: FakeCluster
    stack: ExitStack
    tasks: dict[str, Sandbox] = field(default_factory=dict)

    def run(self, name: str, *networks: str, task: TaskOf | None = None) -> Sandbox:
        """Run a container on networks of the cluster; with a server that talks if it is a task."""
        first, *others = networks
        with self.host.operation() as verbs:
            box = verbs.run(name, network=first)
            if task is not None:
                verbs._operation.put(replace(box, task=task))
            for other in others:
                verbs.connect(other, name)
        if task is not None:
            place = self.inside(name)
            self.stack.enter_context(children(talk(place, name), echo(place, name)))
            self.tasks[name] = self.host.container(name)
        return self.host.container(name)

    def start(
        self, count: int, *networks: str, service: str = "web", ports: Sequence[ServicePort] = ()
    ) -> None:
        """Run tasks of a service, web1, web2, …"""
        for number in range(1, count + 1):
            part = TaskOf(f"{service}{number}".ljust(25, "0"), service, service, ports=tuple(ports))
            self.run(f"{service}{number}", *(networks or ("n1",)), task=part)

    def inside(self, name: str) -> str:
        """Namespace of a container."""
        return self.host.namespace(self.host.container(name))

    def backends(self, network: str, **weights: int) -> tuple[Backend, ...]:
        """The tasks as a service's backends on a network, with these weights or 1."""
        found = []
        for name, box in self.tasks.items():
            for end in self.host.endpoints(box):
                if self.host.network(end.network).name == network and end.ip is not None:
                    weight = weights.get(name, 1)
                    found.append(Backend(name, name, end.ip, end.ip6, weight))
        return tuple(found)

    def balance(self, *services: VirtualService) -> None:
        """Tell the host of all services of their network."""
        node.balance(self.host, services[0].network, services)

    def service(self, **asked: Any) -> VirtualService:
        """The service web on n1 with all tasks, unless something else is asked for."""
        given = {"ip": VIP, "backends": self.backends("n1"), "name": "web", **asked}
        return VirtualService(**{"service": "web", "network": N1.id, **given})

    def published(self, **asked: Any) -> VirtualService:
        """The same on ingress, its port 80 published as 8080."""
        given = {"ip": DOOR, "backends": self.backends("ingress"), "ports": (PORT,), **asked}
        return VirtualService("web", INGRESS.id, **{"name": "web", **given})

    def join(self) -> None:
        """Build the ingress network and its balancer."""
        own = AttachRequest(balancer_id(INGRESS.id, self.cluster.me.id), INGRESS.id)
        found = self.cluster.attach(own)
        with self.host.change() as op:
            attach.join(op, found)


@contextmanager
def service_host(
    system: Any = None, nets: Sequence[Network] = (), **settings: object
) -> Iterator[ServiceHost]:
    """A host in a cluster of its own, with the network n1 and the ingress network."""
    with fake_cluster.processes() as running, labs.lab(lan=True) as lab, ExitStack() as stack:
        cluster = FakeCluster(a_node(labs.LAN.host.v4.ip))
        for net in nets or (N1, replace(INGRESS, attachable=True)):
            cluster.create_network(net)
        running[Layout(str(lab.root)).cluster_process] = cluster
        labs.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        named = {key.replace("_", "-"): value for key, value in settings.items()}
        host = stack.enter_context(lab.host(settings=named, cluster=cluster, system=system))
        yield ServiceHost(lab, host, cluster, stack)
        assert host.check() == []
        host.reset()


@contextmanager
def published_site(backend: str) -> Iterator[ServiceHost]:
    """Two tasks of web on n1, their port 80 published as 8080, and a client c1; without IPVS."""
    system = replace(this_system(), has_ipvs=lambda: False)
    with service_host(system, firewall_backend=backend) as made:
        made.join()
        made.start(2, "n1", "ingress", ports=(PORT,))
        made.run("c1", "n1")
        yield made


# -- clients ---------------------------------------------------------------


def ask(place: str, ip: object, port: int = 80, kind: str = "tcp", seconds: float = SECONDS) -> str:
    """What a server says to one client: its name, and the address that it sees."""
    text = str(ip)
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    with entered(place), socket.socket(family, _kind(kind)) as client:
        client.settimeout(seconds)
        client.connect((text, port))
        if kind == "udp":
            client.send(b"hello")
        return client.recv(64).decode().strip()


def _kind(kind: str) -> socket.SocketKind:
    return socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM


def counted(place: str, ip: object, times: int, port: int = 80, kind: str = "tcp") -> Counter[str]:
    """How often each server answers."""
    return Counter(ask(place, ip, port, kind).split()[0] for _ in range(times))


def even(found: Mapping[str, int], shares: Mapping[str, int], within: float) -> bool:
    """Whether answers are spread as these shares say, each within that part of its own."""
    whole, total = sum(found.values()), sum(shares.values())
    return all(
        abs(found.get(name, 0) - whole * share / total) <= within * whole * share / total
        for name, share in shares.items()
    )
