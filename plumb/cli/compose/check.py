"""plumb compose check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from plumb.cli import common
from plumb.cli.compose.project import request, which
from plumb.errors import Conflict, Invalid

if TYPE_CHECKING:
    from plumb.compose.project import Expectation, Project
    from plumb.engine.targets import TargetResolver
    from plumb.model.net.targets import Target
    from plumb.probes.probe_spec import ProbeSpec


@common.command("check")
@which
@common.wait_option("Seconds to wait for each answer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each promise.")
def check(seconds: float, as_json: bool, **asked: Any) -> int:
    """Try the promises of a project's x-plumb.expect with traffic.

    Of a service all containers are tried. Where nobody listens at a port, plumb opens a listener.
    Exit status 1 if a promise is not kept.
    """
    from plumb.compose.load import load
    from plumb.engine.targets import TargetResolver

    wanted = load(request(asked))
    if not wanted.expect:
        raise Invalid(
            f"project {wanted.name} promises nothing", "x-plumb: {expect: ['web -> db:5432']}"
        )
    kept = True
    with common.read() as reader:
        resolver = TargetResolver(reader)
        for promise in wanted.expect:
            differing = list(_differing(resolver, wanted, promise, seconds))
            kept = kept and not differing
            _print(promise, differing, as_json)
    return 0 if kept else 1


def _print(promise: Expectation, differing: list[str], as_json: bool) -> None:
    if as_json:
        document = {"promise": promise.text, "kept": not differing, "differing": differing}
        print(json.dumps(document))
        return
    print(f"{'broken' if differing else 'kept':<8}{promise.text}")
    for pair in differing:
        print(f"        {pair}")
    if differing and promise.reached:
        print(f"        'plumb trace {differing[0]}' shows where it ends")


def _differing(
    resolver: TargetResolver, project: Project, promise: Expectation, seconds: float
) -> Iterator[str]:
    """Yield the pairs of containers for which a promise is not kept, as `FROM TO:PORT`."""
    from plumb.frozen import replace

    targets = _names(project, promise.target.name)
    for source in _names(project, promise.source):
        for name in targets:
            target = replace(promise.target, name=name)
            if source != name and _reaches(resolver, source, target, seconds) != promise.reached:
                yield f"{source} {_spelt(target)}"


def _names(project: Project, name: str) -> list[str]:
    """Names of a service's containers, or another name as it is."""
    service = project.services.get(name)
    if service is None:
        return [name]
    names = project.container_names(service)
    if not names:
        raise Conflict(f"service {name} has no containers", "scale it up")
    return names


def _spelt(target: Target) -> str:
    port = f":{target.port}" if target.port else ""
    return f"{target.name}{port}" + (f"/{target.protocol}" if port else "")


def _reaches(resolver: TargetResolver, source: str, target: Target, seconds: float) -> bool:
    """True if one of the target's addresses answers."""
    from plumb.probes.target_addresses import probe_specs

    place = resolver.place(source)
    files = resolver.name_files(source, place)
    specs = probe_specs(resolver, place, files, target, (4, 6))
    return any(_answered(each, seconds) for each in specs)


def _answered(question: ProbeSpec, seconds: float) -> bool:
    from plumb.probes import one_probe

    try:
        return one_probe.ask_a_listener(question, 1, seconds).good
    except Invalid:  # a program has the port, or there is none to open
        return one_probe.ask(question, 1, seconds).good
