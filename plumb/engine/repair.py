"""Mending: what to do after a crash, a reboot, or a foreign hand.

**recover**: somebody died over an operation. The journal says what there was before and what there
was to be after. If something had already been taken away, what was asked for is finished; else what
was begun is taken back. Either way the kernel is looked at first, since nobody knows how far it had
come.

**check** holds the kernel against what is recorded. **repair** makes it so. **reset** takes all
that is plumb's away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from plumb.engine.allocate import renewed
from plumb.engine.desired_state import (
    HOST_OWNER,
    endpoint_owner,
    network_owner,
    peer_owner,
    remote_owner,
    sandbox_owner,
    service_owner,
)
from plumb.engine.operation import Operation
from plumb.engine.roots import claim
from plumb.engine.rule_order import OrderedKernel, disorder, reordering
from plumb.errors import Broken, KernelRefused, PlumbError
from plumb.frozen import frozen
from plumb.kernel import agent_client
from plumb.kernel.system import System
from plumb.model.cnm import Network, Sandbox, Status
from plumb.model.paths import Layout
from plumb.plan import Kernel, Step, made_by, plan, take_all
from plumb.store import Store
from plumb.things import Key, Thing
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import Agent, HostPort, OfAgent, Proxy
from plumb.things.supervision import DelayedStart, HealthProbe


@frozen
class Drift:
    """A difference between the record and the kernel.

    Attributes:
        thing: the thing as recorded.
        state: "missing", "changed" or "out of order"; "left behind" without a record.
        now: its present state; None if it is missing or a rule out of order.
    """

    thing: Thing
    state: str
    now: Thing | None = None

    def __str__(self) -> str:
        how = "" if self.now is None else str(self.now)
        return f"{self.state}: {self.thing}" + (
            f" (it is: {how})" if how not in ("", str(self.thing)) else ""
        )


def look(kernel: Kernel, things: Sequence[Thing]) -> dict[Key, Thing]:
    """Present state of those of the things that exist, by key."""
    return {thing.key: thing for thing in kernel.look(things) if thing is not None}


def recover(store: Store, kernel: Kernel) -> None:
    """Finish or take back what somebody died over.

    Raises:
        Broken: that did not work; the journal keeps it.
    """
    if store.meta("reset"):
        errors = take_all(steps_to_reset(store), kernel)
        if errors:
            raise Broken(
                f"cannot finish the reset that was begun: {'; '.join(map(str, errors))}",
                "remove the cause, then run 'plumb reset' again",
            )
        store.empty()
    for entry in store.unfinished():
        before = {thing.key: thing for thing in entry.before}
        after = {thing.key: thing for thing in entry.after}
        for folder in {
            thing.agent for thing in {**before, **after}.values() if isinstance(thing, OfAgent)
        }:
            answering(Agent(folder), kernel)
        # The machine does not tell an object from the one that it replaces: so it is taken for that
        # one, and replaced once more.
        replaced = {
            key: thing
            for key, thing in before.items()
            if key in after and after[key].replaces(thing)
        }
        there = look(kernel, [*{**before, **after, **replaced}.values()])
        forward = bool(replaced) or any(
            key not in after and not thing.permanent for key, thing in before.items()
        )
        target = after if forward else before
        # A host port that is gone is released once more: its flows may not have been forgotten yet.
        released = [
            Step(thing, None)
            for key, thing in {**before, **after}.items()
            if isinstance(thing, HostPort) and key not in target and key not in there
        ]
        errors = take_all([*plan(there.values(), target.values()), *released], kernel)
        if errors:
            raise Broken(
                f"cannot {'finish' if forward else 'take back'} what was begun:"
                f" {'; '.join(map(str, errors))}",
                "'plumb repair' restores what it can,"
                " 'plumb reset --force' removes everything of plumb",
            )
        if forward:
            store.finish(entry.number, entry.change)
        else:
            store.abandon(entry.number)


def give_up(store: Store, kernel: Kernel) -> list[PlumbError]:
    """Let go of what can be neither finished nor taken back.

    What it left and nobody has on record is as before.
    """
    left = [
        thing
        for entry in store.unfinished()
        for thing in (*entry.before, *entry.after)
        if store.thing(thing.key) is None
    ]
    before = [
        thing
        for entry in store.unfinished()
        for thing in entry.before
        if thing.permanent and store.thing(thing.key) is None
    ]
    errors = take_all(plan(look(kernel, left).values(), before), kernel)
    for entry in store.unfinished():
        store.abandon(entry.number)
    return errors


OF_AGENT = (HostPort, Proxy, Names, Resolver, HealthProbe, DelayedStart)


def answering(agent: Thing, kernel: Kernel) -> Thing | None:
    """An agent as it is now, None where it has died.

    One that lives and does not answer is ended.
    """
    try:
        return kernel.look([agent])[0]
    except KernelRefused:
        take_all([Step(agent, None)], kernel)
        return None


def revive(store: Store, kernel: Kernel, layout: Layout) -> None:
    """Start an agent that has died anew, with all that it had.

    What somebody else has taken meanwhile is for check to tell.

    One that was killed over an operation was started again for what that operation needed, and
    lacks all else: so it is written down which process was last seen to be whole.
    """
    agent = store.thing(("agent", layout.run))
    if agent is None:
        return
    now = agent_client.just_answered(layout.run) or answering(agent, kernel)
    if not isinstance(now, Agent) or now.who != store.meta("agent"):
        had = [agent, *(thing for kind in OF_AGENT for thing in store.things_of(kind))]
        take_all(plan(look(kernel, had).values(), had), kernel)
        now = answering(agent, kernel)
        store.remark("agent", now.who if isinstance(now, Agent) else "")


# -- check and repair ---------------------------------------------------------------


def check(store: Store, kernel: OrderedKernel) -> list[Drift]:
    """Compare the record with the kernel."""
    recorded = store.things()
    found = []
    present, order = kernel.look_and_order(recorded)
    for thing, now in zip(recorded, present, strict=True):
        if now is None:
            found.append(Drift(thing, "missing"))
        elif now is not thing and now != thing:
            found.append(Drift(thing, "changed", now))
    return found + [Drift(rules[0], "out of order") for rules, _ in disorder(recorded, order)]


def repair(op: Operation, kernel: OrderedKernel) -> None:
    """Make the kernel what is recorded, and what the settings say now."""
    touch_all(op)
    op.carry_out(now=lambda things: look(kernel, things))
    kernel.take(reordering(op.store.things(), kernel))


def steps_to_repair(op: Operation, kernel: OrderedKernel) -> list[Step]:
    """Steps of a repair, without taking them."""
    touch_all(op)
    return [
        *op.steps(now=lambda things: look(kernel, things)),
        *reordering(op.store.things(), kernel),
    ]


def repair_in_parts(start: Callable[[], Operation], kernel: OrderedKernel) -> list[PlumbError]:
    """Restore what can be, one network and one container after the other, and go past what cannot.

    Args:
        start: begins an operation.
        kernel: the kernel to restore.

    Returns:
        The errors of the parts that could not be restored; those are as they were.
    """
    op = start()
    parts: list[Callable[[Operation], None]] = [
        lambda op: op.touch(HOST_OWNER),
        *(partial(_touch_network, net=net) for net in op.all(Network)),
        *(partial(_touch_container, box=box) for box in op.all(Sandbox)),
    ]
    errors: list[PlumbError] = []
    for touch in parts:
        op = start()
        try:
            touch(op)
            op.carry_out(now=lambda things: look(kernel, things))
        except PlumbError as error:
            errors.append(error)
    return errors + take_all(reordering(op.store.things(), kernel), kernel)


def touch_all(op: Operation) -> None:
    """Have everything narrated again."""
    op.touch(HOST_OWNER)
    for box in op.all(Sandbox):
        _touch_container(op, box)
    for net in op.all(Network):
        _touch_network(op, net)


def _touch_network(op: Operation, net: Network) -> None:
    """Have a network narrated again, with its endpoints on other hosts."""
    op.touch(network_owner(net))
    for end in op.remotes(net.id):
        op.touch(remote_owner(end))
        if net.overlay.encrypted:
            op.touch(peer_owner(end.vtep))
    for service in op.services(net.id):
        op.touch(service_owner(service))


def _touch_container(op: Operation, box: Sandbox) -> None:
    """Have a container and its endpoints narrated again.

    A command that has ended since (a crash, a reboot) is started again if the container's restart
    policy says so, else its container is stopped. A DNS server that is gone comes back on other
    ports where a program of the container has taken its own.
    """
    ends = op.endpoints(sandbox=box.id)
    if box.status is Status.RUNNING and box.argv and gone(op, box):
        from plumb.engine.lifecycle import endings  # lazy: few commands need it

        endings.lost(op, box)
    elif box.dns_udp and not serves(op, box):
        op.put(renewed(op, box))
    op.touch(sandbox_owner(box))
    for end in ends:
        op.touch(endpoint_owner(end))


def gone(op: Operation, box: Sandbox) -> bool:
    """True if a container's command has ended."""
    return any(now is None for now in op.kernel.look(list(op.narrator.process(box))))


