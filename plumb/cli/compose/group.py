"""The group compose, and its verbs that are verbs of plumb as well."""

from __future__ import annotations

from typing import Any

import click

from plumb.cli import common
from plumb.cli.compose.changes import down, up
from plumb.cli.compose.check import check
from plumb.cli.compose.listings import config, ls, ps
from plumb.cli.compose.project import GROUP, which

__all__ = ["compose", "down", "up"]


@common.group("compose")
@which
@click.pass_context
def compose(context: click.Context, /, **asked: Any) -> None:
    """Make the networks and containers of compose files.

    What a file says about networks, names, ports, commands and health is done; what plumb does not
    have, as images and volumes, is named with file and line.
    """
    context.meta[GROUP] = asked


for _verb in (up, down, ps, ls, config, check):
    compose.add_command(_verb)
