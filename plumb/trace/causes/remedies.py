"""Commands: what one types to mend something."""

from __future__ import annotations

from plumb.model.observations import Netns, RuleKind
from plumb.things.iptables import FAMILIES
from plumb.trace.rule_steps import RuleLine


def within(place: Netns, command: str) -> str:
    """A command as it is typed for a place."""
    if not place.ns:
        return command
    return f"nsenter --net={place.ns} {command}"


def tool(line: RuleLine) -> str:
    """The command that writes a rule of iptables."""
    return FAMILIES.get(line.family, "iptables") + ("-legacy" if line.backend == "legacy" else "")


def deleting(line: RuleLine) -> str:
    """How that rule is taken away, or that policy made to let pass."""
    if line.native:
        where = f"{line.family} {line.table} {line.chain}"
        command = (
            f"nft chain {where} '{{ policy accept; }}'"
            if line.kind is RuleKind.POLICY
            else f"nft delete rule {where} handle {line.handle}"
        )
    elif line.kind is RuleKind.POLICY:
        command = f"{tool(line)} -t {line.table} -P {line.chain} ACCEPT"
    else:
        command = f"{tool(line)} -t {line.table} -D {line.chain} {line.text}"
    return within(line.place, command)
