"""Desired state: the things that each owner needs.

Every recorded thing has owners; plumb removes it with the last of them.

host            the things that all networks of a driver share
net:ID          a network
ctr:ID          a container: its files, and while it runs its namespace, default routes and command
ep:ID           an endpoint: a running container's place in a network
rem:ID          an endpoint on another host
vs:ID           a service on a network
esp:ADDRESS     the encryption between this host and another one
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Any, Protocol

from plumb.address import IPAddress
from plumb.drivers import DRIVERS, driver_of, embedded_dns, published_ports, sandbox
from plumb.model import etc_files
from plumb.model.cluster import Encryption, RemoteEndpoint, balancer_sandbox, is_balancer
from plumb.model.cnm import Endpoint, Ends, Network, Sandbox, Status
from plumb.model.net.dns_names import dns_names
from plumb.model.net.gateways import GATEWAY_NETWORK
from plumb.model.paths import Layout
from plumb.model.service.virtual import VirtualService
from plumb.model.settings import Settings
from plumb.store.change import Intent
from plumb.things import Thing
from plumb.things.cluster import EndpointRecord
from plumb.things.sandbox import Process

if TYPE_CHECKING:
    from plumb.drivers.services.balancer import Balancer

HOST_OWNER = "host"


def network_owner(net: Network) -> str:
    """The owner of a network's things."""
    return f"net:{net.id}"


def sandbox_owner(box: Sandbox) -> str:
    """The owner of a container's things."""
    return f"ctr:{box.id}"


def endpoint_owner(end: Endpoint) -> str:
    """The owner of an endpoint's things."""
    return f"ep:{end.id}"


def remote_owner(end: RemoteEndpoint) -> str:
    """The owner of the things of an endpoint on another host."""
    return f"rem:{end.id}"


def peer_owner(peer: IPAddress) -> str:
    """The owner of the things that encrypt what goes to and comes from another host."""
    return f"esp:{peer}"


def service_owner(service: VirtualService) -> str:
    """The owner of the things of a service on a network."""
    return f"vs:{service.id}"


OWNERS: dict[type[Intent], Callable[[Any], str]] = {
    Network: network_owner,
    Sandbox: sandbox_owner,
    Endpoint: endpoint_owner,
    RemoteEndpoint: remote_owner,
    VirtualService: service_owner,
}


def owner_of(value: Intent) -> str:
    """The owner of a value's things."""
    return OWNERS[type(value)](value)


class DesiredState(Protocol):
    """View of the intent, as far as the narrator needs it."""

    def network(self, ident: str) -> Network | None:
        """Return a network by id."""

    def sandbox(self, ident: str) -> Sandbox | None:
        """Return a sandbox by id."""

    def endpoint(self, ident: str) -> Endpoint | None:
        """Return an endpoint by id."""

    def remote(self, ident: str) -> RemoteEndpoint | None:
        """Return an endpoint on another host by id."""

    def service(self, ident: str) -> VirtualService | None:
        """Return a service on a network by id."""

    def remotes(self, network: str) -> Sequence[RemoteEndpoint]:
        """Return the endpoints of a network that are on other hosts."""

    def encryption(self) -> Encryption | None:
        """Return the keys for encrypted networks, None where the host has none."""

    def encrypted_to(self, peer: IPAddress) -> Network | None:
        """Return an encrypted network that has an endpoint on another host, None without one."""

    def ends(self, box: Sandbox) -> Ends:
        """Return a sandbox's endpoints with their networks, in the order of their creation."""


