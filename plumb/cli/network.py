"""plumb network create|ls|inspect|ports|rm|connect|disconnect|prune|export|import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import click

from plumb.cli import common
from plumb.cli.documents import network_document, print_documents
from plumb.cli.filters.prune import prunable
from plumb.cli.filters.words import expression, matches
from plumb.cli.filters.words import label as label_test
from plumb.engine.reader import Reader
from plumb.errors import Invalid, NotFound, PlumbError
from plumb.model import parse as opt
from plumb.model.cnm import Network
from plumb.model.net import attachment as attachments


class NetworkGroup(common.VerbGroup):
    """Verbs of networks, with Docker's other names.

    Those that write and read compose files are imported when they are used.
    """

    aliases: ClassVar = {"list": "ls", "remove": "rm"}

    def list_commands(self, context: click.Context) -> list[str]:
        """Names of the verbs."""
        return sorted([*super().list_commands(context), "export", "import"])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a verb's command; None for an unknown verb."""
        if name in ("export", "import"):
            from plumb.cli.compose import transfer

            return transfer.export if name == "export" else transfer.import_
        return super().get_command(context, name)


@click.group("network", cls=NetworkGroup)
def network() -> None:
    """Manage networks."""


@network.command("create")
@click.option("-d", "--driver", default="bridge", show_default=True)
@click.option("--subnet", multiple=True, help="Subnet in CIDR format.")
@click.option(
    "--ip-range", multiple=True, help="Allocate container addresses from a part of the subnet."
)
@click.option(
    "--gateway",
    multiple=True,
    help="The bridge's own address; for macvlan and ipvlan, the LAN's router.",
)
@click.option(
    "--aux-address",
    multiple=True,
    metavar="NAME=IP",
    help="Auxiliary addresses, not given to containers.",
)
@click.option("--internal", is_flag=True, help="Restrict external access to the network.")
@click.option("--ipv4", type=bool, default=None, help="IPv4 (default true).")
@click.option("--ipv6", type=bool, default=None, help="IPv6 (default false).")
@click.option("--attachable", is_flag=True, help="Of no effect on one host, as in Docker.")
@click.option("--ingress", is_flag=True, help="The network for ports that every node publishes.")
@click.option(
    "--scope",
    default="",
    metavar="local|swarm",
    help="swarm: of all nodes; where the driver spans no hosts, each builds its own.",
)
@click.option("--config-only", is_flag=True, help="A configuration that other networks take over.")
@click.option("--config-from", default="", metavar="NETWORK", help="Take over a configuration.")
@click.option("-o", "--opt", "options", multiple=True, metavar="KEY=VALUE", help="Driver options.")
@click.option("--label", multiple=True, metavar="KEY=VALUE", callback=common.checked(opt.label))
@common.changing
@click.argument("name")
def create(
    name: str,
    driver: str,
    subnet: tuple[str, ...],
    ip_range: tuple[str, ...],
    gateway: tuple[str, ...],
    aux_address: tuple[str, ...],
    internal: bool,
    ipv4: bool | None,
    ipv6: bool | None,
    attachable: bool,
    ingress: bool,
    scope: str,
    config_only: bool,
    config_from: str,
    options: tuple[str, ...],
    label: tuple[str, ...],
    dry_run: bool,
    show_commands: bool,
) -> None:
    """Create a network."""
    with common.opened(dry_run, show_commands) as host:
        net = host.create_network(
            name,
            driver=driver,
            subnet=_several(subnet),
            ip_range=_several(ip_range),
            gateway=_several(gateway),
            aux_addresses=dict(opt.pairs(aux_address, "auxiliary address")),
            internal=internal,
            attachable=attachable,
            ingress=ingress,
            scope=scope,
            config_only=config_only,
            config_from=config_from,
            ipv4=ipv4,
            ipv6=ipv6,
            options=dict(opt.pairs(options, "option")),
            labels=dict(map(opt.label, label)),
        )
        if not dry_run:
            print(net.id)


def _several(words: tuple[str, ...]) -> list[str]:
    """The values of a flag that Docker takes more than once and parted by commas; none is empty."""
    return [each for word in words for each in word.split(",") if each]


HEADINGS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
COLUMNS = ("ID", "Name", "Driver", "Scope")


@network.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("--no-trunc", is_flag=True, help="Whole ids.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="dangling, driver, id, label, name, scope, type.",
)
@common.template_option
def ls(quiet: bool, no_trunc: bool, filters: tuple[str, ...], as_json: bool, template: str) -> None:
    """List networks."""
    from plumb.views.inspect import networks as docker

    with common.read() as host:
        found = [
            net
            for net in sorted([*host.networks(), *_elsewhere(host)], key=lambda net: net.name)
            if matches(filters, _filters(host, net))
        ]
    rows = [docker.network_row(net, truncate=not no_trunc) for net in found]
    if quiet and not template:
        template = "{{.ID}}"
    common.columns_of(HEADINGS, as_json, template, rows, COLUMNS)


def _elsewhere(host: Reader) -> Sequence[Network]:
    """Networks of the cluster that this host has no part in, as far as the cluster answers."""
    try:
        return host.elsewhere()
    except PlumbError as error:
        common.tell(f"the cluster's other networks are not listed: {error}")
        return ()


