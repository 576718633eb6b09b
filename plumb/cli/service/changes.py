"""plumb service create|update|scale|rollback|rm."""

from __future__ import annotations

from typing import Any

import click

from plumb.cli import common
from plumb.cli.service import options, progress
from plumb.engine.cluster.services import ServiceClient
from plumb.errors import Invalid
from plumb.frozen import replace
from plumb.model.service import words
from plumb.model.service.changes import Change, changed
from plumb.model.service.service import Service
from plumb.model.service.spec import Condition, RestartPolicy, ServiceMode, ServiceSpec


def client() -> ServiceClient:
    """The services of the swarm that the command is about."""
    from plumb.cli import swarm

    return ServiceClient(swarm.client())


def _wait(asked: ServiceClient, service: Service, detach: bool, quiet: bool) -> None:
    if not detach:
        progress.follow(asked, service, quiet)


@common.command("create", context_settings=common.COMMAND_FOLLOWS)
@click.option("--name", default="", help="A name for the service.")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in ServiceMode]),
    default=ServiceMode.REPLICATED.value,
    help="replicated, global, replicated-job or global-job.",
)
@options.creating
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def create(
    name: str,
    mode: str,
    env_file: tuple[str, ...],
    command: tuple[str, ...],
    detach: bool,
    quiet: bool,
    **asked: Any,
) -> None:
    """Create a service. Without a command, its tasks just stay.

    Docker has an IMAGE before the command; tasks of plumb are commands on their host.
    """
    known = ServiceMode(mode)
    job = known in (ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB)
    condition = Condition.ON_FAILURE if job else Condition.ANY
    bare = ServiceSpec(
        words.service_name(name) if name else "",
        known,
        argv=command,
        restart=RestartPolicy(condition),
    )
    change = options.change(asked, tuple(options.file_variables(env_file)))
    services = client()
    made = services.create(changed(bare, change))
    print(made.id, flush=True)
    _wait(services, made, detach, quiet)


@common.command("update")
@click.option("--force", is_flag=True, help="Replace its tasks even if nothing has changed.")
@click.option("--rollback", "back", is_flag=True, help="As 'plumb service rollback'.")
@options.updating
@click.argument("name", metavar="SERVICE")
def update(
    name: str, force: bool, back: bool, args: str | None, detach: bool, quiet: bool, **asked: Any
) -> None:
    """Change a service; its tasks are replaced one after the other where they are concerned."""
    services = client()
    change = options.change(asked)
    if args is not None:
        change = _with(change, argv=options.command_words(args))
    if force:
        change = _with(change, forced=services.one(name).spec.forced + 1)
    if back and (change.fields or change.added or change.removed):
        raise Invalid("--rollback goes back to what was before, with no other change")
    found = services.rollback(name) if back else services.update(name, change)
    print(name, flush=True)
    _wait(services, found, detach, quiet)


def _with(change: Change, **fields: Any) -> Change:
    return replace(change, fields={**change.fields, **fields})


@common.command("scale")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until its tasks run.")
@click.argument("wishes", nargs=-1, required=True, metavar="SERVICE=REPLICAS...")
def scale(wishes: tuple[str, ...], detach: bool) -> int:
    """Change the number of services' tasks."""
    services, scaled = client(), []

    def one(wish: str) -> str:
        name, equals, text = wish.partition("=")
        if not (name and equals):
            raise Invalid(f"invalid scale specifier '{wish}'", "it is written SERVICE=REPLICAS")
        number = options.number(text)
        scaled.append(services.scale(name, number))
        return f"{name} scaled to {number}"

    status = common.for_each(wishes, one)
    for service in scaled:
        _wait(services, service, detach, quiet=False)
    return status


@common.command("rollback")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until its tasks run.")
@click.option("-q", "--quiet", is_flag=True, help="No display of progress.")
@click.argument("name", metavar="SERVICE")
def rollback(name: str, detach: bool, quiet: bool) -> None:
    """Bring a service back to what it was before its last update."""
    services = client()
    found = services.rollback(name)
    print(name, flush=True)
    _wait(services, found, detach, quiet)


@common.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
def rm(names: tuple[str, ...]) -> int:
    """Remove services and their tasks."""
    services = client()

    def remove(name: str) -> str:
        services.remove(name)
        return name

    return common.for_each(names, remove)
