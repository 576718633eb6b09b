"""plumb stats."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from plumb.cli import common
from plumb.cli.listings import ends_of
from plumb.errors import Invalid, KernelRefused, NotFound
from plumb.model.cluster import balancer_sandbox
from plumb.model.cnm import Ends, Network, Sandbox, Status
from plumb.model.net.targets import Member
from plumb.model.service.virtual import VirtualService

Counters = dict[str, Mapping[str, int]]
"""Each endpoint's link's, by the endpoint's id; a VXLAN link's by its VNI; a service's task's."""


@common.command("stats")
@click.option(
    "-w", "--watch", is_flag=True, help="Update repeatedly, with rates, until interrupted."
)
@common.interval_option
@click.option(
    "--networks",
    is_flag=True,
    help="What went between hosts instead: a row for each VXLAN link; names are networks'.",
)
@click.option(
    "--services",
    is_flag=True,
    help="Connections of services' tasks instead, as this host's balancers gave them; names are "
    "services'.",
)
@common.template_option
@click.argument("names", nargs=-1, metavar="[NAME]...")
def stats(
    watch: bool,
    interval: float,
    networks: bool,
    services: bool,
    as_json: bool,
    template: str,
    names: tuple[str, ...],
) -> None:
    """Show what went through containers' interfaces, and their connections by state.

    All containers' without a name, those of other engines on this host as well.
    """
    from plumb.views.stats import COLUMNS, SERVICE_COLUMNS, TUNNEL_COLUMNS

    if networks and services:
        raise click.UsageError("--networks and --services are two questions")
    measure, columns = (
        (_tunnels, TUNNEL_COLUMNS)
        if networks
        else (_balanced, SERVICE_COLUMNS)
        if services
        else (_measured, COLUMNS)
    )
    before: Counters = {}
    while True:
        started = time.monotonic()
        rows, now = measure(names, before, interval)
        if watch and not (as_json or template) and sys.stdout.isatty():
            click.clear()
        if as_json:
            stamp = {"Time": time.time()} if watch else {}
            for row in rows:
                print(
                    json.dumps(
                        {**{key: value for key, value in row.items() if key not in WORDS}, **stamp}
                    )
                )
        else:
            common.columns_of(columns, False, template, rows)
            bounds = dict.fromkeys(text for row in rows for text in row.get("Bounds", ()))
            for text in () if template else bounds:
                print(text)
        sys.stdout.flush()
        if not watch:
            return
        before = now
        time.sleep(max(0.0, started + interval - time.monotonic()))


WORDS = ("Received", "Sent", "Errors", "Dropped", "Sockets", "Flows", "Bounds", "Total")
"""For people; programs have the numbers."""


def _measured(
    names: tuple[str, ...], before: Counters, seconds: float
) -> tuple[list[dict[str, Any]], Counters]:
    """The rows, and the counters that the next ones are compared with."""
    from plumb.kernel import agent_client
    from plumb.kernel.net import statistics
    from plumb.views.stats import row

    tracked = statistics.flows()
    now: Counters = {}
    rows = []
    folder, members = _members(names)
    usage = agent_client.usage(folder)
    clients = {party.name: party for party in usage.parties} if usage else {}
    for box, ns, ends in members:
        try:
            traffic, own = statistics.inside(ns)
        except KernelRefused:
            continue  # it has stopped meanwhile
        for end, net in ends:
            if end.ifname in traffic:
                counted = now[end.id] = traffic[end.ifname]._asdict()
                earlier = before.get(end.id)
                rows.append(
                    row(box, end, net, counted, own, tracked, clients, ns, earlier, seconds)
                )
    return rows, now


def _members(names: tuple[str, ...]) -> tuple[str, list[tuple[Sandbox, str, Ends]]]:
    """The agent's folder; the running containers with interfaces of their own, and their place."""
    from plumb.engine.foreign import containers

    with common.read() as host:
        known = {net.id: net for net in host.networks()}
        chosen, others = containers.chosen(host, names)
        own = [
            (box, host.layout.place(box), ends_of(host, box, known))
            for box in chosen
            if box.status is Status.RUNNING and not box.shares
        ]
        return host.layout.run, [*own, *_of_others(others)]


