"""Inclusion of files: `include`, each a model of its own whose services and networks are taken."""

from __future__ import annotations

import os
from collections.abc import Callable

from plumb.compose.reading.document import Node
from plumb.compose.reading.extending import moved
from plumb.compose.reading.fields import nodes, read, text, texts
from plumb.frozen import frozen, replace

TAKEN = ("services", "networks")
"""What is taken of an included file; its name, and what plumb has no use for, are not."""


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
    for item in nodes(wanted):
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
    named = tuple(_joined(folder, path) for path in found.get("env_file", ()))
    usual = os.path.join(there, ".env")
    return Inclusion(files, there, named or ((usual,) if os.path.isfile(usual) else ()), node)


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
    return replace(document, value=made)


def _plain(node: Node) -> object:
    """A value without the places of its parts."""
    if isinstance(node.value, dict):
        return {key: _plain(each) for key, each in node.value.items()}
    if isinstance(node.value, tuple):
        return [_plain(each) for each in node.value]
    return node.value
