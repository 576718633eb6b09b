"""The real kernel: reads things and takes steps, by namespace, with the writer of each type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby

from plumb.errors import KernelRefused
from plumb.kernel.net import carrier
from plumb.kernel.netns import namespaces
from plumb.kernel.own_paths import require_below
from plumb.kernel.writer import Writer
from plumb.kernel.writers import WRITERS
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.host_ports import HostPort
from plumb.things.iptables import InChain
from plumb.things.links import Up, Veth


class LinuxKernel:
    """The kernel of the machine, seen from the namespace that the calling thread is in.

    Args:
        writers: the writer for each type of thing.
        folders: those below which files, namespaces and processes' folders may lie; any, if none.
    """

    def __init__(
        self, writers: Mapping[type[Thing], Writer] = WRITERS, folders: Sequence[str] = ()
    ) -> None:
        self._writers, self._folders = writers, folders

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Read how these are now, in one visit per namespace."""
        found: dict[int, Thing | None] = {}
        turns = sorted(
            range(len(things)), key=lambda i: (things[i].where, self._writers[type(things[i])].name)
        )
        for where, visit in groupby(turns, key=lambda i: things[i].where):
            mine = list(visit)
            if where and not namespaces.is_namespace(where):
                found.update(dict.fromkeys(mine))
                continue
            with namespaces.entered(where):
                for writer, part in groupby(mine, key=lambda i: self._writers[type(things[i])]):
                    numbers = list(part)
                    found.update(
                        zip(numbers, writer.look([things[i] for i in numbers]), strict=True)
                    )
        return [found[i] for i in range(len(things))]

    def take(self, steps: Sequence[Step]) -> None:
        """Take the steps in order, neighbours of one kind together."""
        require_below(self._folders, steps)
        done: list[Step] = []
        for where, visit in groupby(steps, key=lambda step: step.thing.where):
            mine = list(visit)
            if (
                where
                and all(step.after is None for step in mine)
                and not namespaces.is_namespace(where)
            ):
                done += mine  # the namespace is gone, and all that was in it
                continue
            try:
                with namespaces.entered(where):
                    for writer, part in groupby(
                        mine, key=lambda step: self._writers[type(step.thing)]
                    ):
                        writer.take(list(part), done)
            except KernelRefused as refused:
                raise StepFailed(refused, mine[0], done) from refused
        self._settle(steps)

    def _settle(self, steps: Sequence[Step]) -> None:
        """Wait until new veth pairs whose both ends are up carry packets.

        Let flows ask the rules of ports that came or went.
        """
        raised = {(step.after.ns, step.after.dev) for step in steps if isinstance(step.after, Up)}
        new = [step.after for step in steps if isinstance(step.after, Veth) and step.before is None]
        running = [veth for veth in new if (veth.peer_ns, veth.peer) in raised]
        for where, veths in groupby(running, key=lambda veth: veth.ns):
            with namespaces.entered(where):
                carrier.await_running([veth.name for veth in veths])
        # A port that is only held anew, by an agent that was killed, has its rules and its flows
        # still.
        ruled = any(isinstance(step.thing, InChain) for step in steps)
        ports = [
            port
            for step in steps
            for port in (step.before, step.after)
            if isinstance(port, HostPort) and (ruled or step.before is not None)
        ]
        if ports:
            from plumb.kernel.netfilter import conntrack_flush

            with suppress(
                KernelRefused
            ):  # all has been built: an old flow that lasts is no reason to take it down
                conntrack_flush.forget(ports)

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """List those of the rules of one chain that are there, in the chain's order."""
        if not rules or (rules[0].where and not namespaces.is_namespace(rules[0].where)):
            return []
        with namespaces.entered(rules[0].where):
            return self._writers[type(rules[0])].order(rules)
