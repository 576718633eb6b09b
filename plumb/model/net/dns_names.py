"""DNS names: what a container is called on a network."""

from __future__ import annotations

from collections.abc import Sequence

from plumb.model.cnm import Sandbox


def dns_names(box: Sandbox, aliases: Sequence[str]) -> list[str]:
    """Names of a container on a user-defined network, each once, its own first."""
    names = [box.name, *aliases, box.id[:12], *([box.hostname] if box.owns_hostname else [])]
    return list(dict.fromkeys(names))
