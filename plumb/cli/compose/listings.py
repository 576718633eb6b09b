"""plumb compose ps|ls|config."""

from __future__ import annotations

import sys
from typing import Any

import click

from plumb.cli import common
from plumb.cli.compose.project import project, request, which
from plumb.errors import Invalid

HEADINGS = {
    "Name": "NAME",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "Service": "SERVICE",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Ports": "PORTS",
}


@common.command("ps")
@which
@click.option("-a", "--all", "everything", is_flag=True, help="Also containers that do not run.")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("--services", "names_only", is_flag=True, help="Only the services' names.")
@common.template_option
@click.argument("services", nargs=-1)
def ps(
    services: tuple[str, ...],
    everything: bool,
    quiet: bool,
    names_only: bool,
    as_json: bool,
    template: str,
    **asked: Any,
) -> None:
    """List the containers of a project."""
    from plumb.cli.listings import ends_of
    from plumb.compose.load import of_name_or_files
    from plumb.views import compose as view

    wanted = of_name_or_files(request(asked))
    if wanted.files:
        wanted.chosen(services)
    with common.read() as host:
        boxes = view.of_project(host.containers(), wanted.name, services, everything=everything)
        known = {net.id: net for net in host.networks()}
        health = host.health(boxes)
        rows = [
            view.container_line(box, ends_of(host, box, known), known, health.get(box.id))
            for box in boxes
        ]
    if names_only:
        print(*dict.fromkeys(row["Service"] for row in rows), sep="\n")
        return
    shown = "{{.ID}}" if quiet and not template else template
    common.columns_of(HEADINGS, as_json, shown, rows)


@common.command("ls")
@common.template_option
def ls(as_json: bool, template: str) -> None:
    """List the projects of this host."""
    from plumb.views import compose as view

    with common.read() as host:
        rows = view.projects(host.containers())
    headings = {"Name": "NAME", "Status": "STATUS", "ConfigFiles": "CONFIG FILES"}
    common.columns_of(headings, as_json, template, rows)


@common.command("config")
@which
@click.option(
    "--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("-q", "--quiet", is_flag=True, help="Only check the files.")
@click.option(
    "--schema", is_flag=True, help="Also check the files against the specification's JSON schema."
)
@click.option("--services", is_flag=True, help="Only the services' names.")
@click.option("--networks", is_flag=True, help="Only the networks' keys.")
def config(
    form: str,
    as_json: bool,
    quiet: bool,
    schema: bool,
    services: bool,
    networks: bool,
    **asked: Any,
) -> None:
    """Print a project as it is read: merged, interpolated, each key in its long form."""
    from plumb.compose import normal_form

    if schema:
        _check_schema(**asked)
    document = normal_form.project(project(asked))
    if quiet:
        return
    if services or networks:
        print(*document["services" if services else "networks"], sep="\n")
    else:
        sys.stdout.write(normal_form.text(document, "json" if as_json else form))


def _check_schema(**asked: Any) -> None:
    """Name on stderr what of the files is not as the specification's schema says.

    Raises:
        Invalid: anything is not.
    """
    from plumb.compose.load import faults

    lines = faults(request(asked))
    for line in lines:
        common.tell(line)
    if lines:
        raise Invalid(f"{len(lines)} of the values are not as the Compose Specification says")
