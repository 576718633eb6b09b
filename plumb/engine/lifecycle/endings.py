"""End of a container's command: the container stops, goes, or starts again after a back-off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from datetime import datetime

from plumb.engine import containers
from plumb.engine.operation import Operation
from plumb.errors import Conflict, PlumbError
from plumb.frozen import replace
from plumb.model.cnm import Sandbox, Status
from plumb.model.lifecycle import Restart, RestartPolicy, Restarts, restart

KILLED = 137
"""Exit code of a command whose end nobody has seen: 128 + SIGKILL, as in Docker."""


def ended(op: Operation, reference: str, code: int) -> Sandbox:
    """Let go of the network of a container whose command has ended by itself.

    By its restart policy it starts again after a back-off, which the agent waits for.

    Args:
        code: the command's exit code.
    """
    box = containers.stop(op, reference, exit_code=code)
    if box.status is not Status.EXITED or box.auto_remove:
        return box
    again = restart.again(box.restart, box.restarts, code, _lasted(box))
    if again is not None:
        box = replace(box, status=Status.RESTARTING, restarts=again, foreground=False)
        op.put(box)
    return box


def _lasted(box: Sandbox) -> float:
    """Seconds that its command ran."""
    begin, end = (datetime.fromisoformat(text) for text in (box.started, box.finished))
    return (end - begin).total_seconds()


def resume(operation: Callable[[], AbstractContextManager[Operation]], reference: str) -> None:
    """Start a container whose back-off is over; one that was stopped meanwhile stays so.

    Args:
        operation: begins an operation.
        reference: the container.

    Raises:
        PlumbError: it could not be started. It is stopped then, and says why: Docker does not try
            it once more either.
    """
    try:
        with operation() as op:
            box = op.find(Sandbox, reference)
            if box is not None and box.status is Status.RESTARTING:
                containers.start(op, box.id, restarts=box.restarts)
    except PlumbError as failure:
        with operation() as op:
            box = op.find(Sandbox, reference)
            if box is not None and box.status is Status.RESTARTING:
                op.put(replace(box, status=Status.EXITED, error=str(failure)))
        raise


def lost(op: Operation, box: Sandbox) -> None:
    """Settle a container whose command was found to have ended, as after a boot.

    It starts again where its policy says so.
    """
    box = containers.stop(op, box.id, exit_code=KILLED)
    if restart.again(box.restart, box.restarts, KILLED, 0) is not None:
        containers.start(op, box.id, restarts=Restarts(box.restarts.count + 1))


def update(op: Operation, reference: str, policy: RestartPolicy) -> Sandbox:
    """Change a container's restart policy.

    Raises:
        Conflict: it goes when its command ends.
    """
    box = op.the_sandbox(reference)
    if box.auto_remove and policy.name is not Restart.NO:
        raise Conflict(
            "Restart policy cannot be updated because AutoRemove is enabled for the container"
        )
    box = replace(box, restart=policy)
    op.put(box)
    return box


def settled(op: Operation, reference: str) -> bool:
    """Settle a container whose command has ended by itself; False where there is nothing to do.

    It goes if it was run with --rm.
    """
    from plumb.kernel.process import commands

    box = op.find(Sandbox, reference)
    folder = op.layout.container(box.id) if box else ""
    if box is None or box.status is not Status.RUNNING or commands.alive(folder)[0]:
        return False
    code = commands.exit_code(folder)
    ended(op, box.id, KILLED if code is None else code)
    if box.auto_remove:
        containers.remove(op, box.id)
    return True


def settled_before(op: Operation, reference: str) -> None:
    """Settle a container whose command has ended, ahead of the `settle` of its shim.

    That waits for the writers' lock, which the caller has.
    """
    from plumb.kernel.process import commands

    box = op.the_sandbox(reference)
    folder = op.layout.container(box.id)
    if not box.foreground and commands.has_exit_code(folder):
        settled(op, reference)


def start_with_host(boxes: Iterable[Sandbox], start: Callable[[Sandbox], object]) -> None:
    """Start those of stopped containers that start with the host, as Docker's with its daemon."""
    for box in boxes:
        if box.status is Status.EXITED and restart.after_boot(box.restart, box.restarts):
            with suppress(PlumbError):
                start(box)
