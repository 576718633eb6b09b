"""Claim of a root: it is taken before the first change, and released when all is taken away."""

from __future__ import annotations

import os

from plumb.errors import Conflict
from plumb.frozen import replace
from plumb.kernel.netns.claim import Claim
from plumb.kernel.system import System
from plumb.model.cnm import Network
from plumb.model.paths import Layout
from plumb.store import CLAIM, Store
from plumb.things import Thing
from plumb.things.iptables import Family, Policy
from plumb.things.layer3 import Sysctl

STANDING: dict[str, Thing] = {
    "f": Sysctl("net/ipv4/ip_forward", "0"),
    "g": Sysctl("net/ipv6/conf/all/forwarding", "0"),
    "h": Sysctl("net/ipv6/conf/default/forwarding", "0"),
    "b": Sysctl("net/bridge/bridge-nf-call-iptables", "0"),
    "c": Sysctl("net/bridge/bridge-nf-call-ip6tables", "0"),
    "p": Policy(Family.V4, "filter", "FORWARD", "ACCEPT"),
    "q": Policy(Family.V6, "filter", "FORWARD", "ACCEPT"),
}
"""Settings that plumb changes, as on a fresh host; `Claim.was` has their letters."""


def standing(was: str) -> list[Thing]:
    """List the settings that a claim names, as they were."""
    return [STANDING[letter] for letter in was if letter in STANDING]


def note(store: Store, layout: Layout, system: System, known: Claim) -> None:
    """Write into the claim which of the host's settings were at their defaults before plumb.

    Args:
        known: the claim as `take` has found it, in the same turn. Another look would wait for the
            lock with which the kernel takes down the namespaces that have just gone.
    """
    previous = store.previous_of([thing.key for thing in STANDING.values()])
    was = "".join(letter for letter, thing in STANDING.items() if previous.get(thing.key) == thing)
    own = of(store, layout)
    if own is not None and known.was != was:
        system.claim(replace(own, was=was))


def of(store: Store, layout: Layout) -> Claim | None:
    """Return the claim that a root has written into its record."""
    token = store.meta(CLAIM)
    return Claim(layout.root, token) if token else None


def is_own(found: Claim, store: Store) -> bool:
    """Tell whether a claim on the namespace is the one in this record."""
    return found.token == store.meta(CLAIM)


def is_anothers(store: Store, system: System) -> bool:
    """Tell whether another root has the network namespace."""
    found = system.claimed()
    return found is not None and not is_own(found, store)


def require(store: Store, layout: Layout, system: System) -> None:
    """Refuse to go on where another root has the network namespace.

    Raises:
        Conflict: another has it; the message names it.
    """
    found = system.claimed()
    if found is not None and not is_own(found, store):
        raise refusal(found, layout)


def take(store: Store, layout: Layout, system: System) -> Claim:
    """Claim the network namespace for this root.

    The token is on record before the kernel has it: a root that is killed in between finds its own
    claim, or none.

    Returns:
        The claim that the namespace has now.

    Raises:
        Conflict: another root has it; the message names it.
    """
    found = system.claimed()
    if found is not None:
        if not is_own(found, store):
            raise refusal(found, layout)
        return found
    own = of(store, layout)
    if own is None:
        _refuse_marked(store, system)
        own = Claim(layout.root, os.urandom(4).hex())
        store.remark(CLAIM, own.token)
    found = system.claim(own)
    if found.token != own.token:
        raise refusal(found, layout)
    return found


def _refuse_marked(store: Store, system: System) -> None:
    """Refuse to begin a root where links are left of one that was lost, as if they were the host's.

    Raises:
        Conflict: there are such links.
    """
    left = () if store.all(Network) else system.marked()
    if left:
        raise Conflict(
            f"the link {left[0]} is there already, and no record of this root has it: a root that "
            "was lost has left it",
            "'plumb check' shows all that is left, 'plumb reset --force' removes it",
        )


def release(store: Store, layout: Layout, system: System) -> None:
    """Give the network namespace back."""
    own = of(store, layout)
    if own is not None:
        system.release(own)


def refusal(found: Claim, layout: Layout) -> Conflict:
    """Build the error for a root that meets another root's claim."""
    if found.root == layout.root:
        return Conflict(
            f"this network namespace has networks of {layout.root} whose record is not there: it "
            "was lost, or is in another mount namespace",
            "'plumb check' shows them, 'plumb reset --force' removes them",
        )
    if os.path.exists(Layout(found.root).database):
        return Conflict(
            f"the root {found.root} is in use in this network namespace, which takes one root",
            f"use that one (PLUMB_ROOT={found.root}), reset it, or give this root a network "
            "namespace of its own (unshare --net)",
        )
    return Conflict(
        f"the root {found.root} is in use in this network namespace, and its record is lost or in "
        "another mount namespace",
        f"'PLUMB_ROOT={found.root} plumb reset --force' removes what it has built",
    )
