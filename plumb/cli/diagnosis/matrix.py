"""plumb matrix."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from plumb.address import IPAddress
from plumb.cli import common
from plumb.model import parse as opt

if TYPE_CHECKING:
    from plumb.cli.compose.promised import Promised
    from plumb.engine.reader import Reader
    from plumb.engine.targets import TargetResolver
    from plumb.probes.matrix import Expected

PROGRESS_FROM = 2000
"""Promises from which a progress bar is worth it: about a second."""
WRITTEN_FROM = 16
"""Probes of written promises from which one is, as each may be waited for."""


@common.command("matrix")
@click.option(
    "--from",
    "outside",
    metavar="NS",
    help="A namespace outside, by file or pid:N: it probes and is probed as (world).",
)
@click.option(
    "--world",
    "world",
    metavar="ADDRESS",
    multiple=True,
    help="An address outside that this host reaches, probed by all.",
)
@common.wait_option("Seconds to wait for packets that must not arrive.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object for each promise, and a summary."
)
def matrix(outside: str | None, world: tuple[str, ...], seconds: float, as_json: bool) -> int:
    """Test reachability with real traffic, and compare it with what the networks promise.

    Containers, the host and the world (as far as it is named) probe each other by ping, TCP and
    UDP; plumb also probes published ports, resolves names, and looks for duplicate addresses on
    the links. What compose files of projects that are up promise (x-plumb.expect) is tried as well.
    Exit status 1 if anything is not as promised.
    """
    from plumb.engine.targets import TargetResolver
    from plumb.probes.matrix import expected, hold
    from plumb.views import matrix as view

    with common.read() as reader:
        resolver = TargetResolver(reader)
        wanted = _expected(
            reader,
            resolver,
            outside,
            [opt.address(text, "world address") for text in world],
            expected,
        )
        written = _promised(reader, resolver)
    with _progress(wanted.total, written.total if written else 0) as progress:
        found = hold(wanted, seconds, progress)
        found.written += written.outcomes(seconds, progress) if written else ()
    if as_json:
        for document in view.documents(found):
            print(document)
    else:
        for text in view.tables(found, _alike(wanted), _paint()):
            click.echo(text)
        for text in view.differences(found):
            click.echo(text)
        click.echo(view.summary(found))
    _tell_of_others(resolver)
    return 1 if found.differing else 0


def _promised(reader: Reader, resolver: TargetResolver) -> Promised | None:
    """Read what the files of projects that are up promise; None where there is no project."""
    boxes = reader.containers()
    if not any(key.startswith(COMPOSE) for box in boxes for key, _ in box.labels):
        return None
    from plumb.cli.compose.promised import promised  # lazy: few hosts have a compose file

    return promised(boxes, resolver)


COMPOSE = "com.docker.compose."
"""Beginning of the labels of a project's containers."""


def _tell_of_others(resolver: TargetResolver) -> None:
    """Say on stderr what was not tried: plumb knows no promises of other engines."""
    from plumb.engine.foreign import containers

    if number := containers.counted(resolver.foreign):
        common.tell(f"not tried: {number}; 'plumb trace' and 'plumb probe' take them by name")


def _expected(
    reader: Reader,
    resolver: TargetResolver,
    outside: str | None,
    world: list[IPAddress],
    expected: Callable[..., Expected],
) -> Expected:
    from plumb.probes.matrix import Host
    from plumb.probes.promises.promise import HOST
    from plumb.probes.traffic.outside import surroundings

    order = {container.id: number for number, container in enumerate(reader.containers())}
    members = [
        (member.box, list(member.ends))
        for member in sorted(resolver.own, key=lambda each: order[each.box.id])
    ]
    places = {HOST: "", **{member.box.name: member.place.ns for member in resolver.own}}
    settings = reader.settings
    filtered = frozenset(
        version for version in (4, 6) if settings.firewall(version) and settings.ip_forward
    )
    return expected(
        members,
        places,
        surroundings(members, resolver.networks, outside, world),
        Host(settings.userland_proxy, filtered, settings.allow_direct_routing),
        {net.id: reader.store.remotes(net.id) for net in resolver.networks if net.multi_host},
        {net.id: reader.store.services(net.id) for net in resolver.networks if net.multi_host},
    )


def _alike(wanted: Expected) -> dict[str, str]:
    """Label of each container that shares its set of networks with others, by name."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, networks in wanted.networks.items():
        groups.setdefault(networks, []).append(name)
    return {
        name: f"{len(names)} on {' and '.join(networks)}"
        for networks, names in groups.items()
        if len(names) > 1
        for name in names
    }


@contextmanager
def _progress(promises: int, written: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, where it takes long.

    Args:
        promises: of networks; written: probes of those that files have.
    """
    total = promises + written
    if (promises < PROGRESS_FROM and written < WRITTEN_FROM) or not sys.stderr.isatty():
        yield lambda done: None
        return
    with click.progressbar(
        length=total, label="asking", file=sys.stderr, update_min_steps=max(1, total // 200)
    ) as bar:
        yield bar.update


def _paint() -> Callable[[str], str]:
    from plumb.views.matrix import COLOURS

    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return lambda symbol: symbol
    return lambda symbol: click.style(symbol, fg=COLOURS[symbol]) if symbol in COLOURS else symbol
