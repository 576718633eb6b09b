"""Namespaces whose file was lost (`umount`, `rm`): a repair finds them again, or builds them anew.

The kernel keeps a network namespace as long as a process or a socket is in it, so its end of the
veth pair stays as well. Where the container's command runs, the command leads to the namespace, and
plumb mounts that one again. Elsewhere nothing leads to it: the container gets another, and the veth
pair to the lost one makes room.
"""

from __future__ import annotations

from contextlib import suppress

from plumb.engine.desired_state import endpoint_owner
from plumb.engine.operation import Operation
from plumb.engine.repair import look
from plumb.errors import PlumbError
from plumb.kernel.netns import namespaces
from plumb.kernel.process import commands
from plumb.model.cnm import Endpoint, Sandbox, Status
from plumb.plan import Kernel, Step, take_all
from plumb.things.links import Veth


def find(op: Operation) -> None:
    """Mount the namespaces of running commands again whose file was lost."""
    for box in op.all(Sandbox):
        path = op.layout.namespace(box.id)
        if box.status is not Status.RUNNING or box.shares or namespaces.is_namespace(path):
            continue
        pid = commands.alive(op.layout.container(box.id))[0]
        if pid:
            with suppress(PlumbError):  # then it gets another one, as where no command runs
                namespaces.pin(path, pid)


def make_room(op: Operation, kernel: Kernel) -> list[PlumbError]:
    """Remove the veth pairs to namespaces that cannot be found; the errors of what stays."""
    left = [
        thing
        for end in op.all(Endpoint)
        for thing in op.store.things(endpoint_owner(end))
        if isinstance(thing, Veth) and not namespaces.is_namespace(thing.peer_ns)
    ]
    there = look(kernel, left)
    return take_all([Step(thing, None) for thing in there.values()], kernel)
