"""plumb service logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import click

from plumb.cli import common
from plumb.cli.logs import log_options, print_text, span
from plumb.cli.service.changes import client
from plumb.engine.cluster.services import Output, ServiceClient
from plumb.errors import NotFound, Unsupported
from plumb.kernel.process.logs import reading
from plumb.kernel.process.logs.reading import Span
from plumb.model.lifecycle import LogOptions
from plumb.model.service.spec import ServiceSpec
from plumb.model.service.task import Task

PAUSE = 0.5
"""Seconds between two looks for more output."""


@common.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on until all tasks have ended.")
@log_options
@click.option("--raw", is_flag=True, help="Without the name of the task before each line.")
@click.option("--no-task-ids", is_flag=True, help="Leave the ids of tasks out of their names.")
@click.option("--no-resolve", is_flag=True, help="Ids in place of names.")
@click.option("--no-trunc", is_flag=True, help="Full ids.")
@click.option("--details", is_flag=True, hidden=True)
@click.argument("reference", metavar="SERVICE|TASK")
def logs(
    reference: str,
    follow: bool,
    tail: str,
    raw: bool,
    no_task_ids: bool,
    no_resolve: bool,
    no_trunc: bool,
    details: bool,
    timestamps: bool,
    since: str,
) -> None:
    """Print the output of a service's tasks, or of one task."""
    if details:
        raise Unsupported("labels are not kept with tasks' output")
    asked = span(since, "", tail)
    services = client()
    tasks, name = _tasks(services, reference)
    _check_readable(services.one(tasks[0].service).spec if tasks else None)
    hosts = {node.id: node.hostname for node in services.swarm.nodes()}
    labels = {
        task.id: "" if raw else _label(task, name, hosts, no_task_ids, no_resolve, no_trunc)
        for task in tasks
    }
    _print_all(services, labels, asked, follow, timestamps)


def _tasks(services: ServiceClient, reference: str) -> tuple[list[Task], str]:
    """Tasks of a service, or the one task, and the service's name."""
    try:
        service = services.one(reference)
        return [task for task in services.tasks(service) if task.node], service.spec.name
    except NotFound:
        pass
    found = [task for task in services.tasks() if task.id.startswith(reference)]
    if len(found) != 1:
        raise NotFound(f"no such task or service: {reference}")
    return found, services.one(found[0].service).spec.name


def _check_readable(spec: ServiceSpec | None) -> None:
    """Refuse to read the output of tasks whose nodes keep none."""
    if spec is None or not spec.log_driver:
        return
    pairs = (one.partition("=") for one in spec.log_options)
    log = LogOptions(spec.log_driver, tuple((key, value) for key, _, value in pairs))
    if not log.readable:
        raise Unsupported(
            "configured logging driver does not support reading",
            f"the service's tasks have --log-driver {log.driver}",
        )


def _label(
    task: Task,
    name: str,
    hosts: Mapping[str, str],
    no_task_ids: bool,
    no_resolve: bool,
    no_trunc: bool,
) -> str:
    parts = [task.service if no_resolve else name, str(task.slot or task.node)]
    if not no_task_ids:
        parts.append(task.id if no_trunc else task.id[:12])
    return f"{'.'.join(parts)}@{task.node if no_resolve else hosts.get(task.node, task.node)}"


def _print_all(
    services: ServiceClient, labels: Mapping[str, str], asked: Span, follow: bool, timestamps: bool
) -> None:
    width = max(map(len, labels.values()), default=0)
    outputs = {ident: services.output(ident, tail=asked.tail) for ident in labels}
    while outputs:
        for ident, output in outputs.items():
            label = f"{labels[ident]:<{width}} | " if labels[ident] else ""
            _print(output, label.encode(), asked, timestamps)
        outputs = {ident: each for ident, each in outputs.items() if each.more and follow}
        time.sleep(PAUSE if outputs else 0)
        outputs = {
            ident: services.output(ident, offset=each.offset) for ident, each in outputs.items()
        }


def _print(output: Output, label: bytes, asked: Span, timestamps: bool) -> None:
    lines = output.text.encode().removesuffix(b"\n").split(b"\n") if output.text else []
    for entry in reading.entries([line + b"\n" for line in lines]):
        if asked.holds(entry):
            print_text(entry, timestamps, label)
    sys.stdout.flush()
