"""An operation's end.

What cannot even be taken back stays in the journal, and is made good as soon as it can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from plumb import Broken, Host, StepFailed
from plumb.engine import repair
from plumb.errors import KernelRefused
from plumb.kernel import agent_client
from plumb.kernel.memory import MemoryKernel
from plumb.model.paths import Layout
from plumb.plan import Step
from plumb.store.change import Change
from plumb.store.sqlite import SqliteStore
from plumb.things import Thing
from plumb.things.layer3 import Sysctl
from plumb.things.links import Bridge, Up
from plumb.things.sandbox import OfStart
from tests.memory_host import FRESH


class Stuck(MemoryKernel):
    """A host that raises no link, and does not let go of bridges either, for a number of times."""

    def __init__(self, times: int) -> None:
        super().__init__(FRESH)
        self.times, self.raises = times, False

    def take(self, steps: Sequence[Step]) -> None:
        """Take steps until one of those comes."""
        for number, step in enumerate(steps):
            kept = self.times > 0 and isinstance(step.before, Bridge) and step.after is None
            self.times -= kept
            if kept or (isinstance(step.after, Up) and not self.raises):
                raise StepFailed(KernelRefused(str(step), said="not today"), step, steps[:number])
            super().take([step])


def fail(host: Host) -> None:
    """An operation that fails, and is stuck."""
    with pytest.raises(StepFailed, match=r"while taking back: .*remove bridge"):
        host.create_network("n1")


class Interrupted(MemoryKernel):
    """A host on which the user presses Ctrl-C at a step.

    As the real one it does not tell of which start a sandbox is.

    Attributes:
        left: how many steps are taken until then; below 0: it does not happen.
    """

    def __init__(self) -> None:
        super().__init__(FRESH)
        self.left, self.taken = -1, list[Step]()

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """What is there, a sandbox as it is asked for."""
        return [
            thing if now is not None and isinstance(thing, OfStart) else now
            for thing, now in zip(things, super().look(things), strict=True)
        ]

    def take(self, steps: Sequence[Step]) -> None:
        """Take as many as are left."""
        left, self.left = self.left, -1
        super().take(steps[:left] if left >= 0 else steps)
        self.taken += steps
        if left >= 0:
            raise KeyboardInterrupt


class AtAnAgent(MemoryKernel):
    """A host whose agent is at work on an operation when that fails, or is interrupted.

    Attributes:
        end: what comes then, once.
    """

    end: BaseException | None = None

    def take(self, steps: Sequence[Step]) -> None:
        """Ask the agent, which takes all steps, or the first of them."""
        agent_client._WAITING.use()
        end, self.end = self.end, None
        super().take(steps[:1] if end is not None else steps)
        if isinstance(end, StepFailed):
            raise StepFailed(end.cause, steps[1], steps[:1])
        if end is not None:
            raise end


REFUSED = StepFailed(KernelRefused("hold a port", said="not today"), Step(None, Up("x")), [])


@pytest.mark.parametrize("end", [REFUSED, KeyboardInterrupt()], ids=["refused", "interrupted"])
def test_what_is_written_while_the_agent_works_does_not_count_yet(
    tmp_path: Path, end: BaseException
) -> None:
    """An operation that fails then is not on record, and the next one is carried out."""
    kernel = AtAnAgent(FRESH)
    with Host(tmp_path / "root", kernel=kernel) as host:
        host.create_network("n1")
        before = host.networks(), host.store.things()
        kernel.end = end
        with pytest.raises(type(end)):
            host.create_network("n2")
        with Host(tmp_path / "root", kernel=kernel) as other:
            assert (other.networks(), other.store.things()) == before
            assert other.store.unfinished() == []
        host.create_network("n2")
        assert host.check() == []


def test_an_interrupt_before_a_written_change_counts_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes behind the last step: the journal still has the operation, which is taken back.

    The next one of the same host is carried out.
    """
    kernel, finish = AtAnAgent(FRESH), SqliteStore.finish

    def interrupted(store: SqliteStore, number: int, change: Change) -> None:
        monkeypatch.setattr(SqliteStore, "finish", finish)
        raise KeyboardInterrupt

    with Host(tmp_path / "root", kernel=kernel) as host:
        host.create_network("n1")
        before = dict(kernel.things)
        monkeypatch.setattr(SqliteStore, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            host.create_network("n2")
        assert kernel.things == before
        assert "n2" not in {net.name for net in host.networks()}
        host.create_network("n2")
        assert host.check() == []


def test_what_the_agent_is_asked_when_all_is_taken_back_writes_nothing(tmp_path: Path) -> None:
    """An operation that failed before the agent was asked is not written while it is undone."""

    class AskedLate(AtAnAgent):
        failing = False

        def take(self, steps: Sequence[Step]) -> None:
            if self.failing:
                self.failing = False
                raise StepFailed(REFUSED.cause, steps[0], [])
            super().take(steps)

        def look(self, things: Sequence[Thing]) -> list[Thing | None]:
            agent_client._WAITING.use()
            return super().look(things)

    kernel = AskedLate(FRESH)
    with Host(tmp_path / "root", kernel=kernel) as host:
        host.create_network("n1")
        kernel.failing = True
        with pytest.raises(StepFailed):
            host.create_network("n2")
        with Host(tmp_path / "root", kernel=kernel) as other:
            assert other.store.unfinished() == []
        assert host.check() == []


@pytest.mark.parametrize("network", ["n1", "none", "host"])
def test_a_restart_that_is_interrupted_is_finished(network: str, tmp_path: Path) -> None:
    """At whatever step: the sandbox is the new start's, its command too, and all is as recorded."""
    kernel = Interrupted()
    with Host(tmp_path / "root", settings={}, kernel=kernel) as host:
        host.create_network("n1")
        box = host.run("c1", network=network, command=["sleep", "1"])
        kernel.taken.clear()
        host.restart(box)
        steps = len(kernel.taken)
        for left in range(steps + 1):
            kernel.left = left
            with pytest.raises(KeyboardInterrupt):
                host.restart(box)
            assert host.container(box).start == left + 2
            started = [thing for thing in kernel.things.values() if isinstance(thing, OfStart)]
            assert {thing.start for thing in started} == {left + 2}
            assert len(started) == (1 if network == "host" else 2)
            assert [kernel.things[thing.key] for thing in host.store.things()] == [
                *host.store.things()
            ]


def test_what_is_stuck_is_taken_back_by_the_next_command(tmp_path: Path) -> None:
    """The error says what is stuck.

    The next command, on a kernel that lets go, takes it back before anything else.
    """
    kernel = Stuck(times=4)
    with Host(tmp_path / "root", settings={}, kernel=kernel) as host:
        fail(host)
        assert any(isinstance(thing, Bridge) for thing in kernel.things.values())
        assert len(host.store.unfinished()) == 1
        kernel.times, kernel.raises = 0, True
        host.create_network("n2")

        assert host.store.unfinished() == []
        assert host.check() == []
        host.reset()
    assert kernel.things == {thing.key: thing for thing in FRESH}


def test_reset_goes_on_past_what_is_stuck(tmp_path: Path) -> None:
    """Where taking back fails again, other commands say so.

    Reset takes all away, and puts back what was.
    """
    kernel = Stuck(times=1000)
    with Host(tmp_path / "root", settings={}, kernel=kernel) as host:
        fail(host)
        with pytest.raises(Broken, match="cannot take back what was begun"):
            host.create_network("n2")
        kernel.times = 2
        host.reset()

    assert kernel.things == {thing.key: thing for thing in FRESH}


def test_what_is_given_up_is_as_before(tmp_path: Path) -> None:
    """Of an operation that nobody can finish, what nobody has on record goes, and settings are put
    back."""
    on, bridge = Sysctl("net/ipv4/ip_forward", "1"), Bridge("br0", "02:00:00:00:00:01")
    kernel = MemoryKernel([*FRESH[1:], on, bridge])
    store = SqliteStore(Layout(str(tmp_path / "root")), create=True)
    store.begin([FRESH[0]], [on, bridge], Change())

    assert repair.give_up(store, kernel) == []
    assert kernel.things == {thing.key: thing for thing in FRESH}
    assert store.unfinished() == []
    store.close()


def test_a_refused_add_takes_nothing_of_somebody_else_away(tmp_path: Path) -> None:
    """What was there before, and made an add fail, is there afterwards."""
    kernel = MemoryKernel(FRESH)
    foreign = Bridge("plumb0", "02:00:00:00:00:01")
    kernel.things[foreign.key] = foreign
    before = dict(kernel.things)
    with Host(tmp_path / "root", settings={}, kernel=kernel) as host:
        with pytest.raises(StepFailed, match="it is there already"):
            host.create_network("n1")
        assert kernel.things == before
        with pytest.raises(StepFailed, match="it is there already"):
            host.create_network("n1")
        assert kernel.things == before
