"""plumb ps|inspect|port."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from plumb.cli import common
from plumb.cli.documents import network_document, print_documents
from plumb.engine.reader import Reader
from plumb.errors import Invalid, KernelRefused, NotFound
from plumb.model.cnm import Endpoint, Ends, Network, Sandbox, Status

if TYPE_CHECKING:
    from plumb.views.open_ports import Dropped
    from plumb.views.tables import Line

HEADINGS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Size": "SIZE",
    "State": "STATE",
    "Networks": "NETWORKS",
    "Addresses": "ADDRESSES",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "CreatedAt": "CREATED AT",
}
COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


@common.command("ps")
@click.option("-a", "--all", "everything", is_flag=True, help="Also containers that do not run.")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("--no-trunc", is_flag=True, help="Full ids and commands.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="before, exited, expose, health, id, label, name, network, publish, since, status.",
)
@click.option(
    "-n", "--last", type=int, default=-1, metavar="N", help="The last N made, in all states."
)
@click.option("-l", "--latest", is_flag=True, help="The last one made, in all states.")
@click.option("-s", "--size", is_flag=True, help="A column of sizes: no container has files.")
@common.template_option
def ps(
    everything: bool,
    quiet: bool,
    no_trunc: bool,
    filters: tuple[str, ...],
    last: int,
    latest: bool,
    size: bool,
    as_json: bool,
    template: str,
) -> None:
    """List containers."""
    from plumb.model.lifecycle.status import ALIVE
    from plumb.views.inspect import rows as docker

    with common.read() as host:
        known = {net.id: net for net in host.networks()}
        found = [(box, ends_of(host, box, known)) for box in reversed(host.containers())]
        lost = host.rebooted
        health = host.health(box for box, _ in found)
    if filters:
        from plumb.cli.filters.containers import of_containers  # lazy: most listings have none

        found = of_containers(filters, found, known, health)
    last = 1 if latest else last
    everything |= last > 0 or any(word.startswith("status=") for word in filters)
    shown = [(box, ends) for box, ends in found if everything or box.status in ALIVE]
    if last > 0:
        del shown[last:]
    rows = [
        docker.container_row(box, ends, known, not no_trunc, health.get(box.id))
        for box, ends in shown
    ]
    if lost:
        rows = [_gone(row) if row["State"] == "running" else row for row in rows]
    if quiet and not template:
        template = "{{.ID}}"
    common.columns_of(HEADINGS, as_json, template, rows, (*COLUMNS, "Size") if size else COLUMNS)


def _gone(row: Line) -> Line:
    """Row of a container that was running when the machine went down."""
    row.update({"Status": "Lost (reboot)", "Ports": ""})
    return row


def ends_of(host: Reader, box: Sandbox, known: dict[str, Network]) -> Ends:
    """A container's endpoints with their networks."""
    return [(end, known[end.network]) for end in host.endpoints(box) if end.network in known]


SHOWN = ("container", "network")
"""Types of Docker's objects that inspect shows."""
ABSENT = ("config", "image", "plugin", "secret", "volume")
"""Types of Docker's objects of which there is none here."""
ELSEWHERE = ("node", "service", "task")
"""Types that have a command of their own."""


def _of_docker_s(_: click.Context, __: click.Parameter, kind: str) -> str:
    types = sorted((*SHOWN, *ABSENT, *ELSEWHERE))
    if kind and kind not in types:
        listed = ", ".join(f'"{each}"' for each in types)
        raise Invalid(f'unknown type: "{kind}": must be one of {listed}')
    if kind in ELSEWHERE:
        verb = "service ps" if kind == "task" else f"{kind} inspect"
        raise Invalid(f"objects of type {kind} are not shown here", f"'plumb {verb}' shows them")
    return kind


@common.command("inspect")
@click.option("-f", "--format", "template", default="", help="json or a Go template.")
@click.option(
    "--type",
    "kind",
    default="",
    metavar="TYPE",
    callback=_of_docker_s,
    shell_complete=lambda _, __, begun: [each for each in SHOWN if each.startswith(begun)],
    help="Only of this type: container or network.",
)
@common.SIZE
@click.argument("names", nargs=-1, required=True)
def inspect(names: tuple[str, ...], template: str, kind: str, size: bool) -> int:
    """Show containers, or networks, in Docker's JSON."""
    from plumb.cli import complain, hint_of

    found: list[dict[str, Any]] = []
    status = 0
    with common.read() as host:
        for name in names:
            try:
                found.append(_document(host, name, kind, size))
            except NotFound as error:
                status = complain(str(error), hint_of(error, "inspect"), 1)
    return print_documents(found, template) or status