def _filters(host: Reader, net: Network) -> dict[str, Callable[[str], bool]]:
    return {
        "dangling": lambda value: _truth(value) == (not net.predefined and not host.endpoints(net)),
        "driver": lambda value: net.driver == value,
        "id": expression(net.id),
        "label": label_test(net.labels),
        "name": expression(net.name),
        "scope": lambda value: value == ("swarm" if net.of_cluster else "local"),
        "type": lambda value: _type(value, net),
    }


def _truth(value: str) -> bool:
    try:
        return opt.boolean(value)
    except ValueError as error:
        raise Invalid(f"invalid filter 'dangling={value}': {error}") from None


def _type(value: str, net: Network) -> bool:
    if value not in ("builtin", "custom"):
        raise Invalid(f"invalid filter: 'type'='{value}'", "it can be builtin or custom")
    return (value == "builtin") == net.predefined


@network.command("inspect")
@click.option("-f", "--format", "template", default="", help="json or a Go template.")
@click.option("-v", "--verbose", is_flag=True, help="Services too, of which one host has none.")
@click.argument("names", nargs=-1, required=True)
def inspect(names: tuple[str, ...], template: str, verbose: bool) -> int:
    """Show networks in Docker's JSON."""
    from plumb.cli import complain

    found, status = [], 0
    with common.read() as host:
        for name in names:
            try:
                found.append(network_document(host, host.network(name), verbose))
            except NotFound as error:
                status = complain(str(error), error.hint, 1)
    return print_documents(found, template) or status


@network.command("ports")
@common.template_option
@click.argument("names", nargs=-1)
def ports(names: tuple[str, ...], as_json: bool, template: str) -> None:
    """Show which clients reach which ports of a network's containers; default: all networks."""
    from plumb.cli.listings import show_openings

    show_openings(names, as_json, template)


@network.command("rm")
@click.option("-f", "--force", is_flag=True, help="No error for networks that do not exist.")
@common.changing
@click.argument("names", nargs=-1, required=True)
def rm(names: tuple[str, ...], force: bool, dry_run: bool, show_commands: bool) -> int:
    """Remove networks."""
    with common.opened(dry_run, show_commands) as host:

        def remove(name: str) -> str:
            try:
                host.remove_network(name)
            except NotFound:
                if not force:
                    raise
                return ""
            return "" if dry_run else name

        return common.for_each(names, remove)


def _link(text: str) -> tuple[str, str]:
    from plumb.model import container_options  # lazy: few networks are joined with links

    return container_options.link(text)


@network.command("connect")
@click.option("--ip", default="", help="IPv4 address.")
@click.option("--ip6", default="", help="IPv6 address.")
@click.option("--alias", multiple=True, help="Network-scoped alias.")
@click.option(
    "--link",
    multiple=True,
    metavar="NAME[:ALIAS]",
    callback=common.checked(_link),
    help="Add a name for another container, known to this one only.",
)
@click.option("--link-local-ip", multiple=True)
@click.option("--driver-opt", multiple=True, metavar="KEY=VALUE")
@click.option(
    "--gw-priority", type=int, default=0, help="The highest provides the default gateway."
)
@common.changing
@click.argument("network_name", metavar="NETWORK")
@click.argument("container")
def connect(
    network_name: str,
    container: str,
    ip: str,
    ip6: str,
    alias: tuple[str, ...],
    link: tuple[str, ...],
    link_local_ip: tuple[str, ...],
    driver_opt: tuple[str, ...],
    gw_priority: int,
    dry_run: bool,
    show_commands: bool,
) -> None:
    """Connect a container to a network."""
    wish = attachments.make_attachment(
        network_name,
        ip=ip,
        ip6=ip6,
        aliases=alias,
        links=tuple(map(_link, link)),
        link_local=link_local_ip,
        gw_priority=gw_priority,
        driver_opts=attachments.driver_options(driver_opt),
    )
    with common.opened(dry_run, show_commands) as host:
        host.connect(network_name, container, wish)


@network.command("disconnect")
@click.option(
    "-f", "--force", is_flag=True, help="Also from a network that does not exist any more."
)
@common.changing
@click.argument("network_name", metavar="NETWORK")
@click.argument("container")
def disconnect(
    network_name: str, container: str, force: bool, dry_run: bool, show_commands: bool
) -> None:
    """Disconnect a container from a network."""
    with common.opened(dry_run, show_commands) as host:
        host.disconnect(network_name, container, force)


@network.command("prune")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option(
    "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="label, label!, until."
)
@common.changing
def prune(force: bool, filters: tuple[str, ...], dry_run: bool, show_commands: bool) -> None:
    """Remove all networks that no running container is on."""
    from plumb.cli.lifecycle.prune import agreed

    passes = prunable(filters)
    if not (force or dry_run or agreed("custom networks not used by at least one container")):
        return

    def keep(net: Network) -> bool:
        return not passes(net)

    def unseen(error: PlumbError) -> None:
        common.tell(f"networks of the cluster stay: {error}")

    with common.opened(dry_run, show_commands) as host:
        gone = host.prune_networks(keep, unseen)
    if gone and not dry_run:
        print("Deleted Networks:", *(net.name for net in gone), "", sep="\n")
