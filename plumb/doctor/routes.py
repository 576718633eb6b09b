"""Routing of a snapshot: the route that the host would take to an address."""

from __future__ import annotations

from plumb.address import IPAddress
from plumb.model.diagnosis.snapshot import NamespaceState, PolicyRule, RouteState

RT_TABLE_LOCAL = 255
ANYWHERE = {4: 8, 6: 7}
"""Prefixes shorter than these lead to everywhere, by IP version: a VPN takes a default route in two
halves (0.0.0.0/1, 128.0.0.0/1). No private network is larger (RFC 1918, RFC 4193)."""


def to(space: NamespaceState, ip: IPAddress) -> RouteState | None:
    """The route to an address for packets without a mark, whatever their source.

    Rules with a condition on the source, a link or a mark are left out: they hold for some packets.

    Returns:
        The route, of type "blackhole" or the like as well; None where there is none.
    """
    rules = [rule for rule in space.rules if rule.version == ip.version]
    for rule in rules or [PolicyRule(32766, ip.version, 254)]:
        if rule.table and rule.table != RT_TABLE_LOCAL and _is_for(rule, ip):
            found = _best(space, rule.table, ip)
            counts = found is not None and found.dst.prefixlen > rule.suppress
            if found is not None and counts and found.type != "throw":
                return found
    return None


def to_everywhere(route: RouteState) -> bool:
    """True for a default route, or for a part of one."""
    return route.dst.prefixlen < ANYWHERE[route.dst.version]


def _is_for(rule: PolicyRule, ip: IPAddress) -> bool:
    if rule.narrow or rule.src is not None or rule.iif or rule.oif:
        return rule.inverted  # "not fwmark …": all packets but the VPN's own
    return rule.inverted != (rule.dst is None or ip in rule.dst)


def _best(space: NamespaceState, table: int, ip: IPAddress) -> RouteState | None:
    fitting = [route for route in space.table(table, ip.version) if ip in route.dst]
    return max(fitting, key=lambda route: (route.dst.prefixlen, -route.metric), default=None)