def _pid(host: Reader, box: Sandbox) -> int:
    """Pid of a container's command; 0 if it has none that runs."""
    if not box.argv:
        return 0
    from plumb.kernel.process import commands  # lazy: it takes ctypes and subprocess

    return commands.alive(host.layout.container(box.id))[0]


def _document(host: Reader, name: str, kind: str, size: bool) -> dict[str, Any]:
    from plumb.views.inspect import containers as docker

    if kind in ABSENT:
        raise NotFound(f"No such {kind}: {name}", f"plumb has none of type {kind}")
    try:
        if kind == "network":
            return network_document(host, host.network(name))
        box = host.container(name)
    except NotFound:
        if kind:
            raise
        try:
            return network_document(host, host.network(name))
        except NotFound:
            raise NotFound(f"No such object: {name}") from None
    pid = _pid(host, box)
    known = host.networks_of(box)
    health = host.health([box]).get(box.id)
    if box.mode in ("host", "none"):
        known = {net.id: net for net in host.networks() if net.name == box.mode}
    found = docker.container(box, ends_of(host, box, known), known, host.layout, pid, health)
    return {**found, "SizeRw": 0, "SizeRootFs": 0} if size else found


@common.command("port")
@common.template_option
@click.argument("container", required=False)
@click.argument("port", required=False, metavar="[PORT[/PROTOCOL]]")
def port_(container: str | None, port: str | None, as_json: bool, template: str) -> None:
    """Show a container's published ports.

    Without a container, show which clients reach which ports of this host.
    """
    from plumb.model.ports import shown
    from plumb.things.host_ports import at

    if container is None:
        show_openings((), as_json, template)
        return
    from plumb.engine.foreign import containers

    with common.read() as host:
        found = containers.find(host, container)
        ends = (
            ends_of(host, found, host.networks_of(found))
            if isinstance(found, Sandbox)
            else found.ends
        )
        ports = shown(port for end, _ in ends for port in end.ports)
    wanted = "" if port is None else port if "/" in port else f"{port}/tcp"
    rows: list[dict[str, object]] = [
        {
            "Port": f"{one.port}/{one.protocol}",
            "HostIp": str(one.host_ip),
            "HostPort": str(one.host_port or ""),
            "Host": at(one.host_ip, one.host_port).removesuffix(":0")
            + ("" if one.host_port else ":"),
        }
        for one in ports
        if wanted in ("", f"{one.port}/{one.protocol}")
    ]
    if wanted and not rows:
        raise NotFound(
            f"No public port '{port}' published for {container}",
            f"'plumb port {container}' shows those that are",
        )
    if as_json or template:
        common.columns_of({}, as_json, template, rows)
    for row in rows if not (as_json or template) else ():
        print(row["Host"] if wanted else f"{row['Port']} -> {row['Host']}")


def show_openings(networks: tuple[str, ...], as_json: bool, template: str) -> None:
    """Print what is open to whom, on all networks or on these."""
    from plumb.engine.foreign import containers
    from plumb.views import open_ports

    with common.read() as host:
        known = {net.id: net for net in host.networks()}
        others = containers.known(host)
        chosen = {containers.network(host, others, name) for name in networks}
        members = [
            (box, _on(ends_of(host, box, known), chosen))
            for box in host.containers()
            if box.status is Status.RUNNING
        ]
        own = host.settings
        found = open_ports.openings(
            members,
            direct=own.allow_direct_routing,
            proxy=own.userland_proxy,
            firewall=frozenset(version for version in (4, 6) if own.firewall(version)),
            dropped=_dropped(host),
        )
        found += open_ports.published(
            [(each.box, _on(each.ends, chosen)) for each in others.members],
            {ident for ident, engine in others.engines.items() if engine == "docker"},
        )
    common.columns_of(
        open_ports.COLUMNS, as_json, template, [opening.document for opening in found]
    )


def _on(ends: Iterable[tuple[Endpoint, Network]], networks: set[str]) -> Ends:
    """Endpoints on some networks, by id; all of them where none is named."""
    return [(end, net) for end, net in ends if not networks or net.id in networks]


def _dropped(host: Reader) -> Dropped | None:
    """Published ports that other firewalls drop.

    None, and a line on stderr, without root, or where there are more rules than plumb reads.
    """
    from plumb.engine.foreign.firewalls import dropped_ports
    from plumb.kernel.capabilities import require_root

    try:
        require_root("read the other firewalls of this host, which may drop these ports")
        return dropped_ports(host.store, host.settings)
    except KernelRefused as refused:
        common.tell(f"{refused}; {refused.hint}" if refused.hint else str(refused))
        return None
