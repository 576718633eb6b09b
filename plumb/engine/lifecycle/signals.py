"""Signals to a container's command, and its new name: changes of a container that runs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from plumb.engine import container_links, containers
from plumb.engine.desired_state import endpoint_owner
from plumb.engine.operation import Operation
from plumb.engine.reader import Reader
from plumb.errors import Conflict, Invalid, NotFound
from plumb.frozen import replace
from plumb.model import parse as opt
from plumb.model.cnm import Sandbox, Status
from plumb.model.keywords.values import reference

STOPPED, PAUSE = 10.0, 0.02
"""Seconds that a killed container has to stop, and between two looks."""


def kill(
    host: Reader,
    operation: Callable[[], AbstractContextManager[Operation]],
    container: str | Sandbox,
    number: int,
) -> None:
    """Send a signal to a container's command; after SIGKILL, wait until the container has stopped.

    Args:
        host: what the record is read by.
        operation: begins an operation.
        container: the container.
        number: the signal's.

    Raises:
        Conflict: it does not run.
    """
    from plumb.kernel.process import commands

    with operation() as op:
        box = _note_kill(op, reference(container, "container"), number)
    if box.status is not Status.RUNNING:
        return
    commands.send(host.layout.container(box.id), number)
    deadline = time.monotonic() + STOPPED
    while number == signal.SIGKILL and _runs(host, box) and time.monotonic() < deadline:
        time.sleep(PAUSE)


def _note_kill(op: Operation, name: str, number: int) -> Sandbox:
    """Note that the user ends a container, so that no restart policy starts it again.

    One without a command, and one that waits for its next start, is stopped.
    """
    try:
        box = op.the_sandbox(name)
    except NotFound as error:
        raise NotFound(f"cannot kill container: {name}: {error}", error.hint) from None
    if box.status is Status.RESTARTING:
        return containers.stop(op, box.id)
    if box.status is not Status.RUNNING:
        raise Conflict(f"cannot kill container: {name}: container {box.id} is not running")
    if not box.argv:
        box = replace(containers.stop(op, box.id), exit_code=128 + number)
    else:
        box = replace(box, restarts=replace(box.restarts, stopped=True))
        op.killed[box.id] = number
    op.put(box)
    return box


def _runs(host: Reader, box: Sandbox) -> bool:
    try:
        return host.container(box.id).status is Status.RUNNING
    except NotFound:
        return False


def rename(op: Operation, container: str, name: str) -> Sandbox:
    """Give a container another name, in DNS and in the hosts files of those linked to it too.

    Raises:
        Conflict: the name is in use.
        Invalid: it is no name, or the one that it has.
    """
    box = op.the_sandbox(container)
    name = opt.object_name(name.removeprefix("/"), "container")
    if name == box.name:
        raise Invalid("Renaming a container with the same name as its current name")
    containers.refuse_taken(op, name)
    box = replace(box, name=name)
    op.put(box)
    for end in op.endpoints(sandbox=box.id):
        op.touch(endpoint_owner(end))
    container_links.moved(op, box)
    return box