def _of_others(members: list[Member]) -> Iterator[tuple[Sandbox, str, Ends]]:
    """Other engines' containers with interfaces of their own, whose names the kernel has."""
    from plumb.kernel.net.inventory import LinkInventory
    from plumb.trace import foreign_ends

    for member in members:
        if member.box.shares or not member.place.ns:
            continue
        place = member.place.name
        try:
            with LinkInventory(member.place) as inventory:
                links = inventory.links()
                addresses = inventory.addresses(links)
        except KernelRefused:
            continue  # it has stopped meanwhile
        (found,) = foreign_ends.completed([member], {place: links}, {place: addresses}, {})
        yield found.box, found.place.ns, list(found.ends)


def _tunnels(
    names: tuple[str, ...], before: Counters, seconds: float
) -> tuple[list[dict[str, Any]], Counters]:
    """The rows of overlay networks' VXLAN links, as `_measured`.

    Raises:
        Invalid: a network that was named has none.
    """
    from plumb.kernel.net import statistics
    from plumb.views.stats import tunnel_row

    now: Counters = {}
    rows = []
    for net, peers in _overlays(names):
        try:
            traffic, _ = statistics.inside(net.overlay.netns)
        except KernelRefused:
            continue  # its last container here has gone meanwhile
        for number, vni in enumerate(net.overlay.vnis):
            if (link := f"vxlan{number}") in traffic:
                counted = now[str(vni)] = traffic[link]._asdict()
                earlier = before.get(str(vni))
                rows.append(tunnel_row(net, number, peers, counted, earlier, seconds))
    return rows, now


def _overlays(names: tuple[str, ...]) -> list[tuple[Network, int]]:
    """Overlay networks with a part on this host, and the number of other hosts with one."""
    with common.read() as host:
        chosen = [host.network(name) for name in names] or host.networks()
        for net in chosen:
            if names and not net.multi_host:
                raise Invalid(
                    f"network {net.name} is on this host alone", "'plumb stats' has its containers"
                )
        return [
            (net, len({end.vtep for end in host.store.remotes(net.id)}))
            for net in chosen
            if net.multi_host
        ]


def _balanced(
    names: tuple[str, ...], before: Counters, seconds: float
) -> tuple[list[dict[str, Any]], Counters]:
    """The rows of services' tasks, as `_measured`.

    Raises:
        NotFound: no balancer of this host has a service that was named.
    """
    from plumb.kernel.cluster import balanced
    from plumb.views.stats import service_row

    now: Counters = {}
    rows = []
    for net, ns, service in _served(names):
        try:
            loads = balanced.loads(ns, service)
        except KernelRefused:
            continue  # its last task here has gone meanwhile
        for task, load in loads:
            key = f"{service.id}.{task.task}"
            if load.total is not None:
                now[key] = {
                    "total": load.total,
                    "in": load.in_bytes or 0,
                    "out": load.out_bytes or 0,
                }
            rows.append(service_row(service, net, task, load, before.get(key), seconds))
    return rows, now


def _served(names: tuple[str, ...]) -> list[tuple[Network, str, VirtualService]]:
    """Services with a virtual address on this host, each with its network and balancer's place."""
    with common.read() as host:
        found = [
            (net, host.layout.namespace(balancer_sandbox(net.id, net.overlay.ingress)), service)
            for net in host.networks()
            if net.multi_host
            for service in host.store.services(net.id)
            if service.ips
        ]
    known = {service.name for _, _, service in found}
    if lacking := [name for name in names if name not in known]:
        raise NotFound(
            f"no balancer of this host has a service {lacking[0]}",
            "'plumb service ls' shows all of the cluster; one without a virtual address (dnsrr) "
            "has no balancer",
        )
    return [one for one in found if not names or one[2].name in names]
