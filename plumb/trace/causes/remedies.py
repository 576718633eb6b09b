"""Remedies: commands that correct a fault."""

from __future__ import annotations

from plumb.model.observations import Netns, RuleKind
from plumb.things.iptables import FAMILIES, waiting
from plumb.trace.rule_steps import RuleLine


def within(place: Netns, command: str) -> str:
    """Command with the nsenter that runs it in a namespace; unchanged for the host."""
    if not place.ns:
        return command
    return f"nsenter --net={place.ns} {command}"


def ip_tool(version: int) -> str:
    """Name of the ip command of an address family."""
    return "ip -6" if version == 6 else "ip"


def tool(line: RuleLine) -> str:
    """The iptables command that wrote a rule."""
    name = FAMILIES.get(line.family, "iptables") + ("-legacy" if line.backend == "legacy" else "")
    return waiting(name)


def deleting(line: RuleLine) -> str:
    """Command that deletes a rule, or sets a policy to accept."""
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
