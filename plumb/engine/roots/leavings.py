"""Leavings of a root whose record was lost: no other root may take them for the host's own."""

from __future__ import annotations

from collections.abc import Sequence

from plumb.errors import Conflict
from plumb.plan import Kernel, Step
from plumb.things import HOST
from plumb.things.iptables import Chain
from plumb.things.nftables import NftTable


def refuse(steps: Sequence[Step], kernel: Kernel) -> None:
    """Refuse to build where chains of these names are there which are not on record.

    A root that was lost has left them. Whoever dies over this operation would have them taken back
    as its own, and the sysctls and policies beside them would be recorded as the host's. A root
    that has chains in the table nat has some in filter as well: plumb asks for that table alone.

    Raises:
        Conflict: one is there.
    """
    named = [
        step.after
        for step in steps
        if step.before is None
        and step.after is not None
        and step.after.where == HOST
        and isinstance(step.after, Chain | NftTable)
        and not (
            isinstance(step.after, Chain) and (step.after.users or step.after.table != "filter")
        )
    ]
    there = [thing for thing in kernel.look(named) if thing is not None] if named else []
    if there:
        raise Conflict(
            f"{there[0]} is there already, and no record of this root has it: a root that was lost "
            "has left it",
            "'plumb check' shows all that is left, 'plumb reset --force' removes it",
        )