class Narrator:
    """Narrator of the things that each owner needs.

    Args:
        view: the intent.
        settings: the host's settings.
        layout: the paths of files.
        config: the path of the settings file, for the container's shim.
    """

    def __init__(
        self, view: DesiredState, settings: Settings, layout: Layout, config: str = ""
    ) -> None:
        self._view, self._settings, self._layout, self._config = view, settings, layout, config

    def things(self, owner: str) -> list[Thing]:
        """List the things that an owner needs, in building order; empty for an unknown owner."""
        kind, _, ident = owner.partition(":")
        if kind == HOST_OWNER:
            return [thing for driver in DRIVERS.values() for thing in driver.shared(self._settings)]
        narrate = {
            "net": self._network,
            "ctr": self._container,
            "ep": self._endpoint,
            "rem": self._remote,
            "esp": self._peer,
            "vs": self._service,
        }[kind]
        return list(narrate(ident))

    def _network(self, ident: str) -> Iterator[Thing]:
        net = self._view.network(ident)
        if net is not None:
            yield from driver_of(net).network(net, self._settings)

    def _endpoint(self, ident: str) -> Iterator[Thing]:
        end = self._view.endpoint(ident)
        net = self._view.network(end.network) if end else None
        if end is not None and net is not None:
            yield from driver_of(net).endpoint(
                net, end, self._layout.namespace(end.sandbox), self._settings
            )
            yield from published_ports.endpoint(end, self._layout.run, self._settings)
            known_as = self._known_as(end, net)
            if known_as:
                yield from embedded_dns.names(end, net, known_as, self._layout.run)
            yield from self._links(end, net)
            if net.multi_host:
                yield from self._task(end, net)
                yield self._record(end, known_as)

    def _record(self, end: Endpoint, known_as: tuple[str, ...]) -> EndpointRecord:
        """The cluster's record of an endpoint, by which other hosts reach it."""
        box = self._view.sandbox(end.sandbox)
        sandbox = "" if box is None or box.role else box.id
        return EndpointRecord(
            self._layout.cluster_process,
            end.id,
            end.network,
            end.mac,
            end.ip,
            end.ip6,
            known_as,
            sandbox,
        )

    def _task(self, end: Endpoint, net: Network) -> Iterator[Thing]:
        """Yield what an endpoint needs as that of a service's task."""
        box = self._view.sandbox(end.sandbox)
        if box is not None and box.task is not None:
            from plumb.drivers.services import task  # lazy: few containers are tasks

            ns = self._layout.namespace(end.sandbox)
            known = self._view.service(f"{box.task.service}.{net.id}")
            balancers = self._balancers(net) if net.overlay.preserve_source else []
            yield from task.things(end, net, box.task, balancers, known, ns, self._settings)

    def _balancers(self, net: Network) -> list[IPv4Address]:
        """Addresses of a network's balancers, on this host and on others."""
        here = self._balancer(net)
        ips = [here.end.ip] if here is not None else []
        ips += [end.ip for end in self._view.remotes(net.id) if is_balancer(end)]
        return [ip.ip for ip in ips if ip is not None]

    def _service(self, ident: str) -> Iterator[Thing]:
        one = self._view.service(ident)
        net = self._view.network(one.network) if one else None
        if one is not None and net is not None:
            from plumb.drivers.services import service  # lazy likewise

            here = self._balancer(net)
            yield from service.things(one, net, here, self._layout.run, self._settings)

    def _balancer(self, net: Network) -> Balancer | None:
        """A network's balancer on this host, None where there is none."""
        from plumb.drivers.services.balancer import Balancer, Gate

        box = self._view.sandbox(balancer_sandbox(net.id, net.overlay.ingress))
        ends = self._view.ends(box) if box is not None else []
        own = next((end for end, there in ends if there.id == net.id), None)
        if box is None or own is None:
            return None
        ways = (Gate(there, end) for end, there in ends if there.name == GATEWAY_NETWORK)
        return Balancer(net, self._layout.place(box), own, next(ways, None))

    def _peer(self, address: str) -> Iterator[Thing]:
        from plumb.drivers import overlay_encryption  # lazy: few networks are encrypted

        peer, keys = ip_address(address), self._view.encryption()
        net = self._view.encrypted_to(peer)
        if net is not None and net.overlay.vtep is not None and keys is not None:
            yield from overlay_encryption.tunnel(net.overlay.vtep, peer, net.overlay.port, keys)

    def _remote(self, ident: str) -> Iterator[Thing]:
        end = self._view.remote(ident)
        net = self._view.network(end.network) if end else None
        if end is not None and net is not None:
            yield from driver_of(net).remote(net, end, self._settings)
            if end.names:
                yield from embedded_dns.names(end, net, end.names, self._layout.run)

    def _links(self, end: Endpoint, net: Network) -> Iterator[Thing]:
        """Yield an endpoint's things for the running containers that its container is linked to."""
        box = self._view.sandbox(end.sandbox) if net.default else None
        for other in box.linked if box else ():
            there = self._view.sandbox(other.id)
            if there is not None and any(net.default for _, net in self._view.ends(there)):
                yield from driver_of(net).link(net, end, other, self._settings)

    def _known_as(self, end: Endpoint, net: Network) -> tuple[str, ...]:
        box = self._view.sandbox(end.sandbox)
        if box is None or box.role:
            return ()
        wish = box.attachment(net)
        return tuple(dns_names(box, (wish.aliases if wish else None) or ()))

    def _container(self, ident: str) -> Iterator[Thing]:
        box = self._view.sandbox(ident)
        if box is None:
            return
        ends = self._view.ends(box)
        if not box.role:
            yield from sandbox.files(box, self._layout, self.texts(box, ends))
        if box.status in (Status.RUNNING, Status.RESTARTING):
            yield from self._running(box, ends)

    def _running(self, box: Sandbox, ends: Ends) -> Iterator[Thing]:
        ns = self._layout.place(box)
        yield from sandbox.supervision(box, ns, self._layout, self._config)
        if box.status is not Status.RUNNING:
            return
        if not box.shares:
            yield from sandbox.namespace(box, ns)
            yield from sandbox.gateways(ends, ns)
            yield from embedded_dns.redirects(box, ns, self._settings)
            yield from embedded_dns.server(
                box,
                ends,
                ns,
                self._layout.run,
                etc_files.upstreams(box, box.resolv_source, self._settings),
                etc_files.ndots_set(box, box.resolv_source, self._settings),
            )
        if not box.foreground:
            yield from self.process(box)

    def process(self, box: Sandbox) -> Iterator[Process]:
        """Yield the process of a container's command, if it has one."""
        return sandbox.process(box, self._layout.place(box), self._layout, self._config)

    def texts(self, box: Sandbox, ends: Ends) -> dict[str, str]:
        """Return the texts of a container's files, by name.

        A container that shares another's network namespace shares its files, and has none.
        """
        if box.target:
            return {}
        hosts = (
            box.hosts_source
            if box.mode == "host" and not box.extra_hosts
            else etc_files.hosts(box, ends)
        )
        return {
            "resolv.conf": etc_files.resolv_conf(box, ends, box.resolv_source, self._settings),
            "hosts": hosts,
            "hostname": box.hostname + "\n",
        }
