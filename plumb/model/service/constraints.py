"""Constraints of a service's placement, as "node.hostname==h1": parsed, and asked of a node."""

from __future__ import annotations

import re
from collections.abc import Iterable

from plumb.errors import Invalid
from plumb.frozen import frozen
from plumb.model.cluster import Node

FORM = re.compile(r"\s*([A-Za-z0-9_.\-]+)\s*(==|!=)\s*([^\s].*?)\s*")
LABELS = "node.labels."
ENGINE = "engine.labels."
KNOWN = ("node.id", "node.hostname", "node.ip", "node.role", "node.platform.os")


@frozen
class Constraint:
    """A condition that a node must meet.

    Attributes:
        key: what is looked at; value: what it is compared with, without regard to case.
        equal: True for ==, False for !=.
    """

    key: str
    equal: bool
    value: str

    def met_by(self, node: Node) -> bool:
        """Tell whether a node meets it."""
        return (self._of(node).lower() == self.value.lower()) is self.equal

    def _of(self, node: Node) -> str:
        if self.key.startswith(LABELS):
            return dict(node.labels).get(self.key.removeprefix(LABELS), "")
        values = {
            "node.id": node.id,
            "node.hostname": node.hostname,
            "node.ip": str(node.address),
            "node.role": node.role.value,
            "node.platform.os": "linux",
        }
        return values.get(self.key, "")


def parsed(texts: Iterable[str]) -> tuple[Constraint, ...]:
    """Parse constraints.

    Raises:
        Invalid: one is none.
    """
    return tuple(_parsed(text) for text in texts)


def _parsed(text: str) -> Constraint:
    found = FORM.fullmatch(text)
    if found is None:
        raise Invalid(
            f"invalid constraint '{text}': constraint expected one operator from '==, !='",
            "as in node.hostname==h1",
        )
    key = found[1] if found[1].startswith((LABELS, ENGINE)) else found[1].lower()
    if key not in KNOWN and not key.startswith((LABELS, ENGINE)):
        raise Invalid(f"invalid constraint '{text}'", f"there are {', '.join(KNOWN)}, {LABELS}…")
    return Constraint(key, found[2] == "==", found[3])
