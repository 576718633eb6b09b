"""Variables and labels of a service: its own, and those of the files that it names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from plumb.compose.reading import dotenv
from plumb.compose.reading.document import Node
from plumb.compose.reading.fields import flag, nodes, read, text
from plumb.errors import Invalid, NotFound
from plumb.frozen import frozen
from plumb.model.cnm import Pairs


@frozen
class EnvFile:
    """File of variables.

    Attributes:
        path: relative to the project's folder, or absolute.
        required: it is an error if it is not there.
        raw: its values are taken as they stand.
        node: its place in the compose file.
    """

    path: str
    node: Node
    required: bool = True
    raw: bool = False


def env_files(node: Node) -> tuple[EnvFile, ...]:
    """Read env_file: a path, or a list of paths and of mappings with path, required, format."""
    return tuple(_env_file(each) for each in nodes(node))


def _env_file(node: Node) -> EnvFile:
    if not isinstance(node.value, dict):
        return EnvFile(node.text, node)
    found = read(node, {"path": text, "required": flag, "format": text}, {}, [])
    if not found.get("path"):
        raise node.refused("an env_file has no path")
    form = found.pop("format", "")
    if form not in ("", "raw"):
        raise node.mapping["format"].refused(f"format {form!r} is none", "the only one is raw")
    return EnvFile(found.pop("path"), node, raw=form == "raw", **found)


def of_service(
    files: Iterable[EnvFile],
    own: Sequence[tuple[str, str | None]],
    folder: str,
    variables: Mapping[str, str],
) -> tuple[str, ...]:
    """Variables of a service as NAME=value words; its own have the last word.

    Args:
        own: its own; None: the caller's, if there is one of that name.
        folder: the project's.
        variables: those of the caller and of .env.

    Raises:
        NotFound: a file is not there.
        Invalid: a line of it is no variable.
    """
    found: dict[str, str] = {}
    given_here = {name: value for name, value in own if value is not None}
    for file in files:
        # as in Docker, a file may use what the service and the files before it set
        found.update(_of_file(file, folder, {**found, **given_here, **variables}))
    for name, value in own:
        given = variables.get(name) if value is None else value
        if given is None:
            found.pop(name, None)
        else:
            found[name] = given
    return tuple(f"{name}={value}" for name, value in found.items())


def _of_file(file: EnvFile, folder: str, variables: Mapping[str, str]) -> dict[str, str]:
    path = os.path.join(folder, file.path)
    try:
        if file.raw:
            return dotenv.raw(dotenv.contents(path))
        return dotenv.read(path, variables)
    except NotFound as error:
        if file.required:
            raise file.node.refused(str(error)) from None
        return {}


def labels(files: Sequence[str], own: Pairs, folder: str) -> Pairs:
    """Labels of files, then those of the service itself, which have the last word.

    Raises:
        NotFound, Invalid: a file is not there, or cannot be read.
    """
    found: dict[str, str] = {}
    for path in files:
        found.update(dotenv.read(os.path.join(folder, path), {}))
    for name, _ in own:
        if name.startswith("com.docker.compose"):
            raise Invalid(f"label {name} is the project's own")
    return tuple({**found, **dict(own)}.items())
