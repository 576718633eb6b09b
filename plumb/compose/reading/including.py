"""Inclusion of files: `include`, each a model of its own whose services and networks are taken."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from plumb.compose.reading import no_effect, promises
from plumb.compose.reading.document import Node
from plumb.compose.reading.extending import moved
from plumb.compose.reading.fields import Remarks, nodes, read, text, texts
from plumb.compose.reading.merge import merged
from plumb.frozen import frozen, replace

TOP = {
    "name": text,
    "services": lambda node: node,
    "networks": lambda node: node,
    "x-plumb": promises.expected,
}
"""Keys of a whole file."""
TAKEN = ("services", "networks")
"""What of an included file must not differ from what is there; its promises are added to others,
its name is not taken."""


@frozen
class Inclusion:
    """An item of `include`.

    Attributes:
        files: absolute paths, merged in their order.
        folder: what paths in them are relative to.
        env_files: files with variables of theirs.
        node: its place in the file that includes them.
    """

    files: tuple[str, ...]
    folder: str
    env_files: tuple[str, ...]
    node: Node


def included(document: Node, folder: str, model: Callable[[Inclusion], Node]) -> Node:
    """Return a document with what the files that it includes have.

    Args:
        folder: the project's, which their paths are relative to.
        model: merges the files of an inclusion.

    Raises:
        Invalid: what is included is there already, and differs.
    """
    wanted = document.mapping.get("include")
    if wanted is None:
        return document
    whole = replace(
        document, value={key: each for key, each in document.mapping.items() if key != "include"}
    )
    for item in nodes(wanted) if wanted.value is not None else ():
        inclusion = _inclusion(item, folder)
        whole = _taken(whole, model(inclusion), inclusion)
    return whole


def _inclusion(node: Node, folder: str) -> Inclusion:
    """Read an item: a path, or a mapping with path, project_directory and env_file."""
    if isinstance(node.value, dict):
        found = read(node, {"path": texts, "project_directory": text, "env_file": texts}, {}, [])
    else:
        found = {"path": (node.text,)}
    files = tuple(_joined(folder, path) for path in found.get("path", ()) if path)
    if not files:
        raise node.refused("include names no path")
    own = found.get("project_directory", "")
    there = _joined(folder, own) if own else os.path.dirname(files[0])
    usual = os.path.join(there, ".env")
    own_env = found.get("env_file", (usual,) if os.path.isfile(usual) else ())
    named = tuple(_joined(folder, path) for path in own_env)
    return Inclusion(files, there, tuple(each for each in named if each != os.devnull), node)


def _joined(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))


def _taken(document: Node, model: Node, inclusion: Inclusion) -> Node:
    made = dict(document.mapping)
    for kind in TAKEN:
        if kind not in model.mapping:
            continue
        have = made.get(kind, replace(model.mapping[kind], value={}))
        both = dict(have.mapping)
        for key, each in model.mapping[kind].mapping.items():
            new = moved(each, inclusion.folder) if kind == "services" else each
            if key in both and _plain(both[key]) != _plain(new):
                raise inclusion.node.refused(
                    f"{kind}.{key} conflicts with imported resource",
                    "a file that overrides it is named by -f",
                )
            both[key] = new
        made[kind] = replace(have, value=both)
    if "x-plumb" in model.mapping:
        ours = model.mapping["x-plumb"]
        made["x-plumb"] = merged(made["x-plumb"], ours, ("x-plumb",)) if "x-plumb" in made else ours
    return replace(document, value=made)


def resolved(model: Node, variables: Mapping[str, str], remarks: Remarks) -> Node:
    """Return the model of an inclusion in which variables without a value have that of its own.

    Args:
        variables: the caller's, and those of the inclusion's files.
        remarks: takes a line for each key that is without effect.

    Raises:
        Invalid: a key is unknown, or a promise is none.
    """
    read(model, TOP, no_effect.TOP, remarks)
    services = model.mapping.get("services")
    if services is None or services.value is None:
        return model
    made = {key: _with_values(each, variables) for key, each in services.mapping.items()}
    return replace(model, value={**model.mapping, "services": replace(services, value=made)})


def _with_values(service: Node, variables: Mapping[str, str]) -> Node:
    wanted = service.mapping.get("environment")
    if wanted is None or wanted.value is None:
        return service
    if isinstance(wanted.value, tuple):
        found: Mapping[str, Node] | tuple[Node, ...] = tuple(
            replace(each, value=f"{each.text}={variables[each.text]}")
            if each.text in variables
            else each
            for each in wanted.items
        )
    else:
        found = {
            name: replace(each, value=variables[name])
            if each.value is None and name in variables
            else each
            for name, each in wanted.mapping.items()
        }
    return replace(service, value={**service.mapping, "environment": replace(wanted, value=found)})


def _plain(node: Node) -> object:
    """A value without the places of its parts."""
    if isinstance(node.value, dict):
        return {key: _plain(each) for key, each in node.value.items()}
    if isinstance(node.value, tuple):
        return [_plain(each) for each in node.value]
    return node.value
