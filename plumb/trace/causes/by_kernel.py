"""Causes that the kernel reports itself: a full neighbour table, a drop reason."""

from __future__ import annotations

from plumb.model.observations import Netns
from plumb.trace.causes import by_neighbour
from plumb.trace.causes.case import Case, Cause
from plumb.trace.causes.remedies import within
from plumb.trace.path import Ending

BY_RULES = "NETFILTER_DROP"
"""The kernel's reason for what a rule of a firewall drops."""


def neighbour_table_full(case: Case) -> Cause | None:
    """Find a next hop for which the kernel had no room in its neighbour table.

    The table is one for all namespaces, and its limit is a sysctl of the first one. The kernel
    counts the entries that it could not make; it sends no ARP request for such a next hop.
    """
    table, hop = case.neighbour_table, by_neighbour.next_hop(case)
    if table is None or not table.fulls or not case.gone or not hop.dev:
        return None
    if by_neighbour.neighbour(hop) is not None:
        return None
    limit = f"net.ipv{hop.ip.version}.neigh.default.gc_thresh3"
    return Cause(
        "neighbour-table-full",
        "the kernel's neighbour table, one for all namespaces of this machine, is full:"
        f" it has no room for {hop.ip}, and sends neither a question for its MAC address"
        " nor the packet",
        (
            (f"{table.file}: table_fulls rose by {table.fulls}, {table.entries} entries"),
            f"{hop.facts.place.name}: ip neigh: no entry for {hop.ip} dev {hop.dev}",
            *((f"{limit} = {table.limit} in the first namespace",) if table.limit else ()),
        ),
        (
            f"nsenter --target 1 --net sysctl -w {limit}={4 * (table.limit or 1024)}",
            "fewer hosts that ask each other at the same time",
        ),
    )


def drop_reason(case: Case) -> Cause | None:
    """Cause from the kernel's own drop reason, for want of another explanation."""
    end = case.end
    place = end.place.name if end.place else "the kernel"
    observed = (f"{end.error} in {end.function or '?'}()",)
    if end.ending is Ending.BEYOND:
        return Cause(
            "dropped-beyond",
            f"it was dropped beyond {place}'s {end.dev}, where this trace did not watch,"
            f" for the kernel's reason {end.error}",
            observed,
            ("trace again with --also NAMESPACE, the one at the other end",),
        )
    if end.ending is not Ending.DROPPED or not end.error:
        return None
    if end.error == BY_RULES and end.place is not None and end.inbound and end.dev:
        return _before_rules(case, end.place, observed)
    return Cause("kernel", f"{place} dropped it for the kernel's reason {end.error}", observed)


def _before_rules(case: Case, place: Netns, observed: tuple[str, ...]) -> Cause | None:
    """Cause for a drop by a rule where the packet came in, of which no rule was seen.

    The rules of netdev, at the hook ingress of a link, are asked before those that a trace sees.
    """
    dev = case.end.dev
    link = case.of(place).link(dev)
    families = ("netdev", "bridge") if link is not None and link.port is not None else ("netdev",)
    return Cause(
        "ingress-drop",
        f"{place.name} dropped it by a rule as it came in by {dev}, before the rules that this"
        f" trace sees: one of nft's family {' or '.join(families)}",
        observed,
        tuple(within(place, f"nft -a list ruleset {each}") for each in families),
        sure=False,
    )
