"""Known rules: reasons of Docker's, Podman's and CNI's rules, and owners of others, by pattern."""

from __future__ import annotations

import re

from plumb.explain import netavark_rules
from plumb.explain.docker_rules import INSIDE, TABLE, Pattern
from plumb.explain.known_objects import CNI, PODMAN, owner

OTHERS = {PODMAN: netavark_rules.NETAVARK, CNI: netavark_rules.CNI}
"""Patterns of rules of other engines than Docker, which a reason names."""
SOMEBODYS = "somebody else's rule: neither plumb's nor one of Docker's"


def known(table: str, chain: str, words: str, inside: bool = False) -> str:
    """Reason for a rule, in a sentence; the rule's owner, for a rule of unknown purpose.

    Args:
        table, chain, words: its place and its text.
        inside: it is in a container's namespace, or in one of an engine's own.
    """
    patterns: tuple[Pattern, ...] = (*TABLE, *INSIDE) if inside else TABLE
    for pattern in patterns:
        if all(map(re.fullmatch, pattern[:3], (table, chain, words))):
            return pattern.why
    target = re.search(r"(?:-[jg]|jump|goto) (\S+)", words)
    for name, others in OTHERS.items():
        for pattern in others:
            if all(map(re.fullmatch, pattern[:3], (table, chain, words))):
                return f"{name}: {pattern.why}"
    whose = owner("chain", chain) or owner("chain", target[1] if target else "")
    whose = whose or owner("table", table) or owner("comment", words)
    return f"{whose}'s rule" if whose else SOMEBODYS
