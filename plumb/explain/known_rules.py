"""Known rules: reasons of a real Docker's rules, and owners of other rules, by pattern."""

from __future__ import annotations

import re

from plumb.explain.docker_rules import INSIDE, TABLE, Pattern
from plumb.explain.known_objects import owner

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
    whose = owner("chain", chain) or owner("chain", target[1] if target else "")
    whose = whose or owner("table", table) or owner("comment", words)
    return f"{whose}'s rule" if whose else SOMEBODYS
