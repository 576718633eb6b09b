"""Extension of services: `extends`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from plumb.compose.reading.document import Node
from plumb.compose.reading.fields import nodes, read, text
from plumb.compose.reading.merge import merged
from plumb.errors import Invalid
from plumb.frozen import replace

Documents = Callable[[str], Iterable[Node]]
"""Reads a file, its variables interpolated."""


def extended(document: Node, documents: Documents, folder: str) -> Node:
    """Return a document whose services have what the ones that they extend have.

    Args:
        folder: what paths of files in it are relative to; in those files it is their own.

    Raises:
        Invalid: there is no such service, or services extend each other in a circle.
        NotFound: there is no such file.
    """
    services = document.mapping.get("services")
    if services is None:
        return document
    made = {key: _service(key, services.mapping, documents, folder, ()) for key in services.mapping}
    return replace(document, value={**document.mapping, "services": replace(services, value=made)})


def _service(
    key: str,
    services: Mapping[str, Node],
    documents: Documents,
    folder: str,
    above: tuple[str, ...],
) -> Node:
    node = services[key]
    wanted = node.mapping.get("extends")
    if wanted is None:
        return node
    name, path = _wanted(wanted, folder)
    if f"{path}:{name}" in above:
        raise wanted.refused(f"services extend each other in a circle: {name}")
    there = _services(path, documents) if path else services
    if name not in there:
        raise wanted.refused(f"there is no service {name} to extend" + f" in {path}" * bool(path))
    around = os.path.dirname(path) if path else folder
    base = _service(name, there, documents, around, (*above, f"{path}:{name}"))
    if path:
        base = moved(base, around)
    own = {key: each for key, each in node.mapping.items() if key != "extends"}
    return merged(base, replace(node, value=own), ("services", key))


def _wanted(node: Node, folder: str) -> tuple[str, str]:
    """Name of the service to extend, and the file that it is in; empty for the same one."""
    if not isinstance(node.value, Mapping):
        return node.text, ""
    found = read(node, {"service": text, "file": text}, {}, [])
    if not found.get("service"):
        raise node.refused("extends names no service")
    path = found.get("file", "")
    return found["service"], os.path.join(folder, path) if path else ""


def _services(path: str, documents: Documents) -> Mapping[str, Node]:
    found = [each.mapping["services"] for each in documents(path) if "services" in each.mapping]
    if not found:
        raise Invalid(f"{path}: there are no services to extend")
    return found[0].mapping


def moved(service: Node, folder: str) -> Node:
    """Return a service of another file, whose paths of files are relative to a folder."""
    own = {
        key: replace(each, value=tuple(_moved_path(path, folder) for path in nodes(each)))
        for key, each in service.mapping.items()
        if key in ("env_file", "label_file") and each.value is not None
    }
    return replace(service, value={**service.mapping, **own})


def _moved_path(node: Node, folder: str) -> Node:
    """Return a path, or a mapping that has one, relative to a folder."""
    if not isinstance(node.value, Mapping):
        return replace(node, value=os.path.abspath(os.path.join(folder, node.text)), tag="")
    own = {
        key: _moved_path(each, folder) if key == "path" else each
        for key, each in node.mapping.items()
    }
    return replace(node, value=own)
