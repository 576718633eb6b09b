"""Lost root: its record is gone or cannot be read, and what it built is still there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from plumb.engine.reader import Reader
from plumb.engine.repair import Drift, clear
from plumb.engine.roots import claim
from plumb.errors import Broken, PlumbError
from plumb.kernel.netns.claim import Claim
from plumb.kernel.system import System
from plumb.model.paths import Layout
from plumb.plan import Kernel, Step, plan, take_all
from plumb.store import Store
from plumb.store.salvage import Salvaged, salvaged
from plumb.things import Key, Thing

COPY = ".damaged"
"""End of the name of a damaged record's copy."""


def found(layout: Layout, system: System) -> list[Thing]:
    """List what is there without a record, if it is for this root to remove.

    It is another root's where that one has claimed the namespace.
    """
    holder = system.claimed()
    if holder is not None and not _is_same(holder, layout):
        return []
    return [*system.leavings(layout)]


def readable(host: Reader, system: System) -> bool:
    """Tell whether there is a record, and all of it can be read."""
    try:
        for read in (host.store.things, host.store.unfinished):
            read()
        return not is_lost(host.layout, host.store, system)
    except Broken:
        return False


def check(layout: Layout, system: System) -> list[Drift]:
    """Report what is there without a record."""
    return [Drift(thing, "left behind") for thing in found(layout, system)]


def steps(layout: Layout, system: System) -> list[Step]:
    """List the steps that remove it, and give the host back what a readable record says."""
    rest = salvaged(layout.database)
    known: dict[Key, Thing] = {thing.key: thing for thing in rest.things}
    known.update((thing.key, thing) for thing in found(layout, system))
    return plan(known.values(), [*_before(rest, system)])


def reset(layout: Layout, kernel: Kernel, system: System) -> list[PlumbError]:
    """Remove what is there without a record; a record that cannot be read is kept as a copy.

    Returns:
        The errors of what could not be removed.
    """
    errors = take_all(steps(layout, system), kernel)
    # What stood in the way of something else may be gone by now.
    errors = take_all(plan(found(layout, system), []), kernel) if errors else []
    if errors:
        return errors
    keep(layout)
    clear(layout, made=not os.path.exists(layout.database + COPY))
    holder = system.claimed()
    if holder is not None and _is_same(holder, layout):
        system.release(holder)
    return []


def keep(layout: Layout) -> str:
    """Keep a copy of a damaged record; its path, empty where there is no record."""
    if not os.path.exists(layout.database):
        return ""
    import shutil  # 4 ms that only a damaged record costs

    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(layout.database + suffix, layout.database + COPY + suffix)
            os.chmod(layout.database + COPY + suffix, 0o600)
    return layout.database + COPY


def _is_same(holder: Claim, layout: Layout) -> bool:
    """Tell whether a claim is of this root's path, the whole of it or its beginning."""
    return layout.root == holder.root or (
        len(holder.root) > 100 and layout.root.startswith(holder.root)
    )


def _before(rest: Salvaged, system: System) -> Sequence[Thing]:
    """List what the host's sysctls and policies were: from the record, or from the claim."""
    holder = system.claimed()
    by_claim = claim.standing(holder.was) if holder is not None else []
    return [*{thing.key: thing for thing in (*by_claim, *rest.previous)}.values()]


def is_lost(layout: Layout, store: Store, system: System) -> bool:
    """Tell whether a root's record is not there though the namespace is claimed for it."""
    holder = system.claimed()
    return (
        holder is not None and _is_same(holder, layout) and not claim.is_own(holder, store)
    ) or not os.path.exists(layout.database)
