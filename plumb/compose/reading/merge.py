"""Merging of compose files, by the rules of the Compose Specification: what -f, `extends` do.

Mappings are merged key by key, lists are joined, a scalar of the later file counts. Lists of
NAME=value count as mappings. `command`, `entrypoint` and a health check's `test` are replaced as a
whole, and so is logging of another driver; subnets of a network are the same where `subnet` is.
`!override` replaces anything as a whole, `!reset` takes it away.
"""

from __future__ import annotations

from collections.abc import Callable

from plumb.compose.reading.document import OVERRIDE, RESET, Node
from plumb.frozen import replace

Path = tuple[str, ...]
Rule = Callable[[Node, Node, Path], Node]


def merged(base: Node, over: Node, path: Path = ()) -> Node:
    """Merge a value of a later file into that of an earlier one.

    Args:
        path: the keys down to the value, as ("services", "web", "ports").

    Raises:
        Invalid: one is a mapping or a list, and the other is not.
    """
    if over.tag in (RESET, OVERRIDE):
        return over
    if over.value is None:
        return base
    base, over = _alike(base, path), _alike(over, path)
    if base.value is None:
        return over
    rule = RULES.get(_pattern(path))
    return rule(base, over, path) if rule else _by_kind(base, over, path)


def without_reset(node: Node) -> Node:
    """Return a merged value without what !reset has taken away."""
    if isinstance(node.value, dict):
        kept = {key: without_reset(each) for key, each in node.value.items() if each.tag != RESET}
        return replace(node, value=kept)
    return node


def _by_kind(base: Node, over: Node, path: Path) -> Node:
    if isinstance(over.value, dict) and isinstance(base.value, dict):
        found = dict(base.value)
        for key, each in over.value.items():
            found[key] = merged(found[key], each, (*path, key)) if key in found else each
        return replace(over, value=found)
    if isinstance(over.value, tuple) and isinstance(base.value, tuple):
        return replace(over, value=(*base.value, *over.value))
    if isinstance(over.value, dict | tuple) or isinstance(base.value, dict | tuple):
        raise over.refused(f"{path[-1]} is of another kind at {base.place}: it cannot be merged")
    return over


def _replaced(base: Node, over: Node, path: Path) -> Node:
    return over


def _logging(base: Node, over: Node, path: Path) -> Node:
    """Merge options of one driver; those of another driver are replaced."""
    names = [each.mapping["driver"].text for each in (base, over) if "driver" in each.mapping]
    return over if len(set(names)) > 1 else _by_kind(base, over, path)


def _subnets(base: Node, over: Node, path: Path) -> Node:
    """Merge ipam.config: entries of one subnet into each other."""
    found = list(base.items)
    for each in over.items:
        at = next((at for at, old in enumerate(found) if _subnet(old) == _subnet(each)), None)
        if at is None:
            found.append(each)
        else:
            found[at] = _by_kind(found[at], each, path)
    return replace(over, value=tuple(found))


def _subnet(entry: Node) -> str:
    subnet = entry.mapping.get("subnet")
    return subnet.text if subnet is not None else ""


ANY = "*"
RULES: dict[Path, Rule] = {
    ("services", ANY, "command"): _replaced,
    ("services", ANY, "entrypoint"): _replaced,
    ("services", ANY, "healthcheck", "test"): _replaced,
    ("services", ANY, "logging"): _logging,
    ("networks", ANY, "ipam", "config"): _subnets,
}
"""Rules by path, the name of a service or a network being ANY."""
MAPPINGS = {
    *(("services", ANY, key) for key in ("environment", "labels", "sysctls", "annotations")),
    ("services", ANY, "build", "args"),
    ("services", ANY, "build", "labels"),
    ("services", ANY, "deploy", "labels"),
    ("networks", ANY, "labels"),
}
"""Paths of mappings that may be lists of NAME=value."""
NAMED = {("services", ANY, "networks"), ("services", ANY, "depends_on")}
"""Paths of mappings that may be lists of names."""
LISTS = {
    ("services", ANY, key)
    for key in ("dns", "dns_search", "env_file", "label_file", "tmpfs", "profiles")
}
"""Paths of lists that may be one text."""


def _pattern(path: Path) -> Path:
    return (path[0], ANY, *path[2:]) if len(path) > 1 else path


def _alike(node: Node, path: Path) -> Node:
    """Return a value in the longer of its two forms."""
    pattern = _pattern(path)
    if pattern in MAPPINGS and isinstance(node.value, tuple):
        return replace(node, value=dict(_pair(item) for item in node.items))
    if pattern in NAMED and isinstance(node.value, tuple):
        return replace(node, value={item.text: replace(item, value=None) for item in node.items})
    if pattern in LISTS and isinstance(node.value, str):
        return replace(node, value=(replace(node, tag=""),))
    if pattern == ("services", ANY, "extra_hosts") and isinstance(node.value, dict):
        return replace(node, value=_hosts(node))
    return node


def _pair(item: Node) -> tuple[str, Node]:
    name, equals, value = item.text.partition("=")
    return name, replace(item, value=value if equals else None)


def _hosts(node: Node) -> tuple[Node, ...]:
    """Return extra_hosts, a mapping of names to an address or several, as a list."""
    return tuple(
        replace(ip, value=f"{name}={ip.text}", place=each.place)
        for name, each in node.mapping.items()
        for ip in (each.items if isinstance(each.value, tuple) else (each,))
    )
