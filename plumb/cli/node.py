"""plumb node ls|inspect|update|promote|demote|rm|ps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from plumb.cli import common
from plumb.cli.filters.words import label as label_test
from plumb.cli.filters.words import matches
from plumb.cli.swarm import availability_option, client
from plumb.errors import Invalid, PlumbError
from plumb.model.cluster import Availability, Node, NodeRole

if TYPE_CHECKING:
    from plumb.engine.cluster.swarm import SwarmClient

COLUMNS = {
    "ID": "ID",
    "Hostname": "HOSTNAME",
    "Status": "STATUS",
    "Availability": "AVAILABILITY",
    "ManagerStatus": "MANAGER STATUS",
    "EngineVersion": "ENGINE VERSION",
}


@common.group("node")
def node() -> None:
    """Manage the nodes of a swarm."""


@node.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Ids alone.")
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Those that match."
)
@common.template_option
def ls(quiet: bool, filters: tuple[str, ...], as_json: bool, template: str) -> None:
    """List the nodes."""
    from plumb.views import nodes as docker

    asked = client()
    found, own = asked.nodes(), asked.status()["node"]["id"]
    rows = [
        docker.row(one, own)
        for one in sorted(found, key=lambda one: (one.hostname, one.id))
        if matches(filters, _filters(one))
    ]
    if quiet and not template:
        template = "{{.ID}}"
    if not as_json and template in ("", "table"):
        rows = [{**row, "ID": f"{row['ID']} {'*' if row['Self'] else ' '}"} for row in rows]
    common.columns_of(COLUMNS, as_json, template, rows)


def _filters(one: Node) -> dict[str, Callable[[str], bool]]:
    return {
        "id": one.id.startswith,
        "name": one.hostname.startswith,
        "role": lambda value: one.role.value == value,
        "membership": lambda value: value == "accepted",
        "label": lambda value: False,  # an engine's labels, which plumb has none of
        "node.label": label_test(one.labels),
    }


@node.command("inspect")
@click.option("-f", "--format", "template", default="", help="json, pretty, or a Go template.")
@click.option("--pretty", is_flag=True, help="As text.")
@click.argument("names", nargs=-1, required=True, metavar="self|NODE...")
def inspect(template: str, pretty: bool, names: tuple[str, ...]) -> int:
    """Show nodes in Docker's JSON."""
    from plumb.cli import complain
    from plumb.cli.documents import print_documents
    from plumb.views import nodes as docker

    if pretty and template:
        raise Invalid("--format is incompatible with human friendly format")
    asked, found, status = client(), [], 0
    for name in names:
        try:
            found.append(asked.one(name))
        except PlumbError as error:
            status = complain(str(error), error.hint, 1)
    if pretty or template == "pretty":
        print("\n\n".join(map(docker.pretty, found)))
        return status
    return print_documents([docker.document(one) for one in found], template) or status


@node.command("update")
@availability_option(None)
@click.option("--role", type=click.Choice([role.value for role in NodeRole]), help="Its new role.")
@click.option("--label-add", "added", multiple=True, metavar="KEY[=VALUE]", help="A label to add.")
@click.option("--label-rm", "removed", multiple=True, metavar="KEY", help="A label to remove.")
@click.argument("name", metavar="NODE")
def update(
    availability: str | None,
    role: str | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    name: str,
) -> None:
    """Change a node."""
    labels = {key: value for key, _, value in (text.partition("=") for text in added)}
    client().update(
        name,
        role=NodeRole(role) if role else None,
        availability=Availability(availability) if availability else None,
        labels=labels,
        without=removed,
    )
    print(name)


@node.command("promote")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
def promote(names: tuple[str, ...]) -> int:
    """Make workers managers."""
    return _change_roles(names, NodeRole.MANAGER, "promoted to a manager in the swarm")


@node.command("demote")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
def demote(names: tuple[str, ...]) -> int:
    """Make managers workers."""
    return _change_roles(names, NodeRole.WORKER, "demoted in the swarm")


def _change_roles(names: tuple[str, ...], role: NodeRole, done: str) -> int:
    asked = client()
    return common.for_each(names, lambda name: _change_role(asked, name, role, done))


def _change_role(asked: SwarmClient, name: str, role: NodeRole, done: str) -> str:
    if asked.one(name).role is role:
        return f"Node {name} is already a {role}."
    asked.update(name, role=role)
    return f"{'Node' if role is NodeRole.MANAGER else 'Manager'} {name} {done}."


@node.command("rm")
@click.option("-f", "--force", is_flag=True, help="Even those that are not down.")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
def rm(force: bool, names: tuple[str, ...]) -> int:
    """Remove nodes from the swarm; they are out at once."""
    asked = client()

    def remove(name: str) -> str:
        asked.remove(name, force)
        return name

    return common.for_each(names, remove)


@node.command("ps")
@common.tasks_options
@click.argument("names", nargs=-1, metavar="[NODE...]")
def ps(names: tuple[str, ...], **asked: Any) -> None:
    """List tasks of services on nodes; without one, on this node."""
    from plumb.cli.service.listings import print_tasks
    from plumb.engine.cluster.services import ServiceClient

    services = ServiceClient(client())
    found = []
    for name in names or ("self",):
        found += services.tasks(node=services.swarm.one(name).id)
    print_tasks(services, found, **asked)
