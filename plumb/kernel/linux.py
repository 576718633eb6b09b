"""The real kernel: reads things and takes steps, by namespace, with the writer of each type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby

from plumb.errors import KernelRefused
from plumb.kernel.net import carrier, links
from plumb.kernel.netlink import nfnetlink
from plumb.kernel.netns import namespaces, proc_sys
from plumb.kernel.own_paths import require_below
from plumb.kernel.writer import Writer
from plumb.kernel.writers import WRITERS
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.host_ports import HostPort
from plumb.things.iptables import InChain
from plumb.things.layer3 import Sysctl
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

        def read(writer: Writer, numbers: Sequence[int]) -> None:
            now = writer.look([things[i] for i in numbers])
            found.update(zip(numbers, now, strict=True))

        self._visit(things, read)
        return [found.get(i) for i in range(len(things))]

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Read how these are now, and the order of the rules among them, each chain once."""
        found: dict[int, Thing | None] = {}
        order: list[Thing] = []

        def read(writer: Writer, numbers: Sequence[int]) -> None:
            now, ordered = writer.look_and_order([things[i] for i in numbers])
            found.update(zip(numbers, now, strict=True))
            order.extend(ordered)

        self._visit(things, read)
        return [found.get(i) for i in range(len(things))], order

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """List those of the rules that are there, those of each chain in the chain's order."""
        order: list[Thing] = []

        def read(writer: Writer, numbers: Sequence[int]) -> None:
            order.extend(writer.order([rules[i] for i in numbers]))

        self._visit(rules, read)
        return order

    def _visit(
        self, things: Sequence[Thing], read: Callable[[Writer, Sequence[int]], None]
    ) -> None:
        """Enter each namespace once, and have each writer read its things there, by their numbers.

        What is in a namespace that is gone is passed over.
        """
        places: dict[str, dict[str, list[int]]] = {}
        for i, thing in enumerate(things):
            place = places.setdefault(thing.where, {})
            place.setdefault(self._reader(thing).name, []).append(i)
        with proc_sys.renewed(len(places)), namespaces.Tour() as tour:
            for where, parts in places.items():
                for numbers in parts.values() if tour.visit(where) else ():
                    read(self._reader(things[numbers[0]]), numbers)

    def _reader(self, thing: Thing) -> Writer:
        """Reader of a thing: its writer, but for a setting that comes with its link's message."""
        kind = type(thing)
        return self._writers[Up if kind is Sysctl and links.tells(thing) else kind]

    def take(self, steps: Sequence[Step]) -> None:
        """Take the steps in order, neighbours of one kind together."""
        require_below(self._folders, steps)
        set_in = {step.thing.where for step in steps if isinstance(step.after, Sysctl)}
        with nfnetlink.closing_last(), proc_sys.renewed(len(set_in)):
            self._take(steps)
        self._settle(steps)

    def _take(self, steps: Sequence[Step]) -> None:
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
        # still. A new one of TCP has no flows: those of its container's address went with the port
        # before it, and a connection to the host itself stays.
        ruled = any(isinstance(step.thing, InChain) for step in steps)
        ports = [
            port
            for step in steps
            for port in (step.before, step.after)
            if isinstance(port, HostPort)
            and (step.before is not None or (ruled and port.protocol == "udp"))
        ]
        if ports:
            from plumb.kernel.netfilter import conntrack_flush

            with suppress(
                KernelRefused
            ):  # all has been built: an old flow that lasts is no reason to take it down
                conntrack_flush.forget(ports)
