"""Desired state: the things that each owner needs.

Every recorded thing has owners; plumb removes it with the last of them.

host            the things that all networks of a driver share
net:ID          a network
ctr:ID          a container: its files, and while it runs its namespace, default routes and command
ep:ID           an endpoint: a running container's place in a network
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from plumb.drivers import DRIVERS, driver_of, embedded_dns, published_ports, sandbox
from plumb.model import etc_files
from plumb.model.cnm import Endpoint, Ends, Network, Sandbox, Status
from plumb.model.paths import Layout
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.sandbox import Process

HOST_OWNER = "host"


class DesiredState(Protocol):
    """View of the intent, as far as the narrator needs it."""

    def network(self, ident: str) -> Network | None:
        """Return a network by id."""

    def sandbox(self, ident: str) -> Sandbox | None:
        """Return a sandbox by id."""

    def endpoint(self, ident: str) -> Endpoint | None:
        """Return an endpoint by id."""

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
        narrate = {"net": self._network, "ctr": self._container, "ep": self._endpoint}[kind]
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
            yield from embedded_dns.names(end, net, self._known_as(end, net), self._layout.run)
            yield from self._links(end, net)

    def _links(self, end: Endpoint, net: Network) -> Iterator[Thing]:
        """Yield an endpoint's things for the running containers that its container is linked to."""
        box = self._view.sandbox(end.sandbox) if net.default else None
        for other in box.linked if box else ():
            there = self._view.sandbox(other.id)
            if there is not None and any(net.default for _, net in self._view.ends(there)):
                yield from driver_of(net).link(net, end, other, self._settings)

    def _known_as(self, end: Endpoint, net: Network) -> tuple[str, ...]:
        box = self._view.sandbox(end.sandbox)
        if box is None:
            return ()
        wish = box.attachment(net)
        return tuple(etc_files.dns_names(box, (wish.aliases if wish else None) or ()))

    def _container(self, ident: str) -> Iterator[Thing]:
        box = self._view.sandbox(ident)
        if box is None:
            return
        ends = self._view.ends(box)
        yield from sandbox.files(box, self._layout, self.texts(box, ends))
        if box.status is not Status.RUNNING:
            return
        ns = self._layout.place(box)
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
