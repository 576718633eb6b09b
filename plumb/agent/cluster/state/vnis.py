"""VXLAN network identifiers: serial, and never given again.

A number that a removed network had may still be in the tables of a node that was away; so the next
network gets the next number, as Docker's do.
"""

from __future__ import annotations

from collections.abc import Iterable

from plumb.errors import Conflict, Exhausted, Invalid
from plumb.model.cluster import FIRST_VNI, LAST_VNI


def allot(
    count: int, given: tuple[int, ...], following: int, used: Iterable[int]
) -> tuple[tuple[int, ...], int]:
    """Choose the numbers of a network's subnets.

    Args:
        count: how many subnets there are.
        given: numbers of the user's choice (`vxlanid_list`) for the first of them.
        following: the number that comes next.
        used: numbers of other networks.

    Returns:
        The numbers, and the one that comes next from now on.

    Raises:
        Conflict: another network has a given one.
        Invalid: a given one is none, or there are more of them than subnets.
        Exhausted: all were given.
    """
    taken = set(used)
    _check(count, given, taken)
    taken.update(given)
    chosen = list(given)
    while len(chosen) < count:
        while following in taken:
            following += 1
        if following > LAST_VNI:
            raise Exhausted(
                "all VXLAN network identifiers were given",
                "name some with --opt com.docker.network.driver.overlay.vxlanid_list=…",
            )
        chosen.append(following)
        following += 1
    return tuple(chosen), following


def _check(count: int, given: tuple[int, ...], taken: set[int]) -> None:
    if len(given) > count:
        raise Invalid(f"vxlanid_list has {len(given)} numbers for {count} subnets")
    if len(set(given)) < len(given):
        raise Invalid("vxlanid_list has a number twice", "each subnet is a segment of its own")
    for vni in given:
        if not FIRST_VNI <= vni <= LAST_VNI:
            raise Invalid(f"invalid vxlan id {vni}: it must be between {FIRST_VNI} and {LAST_VNI}")
        if vni in taken:
            raise Conflict(
                f"could not assign vxlan id {vni}: another network has it",
                "'plumb network inspect' shows by which one; leave vxlanid_list out for a free one",
            )
