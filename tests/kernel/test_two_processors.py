"""Steps in many sandboxes, of which a fork takes half: what fails there, and what is done then."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from plumb.errors import KernelRefused
from plumb.frozen import replace
from plumb.kernel import linux
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netns import fork_beside, namespaces
from plumb.plan import Step, StepFailed, carry_out
from plumb.things.layer3 import Sysctl
from plumb.things.links import Bridge

TTL = "net/ipv4/ip_default_ttl"


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """As many namespaces as it takes."""
    folder = tmp_path_factory.mktemp("boxes")
    made = [str(folder / str(number)) for number in range(linux.MANY)]
    for path in made:
        namespaces.make(path)
    yield made
    for path in made:
        namespaces.drop(path)


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's process has threads, which have nothing to do with this."""
    monkeypatch.setattr(fork_beside, "possible", lambda: True)


def steps_to(boxes: Sequence[str], value: str) -> list[Step]:
    """A setting in each box, from the kernel's default to a value."""
    return [Step(Sysctl(TTL, "64", ns), Sysctl(TTL, value, ns)) for ns in boxes]


def broken(steps: Sequence[Step], number: int) -> list[Step]:
    """The same, of which the kernel refuses one."""
    bad = steps[number]
    assert isinstance(bad.after, Sysctl)
    changed = [*steps]
    changed[number] = Step(bad.before, replace(bad.after, value="many"))
    return changed


def values(boxes: Sequence[str]) -> set[str]:
    """The values of the setting in all boxes."""
    found = set()
    for path in boxes:
        with namespaces.entered(path):
            found.add(Path(f"/proc/sys/{TTL}").read_text().strip())
    return found


def test_both_halves_are_done(boxes: list[str]) -> None:
    """By two processes."""
    LinuxKernel().take(steps_to(boxes, "65"))
    assert values(boxes) == {"65"}
    LinuxKernel().take([step.undo() for step in steps_to(boxes, "65")])
    assert values(boxes) == {"64"}


def test_a_fork_takes_the_second_half(
    boxes: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The calling process the first."""
    go_to = LinuxKernel._go_to

    def noted(self: LinuxKernel, visits: Sequence[linux.Visit], done: list[Step]) -> None:
        (tmp_path / str(os.getpid())).write_text(visits[0][0])
        go_to(self, visits, done)

    monkeypatch.setattr(LinuxKernel, "_go_to", noted)
    LinuxKernel().take(steps_to(boxes, "64"))
    ours = tmp_path / str(os.getpid())
    (theirs,) = set(tmp_path.iterdir()) - {ours}
    assert (ours.read_text(), theirs.read_text()) == (boxes[0], boxes[linux.MANY // 2])


def test_one_process_takes_all_steps_in_a_namespace(boxes: list[str]) -> None:
    """A plan takes away in all of them, and then adds in all of them."""
    old, new = (
        [Bridge("br0", f"02:00:00:00:00:0{number}", ns=ns) for ns in boxes] for number in (1, 2)
    )
    LinuxKernel().take([Step(None, bridge) for bridge in old])
    away = [Step(bridge, None) for bridge in reversed(old)]
    LinuxKernel().take([*away, *(Step(None, bridge) for bridge in new)])
    assert LinuxKernel().look(new) == new
    LinuxKernel().take([Step(bridge, None) for bridge in new])


@pytest.mark.parametrize("number", [3, linux.MANY - 3], ids=["here", "in the fork"])
def test_a_refusal_is_told_with_all_that_was_done(boxes: list[str], number: int) -> None:
    """By both: the half behind the refused step is not, the other half is."""
    steps = broken(steps_to(boxes, "65"), number)
    with pytest.raises(StepFailed, match="set sysctl") as caught:
        LinuxKernel().take(steps)
    half = linux.MANY // 2
    first, second = (
        (number, linux.MANY) if number < half else (half, number)
    )  # where each of the two came to
    done = [*steps[:first], *steps[half:second]]
    assert caught.value.step == steps[number]
    assert caught.value.done == done
    LinuxKernel().take([step.undo() for step in done])


@pytest.mark.parametrize("number", [3, linux.MANY - 3], ids=["here", "in the fork"])
def test_all_is_taken_back(boxes: list[str], number: int) -> None:
    """In both halves, whichever it failed in."""
    with pytest.raises(StepFailed) as caught:
        carry_out(broken(steps_to(boxes, "65"), number), LinuxKernel())
    assert caught.value.stuck == []
    assert values(boxes) == {"64"}


def test_a_fork_that_is_killed_is_no_success(
    boxes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows how far it had come: that is what the journal is for."""
    caller, go_to = os.getpid(), LinuxKernel._go_to

    def killed(self: LinuxKernel, visits: Sequence[linux.Visit], done: list[Step]) -> None:
        if os.getpid() != caller:
            os.kill(os.getpid(), signal.SIGKILL)
        go_to(self, visits, done)

    monkeypatch.setattr(LinuxKernel, "_go_to", killed)
    with pytest.raises(KernelRefused, match="the process that was to do it was killed"):
        LinuxKernel().take(steps_to(boxes, "64"))


def test_where_no_process_can_be_forked_one_takes_all_steps(
    boxes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service's limit of processes (pids.max, TasksMax) is no reason to fail."""

    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(os, "fork", refuse)
    before = set(os.listdir("/proc/self/fd"))
    LinuxKernel().take(steps_to(boxes, "65"))
    assert values(boxes) == {"65"}
    LinuxKernel().take([step.undo() for step in steps_to(boxes, "65")])
    assert set(os.listdir("/proc/self/fd")) == before


def test_what_both_have_made_by_half_is_known(
    boxes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both may fail at once: what either was about to make is taken back as well."""

    def half(self: LinuxKernel, visits: Sequence[linux.Visit], done: list[Step]) -> None:
        step = visits[0][1][0]
        raise StepFailed(KernelRefused(str(step), errno.ENOMEM), step, done)

    monkeypatch.setattr(LinuxKernel, "_go_to", half)
    bridges = [Bridge("br0", "02:00:00:00:00:01", ns=ns) for ns in boxes]
    with pytest.raises(StepFailed) as caught:
        LinuxKernel().take([Step(None, bridge) for bridge in bridges])
    assert caught.value.made == [bridges[0], bridges[linux.MANY // 2]]
