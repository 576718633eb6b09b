"""An operation under way: what the intent will be, the steps to it, and its end, good or bad.

It reads the store through its own changes, so that many verbs can be one operation: a thousand
containers are one plan, one line in the journal, and a few sends of netlink messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

from plumb.address import IPAddress, IPNetwork
from plumb.engine.cluster.access import Cluster, NoCluster
from plumb.engine.cluster.reservations import Reservations
from plumb.engine.desired_state import Narrator, owner_of
from plumb.engine.lifecycle.events import Changed, events
from plumb.engine.lookup import ChangedIntent
from plumb.engine.roots import leavings
from plumb.engine.rule_order import OrderedKernel, reordering
from plumb.frozen import replace
from plumb.kernel import agent_client
from plumb.kernel.events import journal
from plumb.kernel.system import System
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.paths import Layout
from plumb.model.port_mapping import clash
from plumb.model.settings import Settings
from plumb.plan import Step, StepFailed, carry_out, made_by, plan, restore, take_all
from plumb.store import Store, T
from plumb.store.change import TABLE_OF, Change, Intent
from plumb.things import Key, Thing
from plumb.things.iptables import InChain
from plumb.things.layer3 import Sysctl
from plumb.things.sandbox import Process

Things = dict[Key, Thing]
Look = Callable[[Sequence[Thing]], Things]
OnSteps = Callable[[Sequence[Step]], None]


class Operation(ChangedIntent):
    """A change to the intent.

    Args:
        store, kernel, settings, layout, system: the record and the machine to change.
        config: the settings file's path.
        on_steps: called with the steps before they are taken.
        cluster: the cluster that this host is a node of.
    """

    def __init__(
        self,
        store: Store,
        kernel: OrderedKernel,
        settings: Settings,
        layout: Layout,
        system: System,
        config: str = "",
        on_steps: OnSteps | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        super().__init__(store)
        self.cluster = cluster or NoCluster()
        self.reservations = Reservations(self.cluster)
        self.kernel, self.settings, self.layout = kernel, settings, layout
        self.system = system
        self.narrator = Narrator(self, settings, layout, config)
        self._on_steps = on_steps
        self._touched: dict[str, None] = {}
        self._addresses: dict[tuple[IPNetwork, IPAddress], str] = {}
        self._released: dict[str, None] = {}
        self._hints: dict[tuple[IPNetwork, str], IPAddress] = {}
        self._ports: dict[tuple[str, int], list[tuple[IPAddress, str]]] = {}
        self._numbers: dict[type, int] = {}
        self._endings: dict[str, tuple[float, int]] = {}
        self.killed: dict[str, int] = {}
        """Signals that commands are sent afterwards, by container."""
        self.remarks: dict[str, str] = {}

    # -- changes to the intent -----------------------------------------------------

    def put(self, value: Intent) -> None:
        """Add or replace one; its things will be narrated anew."""
        self._put[value.id] = value
        self._drop.pop((TABLE_OF[type(value)], value.id), None)
        self.touch(owner_of(value))
        match value:
            case Network() | Sandbox():
                self._names[type(value), value.name] = value.id
            case Endpoint():
                for where in (value.network, value.sandbox):
                    self._ends.setdefault(where, {})[value.id] = None
                for port in value.ports:
                    self._ports.setdefault((port.protocol, port.host_port), []).append(
                        (port.host_ip, value.id)
                    )

    def drop(self, value: Intent) -> None:
        """Remove one, its addresses and its things."""
        self._put.pop(value.id, None)
        self._drop[TABLE_OF[type(value)], value.id] = value
        self.release(value.id)
        self.touch(owner_of(value))

    def touch(self, owner: str) -> None:
        """An owner's things may have changed."""
        self._touched[owner] = None

    def allow(self, box: Sandbox, seconds: float, stop_signal: int) -> None:
        """Set the signal that asks a container's command to end, and the time that it has."""
        self._endings[box.id] = seconds, stop_signal

    def number(self, kind: type[T]) -> int:
        """The next number of a kind, of this operation's new ones too."""
        self._numbers[kind] = (
            self._numbers[kind] + 1 if kind in self._numbers else self.store.number(kind)
        )
        return self._numbers[kind]

    def remark(self, key: str, value: str) -> None:
        """Change a remark about the root."""
        self.remarks[key] = value

    def remarked(self, key: str) -> str:
        """A remark about the root, as it is now."""
        return self.remarks[key] if key in self.remarks else self.store.meta(key)

    @cached_property
    def resolv(self) -> tuple[str, str]:
        """The path of the host's resolv.conf, and its text: one for all containers."""
        return self.system.resolv_path(), self.system.resolv_source()

    # -- host ports ---------------------------------------------------------------

    def publisher(self, protocol: str, ip: IPAddress, port: int) -> str:
        """The endpoint that publishes a host port on an address that overlaps; "" if none does."""
        known = (*self.store.ports(protocol, port), *self._ports.get((protocol, port), ()))
        return next(
            (
                owner
                for where, owner in known
                if clash(where, ip) and self._publishes(owner, protocol, where, port)
            ),
            "",
        )

    def gives_back(self, protocol: str, ip: IPAddress, port: int) -> bool:
        """True if plumb still has a host port bound that this operation releases."""
        return any(
            clash(where, ip) and not self._publishes(owner, protocol, where, port)
            for where, owner in self.store.ports(protocol, port)
        )

    def _publishes(self, endpoint: str, protocol: str, ip: IPAddress, port: int) -> bool:
        end = self.endpoint(endpoint)
        return end is not None and any(
            (own.protocol, own.host_ip, own.host_port) == (protocol, ip, port) for own in end.ports
        )

    # -- addresses ---------------------------------------------------------------

    def taken(self, subnet: IPNetwork, ip: IPAddress) -> bool:
        """True if an owner has this address."""
        owner = self._addresses.get((subnet, ip))
        if owner is not None:
            return True
        return self.store.taken(subnet, ip) and not self._is_released(subnet, ip)

    def _is_released(self, subnet: IPNetwork, ip: IPAddress) -> bool:
        return bool(self._released) and self.store.holder(subnet, ip) in self._released

    def take_address(self, subnet: IPNetwork, ip: IPAddress, owner: str) -> None:
        """Hand out an address."""
        self._addresses[subnet, ip] = owner

    def release(self, owner: str) -> None:
        """Release all addresses of an owner."""
        self._released[owner] = None
        mine = [place for place, holder in self._addresses.items() if holder == owner]
        for subnet, ip in mine:
            del self._addresses[subnet, ip]
        self._hints.clear()

    def hint(self, subnet: IPNetwork, span: str) -> IPAddress | None:
        """An address below which none of that range is free."""
        if (subnet, span) in self._hints:
            return self._hints[subnet, span]
        return None if self._released else self.store.hint(subnet, span)

    def set_hint(self, subnet: IPNetwork, span: str, ip: IPAddress) -> None:
        """Remember that."""
        self._hints[subnet, span] = ip

    # -- its end ---------------------------------------------------------------

    def work_out(self, now: Look | None = None) -> tuple[Things, Things, Change]:
        """The things concerned before and after, and the change to the store.

        Args:
            now: what to take for the state before, instead of what is recorded (repair looks at the
            kernel).
        """
        recorded: dict[Key, Thing] = {}
        wanted: dict[Key, Thing] = {}
        owners: list[tuple[str, tuple[Key, ...]]] = []
        theirs = self.store.things_of_owners(list(self._touched))
        for owner in self._touched:
            recorded.update((thing.key, thing) for thing in theirs.get(owner, ()))
            mine = {thing.key: thing for thing in self.narrator.things(owner)}
            wanted.update(mine)
            owners.append((owner, tuple(mine)))
        new = [key for key in wanted if key not in recorded]
        shared = self.store.things_with(new)
        recorded.update((key, shared[key]) for key in new if key in shared)
        # What stays as it is keeps the value that was read: its text is known, and nobody compares
        # the two again.
        for key, was in recorded.items():
            if wanted.get(key) == was:
                wanted[key] = was
        before, after = {key: self._timed(was) for key, was in recorded.items()}, dict(wanted)
        self._keep_shared(recorded, after)
        previous = self._previous(wanted, recorded, before)
        if now is not None:
            before = now([*{**recorded, **after}.values()])
        things = tuple(
            (thing, previous.get(key))
            for key, thing in wanted.items()
            if recorded.get(key) is not thing
        )
        return before, after, self._change(things, tuple(owners))

    def _timed(self, thing: Thing) -> Thing:
        if isinstance(thing, Process) and thing.id in self._endings:
            seconds, number = self._endings[thing.id]
            return replace(thing, grace=seconds, stop_signal=number)
        return thing

    def _keep_shared(self, recorded: dict[Key, Thing], after: dict[Key, Thing]) -> None:
        """Keep what others need.

        A standing thing that nobody needs becomes what it was before plumb, unless it goes with
        its link or its namespace.
        """
        surplus: dict[Key, Thing] = {}
        let_go = [key for key in recorded if key not in after]
        owners = self.store.owners_of(let_go)
        for key in let_go:
            needed = any(owner not in self._touched for owner in owners[key])
            (after if needed else surplus)[key] = recorded[key]
        gone = made_by(surplus)
        for key, thing in surplus.items():
            if thing.permanent and gone.isdisjoint(thing.uses):
                was = self._former(thing)
                if was is not None:
                    after[key] = was

    def _former(self, thing: Thing) -> Thing | None:
        """State of a standing thing before plumb; None if that is not known or it is gone."""
        was = self.store.previous(thing.key)
        if was is None and isinstance(thing, Sysctl) and thing.usual:
            was = replace(thing, value=thing.usual)
        if was is not None and thing.uses and self.kernel.look([thing])[0] is None:
            return None
        return was

    def _previous(
        self, wanted: dict[Key, Thing], recorded: dict[Key, Thing], before: dict[Key, Thing]
    ) -> dict[Key, Thing]:
        """Read the present state of standing things that are new to plumb.

        Those of a new link or namespace go with it, and need no record of it.
        """
        made = made_by(wanted)
        new = [
            thing
            for key, thing in wanted.items()
            if thing.permanent and key not in recorded and made.isdisjoint(thing.uses)
        ]
        found = {
            thing.key: was
            for thing, was in zip(new, self.kernel.look(new), strict=True)
            if was is not None
        }
        before.update(found)
        return found

    def _change(
        self,
        things: tuple[tuple[Thing, Thing | None], ...],
        owners: tuple[tuple[str, tuple[Key, ...]], ...],
    ) -> Change:
        return Change(
            put=tuple(self._put.values()),
            drop=tuple(self._drop),
            addresses=tuple((subnet, ip, owner) for (subnet, ip), owner in self._addresses.items()),
            released=tuple(self._released),
            hints=tuple((subnet, span, ip) for (subnet, span), ip in self._hints.items()),
            things=things,
            owners=owners,
            meta=tuple(self.remarks.items()),
        )

    def steps(self, now: Look | None = None) -> list[Step]:
        """Steps of the operation, without taking them."""
        before, after, _ = self.work_out(now)
        return plan(before.values(), after.values())

    def _ahead(self, number: int, change: Change) -> AbstractContextManager[None]:
        """Have the change written as long as the agent works, in a with block that asks it.

        How commands end that the operation ends is not known before they have.
        """
        if self._endings:
            return nullcontext()
        return agent_client.meanwhile(lambda: self.store.prepare(number, change))

    def carry_out(self, now: Look | None = None) -> None:
        """Do it: journal, kernel, record; or take it all back.

        Raises:
            StepFailed: a step failed; the kernel and the store are as before, but for what the
            message says.
        """
        before, after, change = self.work_out(now)
        steps = plan(before.values(), after.values())
        if self._on_steps is not None:
            self._on_steps(steps)
        leavings.refuse(steps, self.kernel)
        number = self.store.begin(before.values(), after.values(), change)
        try:
            self._take(steps, before, number, change)
            if self._endings:
                from plumb.engine.lifecycle import exit_codes  # lazy: few operations end commands

                change = exit_codes.noted(change, self._endings, self.layout)
            self.store.finish(number, change)
        except BaseException:
            self.store.rollback()  # else recovery would read what does not count
            raise
        gone, asked = tuple(self._drop.values()), self._endings
        changed = Changed(change.put, gone, self._cached, asked, self.killed, self.network)
        journal.append(self.layout.events, events(changed))

    def _take(
        self, steps: Sequence[Step], before: Mapping[Key, Thing], number: int, change: Change
    ) -> None:
        """Take the steps, or take back those that were taken."""
        try:
            with self._ahead(number, change):
                carry_out(steps, self.kernel)
        except StepFailed as failure:
            self.store.rollback()
            # What stood on something that came back only later can be undone by now.
            failure.stuck = restore(before, failure.made, self.kernel)
            if any(isinstance(step.before, InChain) for step in steps):
                failure.stuck += take_all(reordering(self.store.things(), self.kernel), self.kernel)
            if not failure.stuck:  # else the journal keeps it, and the next command tries again
                self.store.abandon(number)
            raise
