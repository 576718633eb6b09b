"""Host: the library's face. What the command line does, in a few lines of Python.

    from plumb import Host

    with Host("/tmp/lab") as host:
        host.create_network("shop", subnet="10.9.0.0/24")
        web = host.run("web", network="shop")
        print(host.endpoints(web)[0].ip)        # 10.9.0.2/24
        host.reset()

The host is the network and mount namespace that the calling thread is in. Every method is one
operation: one plan, carried out whole or not at all. Many verbs become one operation in a with
block of `operation()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from plumb.engine import networks, repair
from plumb.engine.cluster.access import Cluster
from plumb.engine.operation import OnSteps, Operation
from plumb.engine.reader import REBOOTED, REBUILD, Reader, forgotten
from plumb.engine.repair import Drift
from plumb.engine.roots import claim
from plumb.engine.rule_order import OrderedKernel
from plumb.engine.verbs import Transaction, Verbs
from plumb.errors import Broken, PlumbError
from plumb.frozen import collector_paused
from plumb.kernel.capabilities import require_root
from plumb.kernel.capture.undo import sweep
from plumb.kernel.system import System, this_system
from plumb.model.cnm import Sandbox
from plumb.model.settings import Settings
from plumb.plan import StepFailed
from plumb.store import Store
from plumb.store.sqlite import SqliteStore
from plumb.store.writers_lock import writers_turn

if TYPE_CHECKING:
    from plumb.engine.foreign.firewalls import Obstacle
    from plumb.engine.foreign.settings import ForeignSetting

F = TypeVar("F")


class Host(Reader, Verbs):
    """plumb under one root.

    Args:
        root: the folder of its state; None: PLUMB_ROOT, or /var/lib/plumb.
        settings: Docker's daemon.json keys and values, a `Settings`, or the path of such a file;
            None: PLUMB_CONFIG or /etc/plumb/config.json.
        kernel: another kernel than the machine's (tests: `kernel.memory.MemoryKernel`).
        system: another clock, randomness, host files and ports than the machine's. None: the
            machine's; with another kernel, one whose links and ports nobody else uses.
        on_steps: is called with the steps of each operation before they are taken.
        stays: the process goes on for a while (it is not one command that ends right after).
        dry_run: work everything out, show it to `on_steps`, and change nothing.
        cluster: another cluster than that of which this host is a node.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        settings: Settings | Mapping[str, Any] | str | Path | None = None,
        kernel: OrderedKernel | None = None,
        system: System | None = None,
        on_steps: OnSteps | None = None,
        dry_run: bool = False,
        stays: bool = True,
        cluster: Cluster | None = None,
    ) -> None:
        super().__init__(root, settings=settings, cluster=cluster)
        self._kernel, self._system = kernel, system
        self._on_steps, self._dry_run, self._stays = on_steps, dry_run, stays

    @cached_property
    def kernel(self) -> OrderedKernel:
        """The machine's kernel, or the one that the caller has given."""
        if self._kernel is not None:
            return self._kernel
        from plumb.kernel.linux import LinuxKernel

        return LinuxKernel(folders=(self.layout.root, self.layout.run))

    @cached_property
    def system(self) -> System:
        """The system besides its kernel."""
        if self._system is not None:
            return self._system
        return this_system() if self._kernel is None else System()

    # -- operations ---------------------------------------------------------------

    @contextmanager
    def operation(self) -> Iterator[Transaction]:
        """Many verbs as one operation: planned together, carried out when the with block ends.

        Raises:
            StepFailed: a step failed; all is as before.
        """
        with self._within() as op:
            yield Transaction(op)

    def change(self) -> AbstractContextManager[Operation]:
        """A change of the intent itself as one operation, for what no verb does."""
        return self._within()

    @contextmanager
    def _within(self) -> Iterator[Operation]:
        with self._turn() as op:
            try:
                networks.ensure(op)
                yield op
                self._end(op)
            except BaseException:
                op.reservations.undo()
                raise

    @contextmanager
    def _turn(self, insist: bool = True) -> Iterator[Operation]:
        fresh = not Path(self.layout.database).exists()
        if fresh or self._dry_run:
            claim.require(self.store, self.layout, self.system)
        if self._dry_run and fresh:
            yield self._operation(self.store)
            return
        with self._my_turn(create=not self._dry_run) as store:
            if insist and self.rebooted:
                raise Broken(REBOOTED, REBUILD)
            try:
                if not self._dry_run:
                    self._claim = claim.take(store, self.layout, self.system)
                    self._recover(store, insist)
                if insist and not self._dry_run:
                    self._remember_boot(store)
                yield self._operation(store)
            except PlumbError:
                if fresh and not store.meta("settings") and not store.unfinished():
                    made = store.meta("root") == "made"
                    claim.release(store, self.layout, self.system)
                    self.close()
                    repair.clear(
                        self.layout, made
                    )  # refused before anything was done: not even a root is left
                raise

    @property
    def rebooted(self) -> bool:
        """State of the machine: True if it was booted again since the record was written."""
        return forgotten(self.store, self.system.boot())

    def _remember_boot(self, store: Store) -> None:
        """Write down the boot in which the things are made, if another one is."""
        if store.meta("boot") != self.system.boot():
            store.remark("boot", self.system.boot())

    def _recover(self, store: Store, insist: bool) -> None:
        """Make good what somebody died over; who only wants to mend goes on without."""
        try:
            repair.recover(store, self.kernel)
        except Broken:
            if insist:
                raise
            repair.give_up(store, self.kernel)
        repair.revive(store, self.kernel, self.layout)
        sweep(self.layout.run)

    @contextmanager
    def _my_turn(self, create: bool) -> Iterator[Store]:
        """The writers' turn, on the store that is under the root when it comes.

        A reset may have taken away the one before.
        """
        while True:
            if self._store is None or not self._store.current:
                self.close()
                self._store = SqliteStore(self.layout, create=create)
            with self._store.lock():
                if self._store.current:
                    yield self._store
                    return

    def _operation(self, store: Store) -> Operation:
        config = str(self._given) if isinstance(self._given, str | Path) else ""
        cluster = self._rehearsal() if self._dry_run else self.cluster
        system, layout = self.system, self.layout
        return Operation(
            store, self.kernel, self.settings, layout, system, config, self._on_steps, cluster
        )

    def _rehearsal(self) -> Cluster:
        from plumb.engine.cluster.rehearsal import Rehearsal  # lazy: dry runs alone need it

        return Rehearsal(self.cluster)

    def _end(self, op: Operation) -> None:
        if self._dry_run:
            if self._on_steps is not None:
                self._on_steps(op.steps())
            op.reservations.undo()
            return
        try:
            op.carry_out()
        except StepFailed:
            raise
        except BaseException:
            repair.recover(self.store, self.kernel)  # interrupted: nobody knows how far it had come
            raise
        op.reservations.end()
        claim.note(self.store, self.layout, self.system, self._claim)
        self._announce(op)

    def _announce(self, op: Operation) -> None:
        if self._kernel is not None:
            return
        pairs = [(end, op.network(end.network)) for end in op.fresh_endpoints()]
        fresh = [(end, net) for end, net in pairs if net is not None]
        if any(net.advertise_count for _, net in fresh):
            from plumb.kernel.net import announce_endpoints

            announce_endpoints.announce(fresh, self.layout, self._stays)

    def settle(self, container: str) -> None:
        """A container's command has ended by itself.

        Let go of its network, and of itself if it was run with --rm.
        """
        from plumb.engine.lifecycle import endings  # lazy: few commands need it

        with self._turn() as op:
            if endings.settled(op, container):
                self._end(op)

    def kill(self, container: str | Sandbox, number: int = 9) -> None:
        """`kill`: send a signal to a container's command; after SIGKILL it has stopped."""
        from plumb.engine.lifecycle import signals  # lazy, as above

        signals.kill(self, self._within, container, number)

    def resume(self, container: str) -> None:
        """Start a container again, as its back-off is over, or stop it (called by the agent)."""
        from plumb.engine.lifecycle import endings  # lazy, as above

        endings.resume(self._within, container)

    # -- mending ---------------------------------------------------------------

    def revive(self) -> None:
        """Restart a killed agent with all that it had, as every changing operation does first."""
        with self._turn():
            pass

    def check(self) -> list[Drift]:
        """Differences between the record and the kernel; empty when there are none.

        Raises:
            Broken: the record cannot be read.
        """
        from plumb.engine.roots import lost  # lazy: few commands need it

        if self._kernel is None:
            require_root("compare the record with the kernel")
        left = (
            lost.check(self.layout, self.system)
            if lost.is_lost(self.layout, self.store, self.system)
            else []
        )
        # A command that is at work may have written down what it has not made yet, and the reverse.
        return [*self._found_in_my_turn(lambda store: repair.check(store, self.kernel)), *left]

    def _found_in_my_turn(self, find: Callable[[Store], list[F]]) -> list[F]:
        """Look twice where the first look finds something: then no command is at work."""
        with collector_paused():
            if not find(self.store):
                return []
            with self._my_turn(create=False) as store:
                return find(store)

    def foreign_settings(self) -> list[ForeignSetting]:
        """Addresses, MTUs, neighbour entries and rules that somebody else has set."""
        if self._kernel is not None:
            return []
        from plumb.engine.foreign import settings as foreign_settings

        return self._found_in_my_turn(
            lambda store: foreign_settings.find(store, self.layout, self.settings)
        )

    def obstacles(self) -> list[Obstacle]:
        """Chains of other firewalls that drop the networks' packets; plumb does not change them."""
        if self._kernel is not None:
            return []
        from plumb.engine.foreign.firewalls import obstacles

        return self._found_in_my_turn(lambda store: obstacles(store, self.settings))

    def repair(self) -> list[Drift]:
        """Make it as it should be; what was not.

        Raises:
            Broken: some of it cannot be restored; the message says what, and all else is.
        """
        from plumb.engine.cluster import health  # lazy, as below: most operations need it not

        rebooted = self.rebooted
        with self._turn(insist=False) as op:
            found = repair.check(self.store, self.kernel)
            if not self._dry_run:
                health.mend(self.layout)
                self._repair(op)
                self._remember_boot(op.store)
            elif self._on_steps is not None:
                self._on_steps(repair.steps_to_repair(op, self.kernel))
        if rebooted and not self._dry_run:
            from plumb.engine.lifecycle import endings  # lazy, as above

            endings.start_with_host(self.containers(), self.start)
        return found

    def _repair(self, op: Operation) -> None:
        from plumb.engine.roots import lost_namespaces  # lazy: few commands need it

        if self._kernel is None:
            lost_namespaces.find(op)
            lost_namespaces.make_room(op, self.kernel)
        try:
            repair.repair(op, self.kernel)
        except StepFailed as failure:
            errors = repair.repair_in_parts(lambda: self._operation(self.store), self.kernel)
            if errors:
                raise Broken(
                    f"cannot restore everything: {'; '.join(map(str, errors))}",
                    "remove the cause, then run 'plumb repair' again; all else is restored",
                ) from failure

    def reset(self) -> None:
        """Take away all that is plumb's under this root.

        Raises:
            Broken: some of it could not be; the message says what.
        """
        from plumb.engine.roots import beside, lost  # lazy, as above

        if not lost.readable(self, self.system):
            self._reset_lost()
            return
        if self._dry_run:
            self._show(self.store)
            return
        from plumb.engine.cluster import health

        with self._my_turn(create=True) as store:
            self._show(store)
            health.forget(self.layout)
            if claim.is_anothers(store, self.system):
                errors = beside.reset(store, self.kernel, self.layout)
            else:
                errors = repair.reset(store, self.kernel, self.layout, self.system)
        self.close()
        _raise(errors)

    def _reset_lost(self) -> None:
        """Take away what was built without a record that can be read."""
        from plumb.engine.cluster import health
        from plumb.engine.roots import lost

        self.close()
        if self._on_steps is not None:
            self._on_steps(lost.steps(self.layout, self.system))
        if not self._dry_run:
            health.forget(self.layout)
            there = Path(self.layout.root).is_dir()
            with writers_turn(self.layout.root, self.layout.queue) if there else nullcontext():
                _raise(lost.reset(self.layout, self.kernel, self.system))

    def _show(self, store: Store) -> None:
        """Show the steps of a reset."""
        from plumb.engine.roots import beside

        if self._on_steps is not None:
            another = claim.is_anothers(store, self.system)
            self._on_steps(
                beside.steps(store, self.kernel) if another else repair.steps_to_reset(store)
            )


def _raise(errors: Sequence[PlumbError]) -> None:
    if errors:
        raise Broken(
            f"cannot remove everything: {'; '.join(map(str, errors))}",
            "remove the cause, then run 'plumb reset' again",
        )
