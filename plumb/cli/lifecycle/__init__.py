"""A container's life on the command line: restart policies, health checks, signals.

The options of run and create about it are here, and the library's keywords for them.

group        container, the verbs of containers under Docker's longer names
execution    exec
signals      kill, rename and wait
environment  --env and --env-file, --label-file
id_file      --cidfile
top          top
prune        container prune
events       events
attach       attach
restarts     update, and the commands by which the agent starts a container again
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import click

from plumb.model.keywords import ContainerOptions
from plumb.model.parse import pairs

if TYPE_CHECKING:
    from plumb.cli.lifecycle.id_file import Note

RESTART = click.option(
    "--restart",
    default="no",
    metavar="POLICY",
    help="Start it again when its command ends: no, always, unless-stopped, on-failure[:N].",
)
ENV_FILE = click.option(
    "--env-file", multiple=True, metavar="FILE", help="A file with a variable on each line."
)
OPTIONS = [
    RESTART,
    ENV_FILE,
    click.option(
        "--label-file", multiple=True, metavar="FILE", help="A file with a label on each line."
    ),
    click.option("--cidfile", default="", metavar="FILE", help="Write the container's id there."),
    click.option("--health-cmd", default="", help="A line for the shell: 0 means healthy."),
    click.option(
        "--health-interval", default="0s", metavar="TIME", help="Time between checks (30s)."
    ),
    click.option(
        "--health-timeout", default="0s", metavar="TIME", help="Time that a check may take (30s)."
    ),
    click.option(
        "--health-retries",
        type=int,
        default=0,
        metavar="N",
        help="Failures in a row that make it unhealthy (3).",
    ),
    click.option(
        "--health-start-period",
        default="0s",
        metavar="TIME",
        help="Time after the start in which failures do not count.",
    ),
    click.option(
        "--health-start-interval",
        default="0s",
        metavar="TIME",
        help="Time between checks in the start period (5s).",
    ),
    click.option("--no-healthcheck", is_flag=True, help="No health check."),
    click.option("-u", "--user", default="", metavar="USER", help="NAME|UID[:GROUP|GID]."),
    click.option("-w", "--workdir", "working_dir", default="", help="The folder it starts in."),
    click.option("--init", is_flag=True, help="Reap orphans and pass signals on, as it always is."),
    click.option(
        "--stop-signal", default="", metavar="SIGNAL", help="Signal by which stop asks it to end."
    ),
    click.option(
        "--stop-timeout",
        type=int,
        metavar="SECONDS",
        help="Time until stop kills its command (10); below 0, it does not.",
    ),
]


def wish_of(asked: dict[str, Any]) -> ContainerOptions:
    """Keywords of the library for those of the options that were given."""
    names = [str(option_name) for option_name in PLAIN if asked[option_name] not in DEFAULTS]
    if asked["stop_timeout"] == 0:  # which no other option's default is
        names.append("stop_timeout")
    return cast(ContainerOptions, {name: asked[name] for name in names})


def variables(words: Sequence[str], files: Sequence[str]) -> tuple[str, ...]:
    """Environment variables of files, then those that were given one by one.

    Raises:
        Invalid: a file cannot be read, or something is no variable.
    """
    if not (words or files):
        return ()
    from plumb.cli.lifecycle import environment  # lazy: most commands name none

    return environment.variables(words, files)


def labels(words: Sequence[str], files: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Labels of files, then those that were given one by one, which have the last word.

    Raises:
        Invalid: a file cannot be read, or something is no label.
    """
    if files:
        from plumb.cli.lifecycle import environment  # lazy: most commands name none

        words = (*environment.labels(files), *words)
    return pairs(words, "label")


def noting(path: str) -> AbstractContextManager[Note]:
    """The writer of --cidfile; without one, a writer of nothing."""
    if not path:
        return nullcontext(lambda _: None)
    from plumb.cli.lifecycle.id_file import id_file  # lazy: most commands name none

    return id_file(path)


PLAIN = (
    "restart",
    "health_cmd",
    "health_interval",
    "health_timeout",
    "health_retries",
    "health_start_period",
    "health_start_interval",
    "no_healthcheck",
    "stop_signal",
    "stop_timeout",
    "user",
    "working_dir",
    "init",
)
"""Options that are keywords of the library by the same name."""
DEFAULTS = ("", "0s", 0, False, "no", None, ())
