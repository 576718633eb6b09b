"""Names of networks and containers as values of arguments and flags, for a shell's completion."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
from click.shell_completion import CompletionItem

from plumb.engine.reader import Reader
from plumb.model.lifecycle.status import ALIVE

Source = Callable[[], Iterator[tuple[str, str]]]
"""Yields names, each with a word about it."""


def networks() -> Iterator[tuple[str, str]]:
    """Names of networks with their drivers."""
    with Reader() as host:
        yield from sorted((net.name, net.driver) for net in host.networks())


def containers() -> Iterator[tuple[str, str]]:
    """Names of containers with their states."""
    with Reader() as host:
        yield from sorted((box.name, str(box.status)) for box in host.containers())


def running() -> Iterator[tuple[str, str]]:
    """Names of containers that run."""
    return (pair for pair in containers() if pair[1] in ALIVE)


def stopped() -> Iterator[tuple[str, str]]:
    """Names of containers that do not."""
    return (pair for pair in containers() if pair[1] not in ALIVE)


def both() -> Iterator[tuple[str, str]]:
    """Names of containers, then of networks."""
    yield from containers()
    yield from networks()


ARGUMENTS: dict[str, Source] = {
    "container": containers,
    "containers": containers,
    "network_name": networks,
}
"""Sources by the name of an argument."""
OF_VERB: dict[str, dict[str, Source]] = {
    **{verb: {"container": running} for verb in ("exec", "top", "attach")},
    **{verb: {"containers": running} for verb in ("stop", "kill", "wait")},
    "start": {"containers": stopped},
    "inspect": {"names": both},
    "container inspect": {"names": containers},
    "stats": {"names": containers},
    **{verb: {"source": running, "to": running} for verb in ("probe", "trace")},
    **{f"network {verb}": {"names": networks} for verb in ("inspect", "ports", "rm", "export")},
}
"""Sources of one verb's arguments, in place of those."""
FLAGS: dict[str, Source] = {"--network": networks, "--link": containers}


class Names(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """Type of a parameter that is a name."""

    name = "name"

    def __init__(self, source: Source) -> None:
        self.source = source

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names that begin so, without those that the command line has already."""
        given = ctx.params.get(param.name or "") or ()
        taken = given if isinstance(given, tuple) else ()
        return [
            CompletionItem(name, help=text)
            for name, text in self.source()
            if name.startswith(incomplete) and name not in taken
        ]


def set_types(verb: str, command: click.Command) -> None:
    """Give a command's parameters that are names the type that knows them."""
    known = {**ARGUMENTS, **OF_VERB.get(verb, {})}
    for each in command.params:
        source = known.get(each.name or "") if isinstance(each, click.Argument) else None
        if isinstance(each, click.Option):
            source = next((FLAGS[name] for name in each.opts if name in FLAGS), None)
        if source is not None and verb != "service create":
            each.type = Names(source)
