"""Promises of a compose file: `x-plumb.expect`.

web -> api:8080         it reaches it; without a port by ping, with /udp by UDP
web -/> db:5432         it does not
"""

from __future__ import annotations

import re

from plumb.compose.project import Expectation
from plumb.compose.reading.document import Node
from plumb.compose.reading.fields import nodes, placed, read
from plumb.model.net.targets import ProbeKind, TargetGrammar

GRAMMAR = TargetGrammar("expect", (ProbeKind.ICMP, ProbeKind.TCP, ProbeKind.UDP, ProbeKind.SCTP))
PROMISE = re.compile(r"\s*(\S+)\s+(->|-/>)\s+(\S+)\s*")


def expected(node: Node) -> tuple[Expectation, ...]:
    """Read x-plumb: its promises.

    Raises:
        Invalid: one is none, with file and line.
    """
    readers = {"expect": lambda each: tuple(map(_promise, nodes(each)))}
    found: tuple[Expectation, ...] = read(node, readers, {}, []).get("expect", ())
    return found


def _promise(node: Node) -> Expectation:
    parts = PROMISE.fullmatch(node.text)
    if parts is None:
        raise node.refused(
            f"{node.text!r} is no promise", "it is written 'web -> db:5432' or 'web -/> db:5432'"
        )
    source, arrow, target = parts.groups()
    to = placed(node, GRAMMAR.read, target)
    return Expectation(source, to, arrow == "->", node.text.strip(), node.place)