def serves(op: Operation, box: Sandbox) -> bool:
    """True if a container's DNS server is there."""
    return any(
        op.kernel.look([thing]) != [None]
        for thing in op.narrator.things(sandbox_owner(box))
        if isinstance(thing, Resolver)
    )


# -- reset ---------------------------------------------------------------


def reset(store: Store, kernel: Kernel, layout: Layout, system: System) -> list[PlumbError]:
    """Take all that is plumb's away, as far as it can be.

    What could not be is returned, and stays recorded.
    """
    errors: list[PlumbError] = []
    try:
        recover(store, kernel)
    except Broken:
        errors += give_up(store, kernel)
    made = store.meta("root") == "made"
    answering(Agent(layout.run), kernel)
    store.begin_reset()
    errors += take_all(steps_to_reset(store), kernel)
    if not errors:
        with suppress(Broken):  # a full disk: the file goes all the same
            store.empty()
        claim.release(store, layout, system)
        # folds the WAL into the file: one that is left behind would be read into the next store
        store.close()
        clear(layout, made)
    return errors


def steps_to_reset(store: Store) -> list[Step]:
    """Steps from all that is recorded to the state before plumb."""
    recorded = store.things()
    made = made_by({thing.key: thing for thing in recorded})
    before = [
        store.previous(thing.key)
        for thing in recorded
        if thing.permanent and made.isdisjoint(thing.uses)
    ]
    return plan(recorded, [thing for thing in before if thing is not None])


def clear(layout: Layout, made: bool) -> None:
    """Remove plumb's own files under the root.

    Args:
        made: the root itself was made by plumb, so it goes as well if it is empty then.
    """
    import shutil  # 4 ms that only `reset` pays

    # The log first: SQLite would read one that is left behind into the next store.
    for path in (
        *(f"{layout.database}{suffix}" for suffix in ("-wal", "-shm", "")),
        layout.reserve,
        layout.queue,
        layout.events,
        f"{layout.events}.1",
    ):
        Path(path).unlink(missing_ok=True)
    for folder in (layout.containers, layout.namespaces, layout.fixes):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in {layout.run, layout.root} if made else ():
        with suppress(OSError):
            Path(folder).rmdir()
