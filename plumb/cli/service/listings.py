"""plumb service ls|ps|inspect, and what `node ps` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from plumb.cli import common
from plumb.cli.filters.words import label, matches
from plumb.cli.service.changes import client
from plumb.engine.cluster.services import ServiceClient
from plumb.errors import Invalid, NotFound
from plumb.model.cluster import Node
from plumb.model.service.service import Service
from plumb.model.service.task import Task
from plumb.views.services import rows

Filters = dict[str, Callable[[str], bool]]


@common.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Ids alone.")
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="id, label, mode, name."
)
@click.option("--no-trunc", is_flag=True, help="Full ids and commands.")
@common.template_option
def ls(quiet: bool, filters: tuple[str, ...], no_trunc: bool, as_json: bool, template: str) -> None:
    """List the services."""
    asked = client()
    found = [one for one in asked.all() if matches(filters, _of_service(one))]
    found.sort(key=lambda one: one.spec.name)
    if quiet and not template:
        print("".join(f"{one.id}\n" for one in found), end="")
        return
    tasks, nodes = asked.tasks(), asked.swarm.nodes()
    shown = [
        rows.service(
            one, [task for task in tasks if task.service == one.id], nodes, short=not no_trunc
        )
        for one in found
    ]
    common.columns_of(rows.SERVICES, as_json, template, shown)


def _of_service(one: Service) -> Filters:
    return {
        "id": one.id.startswith,
        "label": label(one.spec.labels),
        "mode": lambda value: one.spec.mode.value == value,
        "name": lambda value: value in one.spec.name,
    }


@common.command("ps")
@common.tasks_options
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
def ps(names: tuple[str, ...], **asked: Any) -> int:
    """List the tasks of services."""
    services = client()
    found: list[Task] = []
    status = 0
    for name in names:
        try:
            found += services.tasks(_one(services, name))
        except NotFound as error:
            status = _complain(error)
    print_tasks(services, found, **asked)
    return status


def _one(services: ServiceClient, name: str) -> Service:
    try:
        return services.one(name)
    except NotFound as error:
        raise NotFound(f"no such service: {name}", error.hint) from None


def _complain(error: NotFound) -> int:
    from plumb.cli import complain

    return complain(str(error), error.hint, 1)


def print_tasks(
    services: ServiceClient,
    found: Sequence[Task],
    *,
    quiet: bool,
    filters: tuple[str, ...],
    no_trunc: bool,
    no_resolve: bool,
    as_json: bool,
    template: str,
) -> None:
    """Print tasks as `service ps` does."""
    known = {one.id: one for one in services.all()}
    nodes = {node.id: node for node in services.swarm.nodes()}
    shown = [task for task in found if matches(filters, _of_task(task, known, nodes))]
    if quiet and not template:
        template = "{{.ID}}"
    lines = rows.tasks(shown, known, nodes, short=not no_trunc, resolve=not no_resolve)
    common.columns_of(rows.TASKS, as_json, template, lines)


def _of_task(task: Task, known: dict[str, Service], nodes: dict[str, Node]) -> Filters:
    service, node = known.get(task.service), nodes.get(task.node)
    name = task.name(service.spec.name if service else task.service)
    return {
        "id": task.id.startswith,
        "name": lambda value: value in name,
        "node": lambda value: bool(node and value in (node.id, node.hostname)),
        "desired-state": lambda value: _desired(task) == value,
        "label": lambda value: False,  # a task has none of its own
    }


def _desired(task: Task) -> str:
    """The state that `ps` filters by: those that are to end are shut down."""
    return "running" if task.desired.value == "running" else "shutdown"


@common.command("inspect")
@click.option("-f", "--format", "template", default="", help="json, pretty, or a Go template.")
@click.option("--pretty", is_flag=True, help="As text.")
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
def inspect(template: str, pretty: bool, names: tuple[str, ...]) -> int:
    """Show services in Docker's JSON."""
    from plumb.cli.documents import print_documents
    from plumb.views.services import document
    from plumb.views.services.pretty import pretty as text

    if pretty and template:
        raise Invalid("--format is incompatible with human friendly format")
    services = client()
    found: list[Service] = []
    status = 0
    for name in names:
        try:
            found.append(_one(services, name))
        except NotFound as error:
            status = _complain(error)
    if pretty or template == "pretty":
        networks = {net.id: net.name for net in services.swarm.networks()}
        print("\n\n".join(text(one, networks) for one in found))
        return status
    return print_documents([document.document(one) for one in found], template) or status
