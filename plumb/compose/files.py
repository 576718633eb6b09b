"""Files of a project: the command line's words, where the files are, their variables and name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path

from plumb.compose.reading import dotenv, text_file
from plumb.compose.reading.document import Node
from plumb.compose.reading.interpolate import tree
from plumb.errors import Invalid, NotFound
from plumb.frozen import frozen

FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)


@frozen
class Request:
    """Words of the command line about which project is meant.

    Attributes:
        files: -f; without any, COMPOSE_FILE, or FILES in the working directory or above it.
        name: -p; profiles: --profile; env_files: --env-file in place of .env.
        folder: --project-directory; that of the first file where none is given.
        environment: variables of the caller; working_dir: where the caller is.
        input: the absolute path of the one that the caller's input was written to.
    """

    files: tuple[str, ...] = ()
    name: str = ""
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    folder: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    working_dir: str = ""
    input: str = ""


@frozen
class Sources:
    """Sources of a project.

    Attributes:
        folder: the project's; files: absolute paths.
        variables: those of the caller over those of .env.
        name: given by the caller or a variable; empty: the file's or the folder's counts.
        profiles: those that are active.
    """

    folder: str
    files: tuple[str, ...]
    variables: Mapping[str, str]
    name: str = ""
    profiles: frozenset[str] = frozenset()


class NoFile(NotFound):
    """Compose file that is in no folder where one is looked for."""


def found(request: Request) -> Sources:
    """Find the sources of a project.

    Raises:
        NotFound: there is no such file.
        Invalid: a file of variables makes no sense.
    """
    working_dir = request.working_dir or os.getcwd()
    folder = request.folder or os.path.dirname(_files(request, request.environment, working_dir)[0])
    variables = _variables(request, folder)
    return Sources(
        os.path.abspath(folder),
        _files(request, variables, working_dir),
        variables,
        request.name or variables.get("COMPOSE_PROJECT_NAME", ""),
        frozenset((*request.profiles, *variables.get("COMPOSE_PROFILES", "").split(","))),
    )


def _files(request: Request, variables: Mapping[str, str], working_dir: str) -> tuple[str, ...]:
    """Absolute paths of the files.

    Raises:
        NotFound: one is not there, or none is found.
    """
    given: Iterable[str] = request.files
    if not given and variables.get("COMPOSE_FILE"):
        separator = variables.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        given = variables["COMPOSE_FILE"].split(separator)
    found = [os.path.normpath(os.path.join(working_dir, path)) for path in given]
    for path in found:
        if not os.path.exists(path):
            raise NotFound(f"compose file {path} not found")
    return tuple(found) or _found(Path(working_dir))


def _found(working_dir: Path) -> tuple[str, ...]:
    """Find a compose file in a folder or above it, and the one that overrides it."""
    for folder in (working_dir, *working_dir.parents):
        for name in FILES:
            if (folder / name).is_file():
                over = [folder / each for each in OVERRIDES if (folder / each).is_file()]
                return (str(folder / name), *map(str, over[:1]))
    raise NoFile(f"no compose file in {working_dir} or above it", f"name one by -f, or {FILES[0]}")


def _variables(request: Request, folder: str) -> dict[str, str]:
    """Variables of the caller over those of .env."""
    found: dict[str, str] = {}
    usual = os.path.join(folder, ".env")
    if not request.env_files and os.path.isfile(usual):
        found.update(dotenv.read(usual, request.environment))
    for given in request.env_files:
        path = os.path.join(request.working_dir, given)
        found.update(dotenv.read(path, request.environment, text_file.any_kind))
    return {**found, **request.environment}


# -- the project's name ---------------------------------------------------------------

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def project_name(given: str) -> str:
    """Check a project's name.

    Raises:
        Invalid: with Docker's words.
    """
    if not NAME.fullmatch(given):
        raise Invalid(
            f"invalid project name {given!r}: must consist only of lowercase alphanumeric "
            "characters, hyphens, and underscores as well as start with a letter or number"
        )
    return given


def _name_of(folder: str) -> str:
    """Name of a project after its folder."""
    plain = re.sub(r"[^a-z0-9_-]", "", os.path.basename(os.path.abspath(folder)).lower())
    return plain.lstrip("_-")


def name_of(documents: Iterable[Node], sources: Sources) -> str:
    """Return a project's name: the caller's, else the last file's, else the folder's.

    Raises:
        Invalid: it is none.
    """
    if sources.name:
        return project_name(sources.name)
    names = [each.mapping["name"] for each in documents if "name" in each.mapping]
    if names:
        return project_name(tree(names[-1], sources.variables, lambda name: None).text)
    if not (name := _name_of(sources.folder)):
        raise Invalid("the project has no name", "name it by -p")
    return name
