"""Reset of a root whose network namespace another root has: what is the other's stays.

Such a root was in use before the other one, and its namespace was emptied meanwhile (a reboot), or
it is of a plumb that made no claims. Its namespaces, files and processes are its own, and so are
the rules and addresses of a network whose link is there as this root made it. The chains, the
host's sysctls and policies, and all of a network whose link is not there, are the other root's.
"""

from __future__ import annotations

from plumb.engine.desired_state import HOST_OWNER, endpoint_owner, network_owner
from plumb.engine.repair import clear, look
from plumb.errors import PlumbError
from plumb.model.cnm import Network
from plumb.model.paths import Layout
from plumb.plan import Kernel, Step, plan, take_all
from plumb.store import Store
from plumb.things import HOST, Key, Stage, Thing
from plumb.things.links import InPlace

OF_ROOT = (Stage.NAMESPACE, Stage.PORT, Stage.SERVICE, Stage.RECORD, Stage.PROCESS)
"""Stages of what lies under a root's folder, or is in its agent."""


def steps(store: Store, kernel: Kernel) -> list[Step]:
    """List the steps that take away what only this root has made."""
    return plan(look(kernel, _own(store, kernel)).values(), [])


def reset(store: Store, kernel: Kernel, layout: Layout) -> list[PlumbError]:
    """Take away what only this root has made, as far as it can be; return the errors."""
    made = store.meta("root") == "made"
    errors = take_all(steps(store, kernel), kernel)
    if not errors:
        store.close()
        clear(layout, made)
    return errors


def _own(store: Store, kernel: Kernel) -> list[Thing]:
    begun = [thing for entry in store.unfinished() for thing in (*entry.before, *entry.after)]
    known = {thing.key: thing for thing in (*begun, *store.things())}
    networks = _keys_of_networks(store, kernel)
    return [
        thing
        for key, thing in known.items()
        if thing.where != HOST or thing.stage in OF_ROOT or key in networks
    ]


def _keys_of_networks(store: Store, kernel: Kernel) -> set[Key]:
    """Keys of what the networks have whose links are there as this root made them."""
    found: set[Key] = set()
    for net in store.all(Network):
        things = store.things(network_owner(net))
        if look(kernel, [thing for thing in things if isinstance(thing, InPlace)]):
            ends = store.endpoints(network=net.id)
            owners = [network_owner(net), *map(endpoint_owner, ends)]
            found |= {thing.key for owner in owners for thing in store.things(owner)}
    shared = {thing.key for thing in store.things(HOST_OWNER)}
    return {key for key in found - shared if not _is_permanent(key, store)}


def _is_permanent(key: Key, store: Store) -> bool:
    """Tell whether a thing is a sysctl or policy of the host, and not of a link."""
    thing = store.thing(key)
    return thing is not None and thing.permanent and not thing.uses
