"""Rules of iptables' tables nat, in which other programs have their published ports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from plumb.kernel.netfilter import iptables_save
from plumb.kernel.netfilter.foreign_chains import tables
from plumb.things.iptables import FAMILIES


def listed() -> Iterator[tuple[str, str, str]]:
    """List the rules of both variants in the calling thread's namespace.

    Only tables that are there already are asked for: a question for another could make it.

    Returns:
        of each rule the family, "ip" or "ip6", its chain, and its words as iptables-save prints
        them.

    Raises:
        KernelRefused: there are more than plumb reads.
    """
    for family, command in _commands():
        for chain, (_, specs) in iptables_save.saved(command, "nat").get("nat", {}).items():
            for spec in specs:
                yield family, chain, spec


def _commands() -> Iterator[tuple[str, str]]:
    known: dict[tuple[str, str], bool] = {}
    with suppress(OSError):  # a kernel without nf_tables
        known = tables()
    for family, tool in FAMILIES.items():
        if (family, "nat") in known:
            yield family, f"{tool}-nft-save"
        with suppress(OSError):  # a kernel without the legacy tables
            if "nat" in Path(f"/proc/thread-self/net/{family}_tables_names").read_text().split():
                yield family, f"{tool}-legacy-save"
