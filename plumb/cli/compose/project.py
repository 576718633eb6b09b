"""Options about which project is meant, and the project."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from plumb.cli import common

if TYPE_CHECKING:
    from plumb.compose.files import Request
    from plumb.compose.project import Project

Command = Callable[..., Any]
WHICH = [
    click.option("-f", "--file", "files", multiple=True, metavar="FILE", help="Compose files."),
    click.option("-p", "--project-name", default="", metavar="NAME", help="The project's name."),
    click.option("--profile", "profiles", multiple=True, help="Enable a profile's services."),
    click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Not .env."),
    click.option("--project-directory", default="", metavar="FOLDER", help="Not the file's."),
]
"""Options about the project, of the group and of each of its verbs."""
NAMES = ("files", "project_name", "profiles", "env_files", "project_directory")
GROUP = "plumb.compose"
"""Key of the group's options in click's context."""


def which(function: Command) -> Command:
    """The options about which project is meant."""
    for option in reversed(WHICH):
        function = option(function)
    return function


def request(asked: dict[str, Any]) -> Request:
    """Take the options about the project, the verb's own before the group's."""
    from plumb.compose.files import Request  # lazy: PyYAML is loaded by these verbs alone

    group: dict[str, Any] = click.get_current_context().meta.get(GROUP, {})
    own = {name: asked.pop(name) for name in NAMES}
    found = {name: own[name] or group.get(name) or own[name] for name in own}
    return Request(
        files=found["files"],
        name=found["project_name"],
        profiles=found["profiles"],
        env_files=found["env_files"],
        folder=found["project_directory"],
        working_dir=os.getcwd(),
    )


def project(asked: dict[str, Any], named: Sequence[str] = ()) -> Project:
    """Load the project, and name what of it is without effect."""
    from plumb.compose.load import load

    found = load(request(asked), named)
    for remark in found.remarks:
        common.tell(remark)
    return found
