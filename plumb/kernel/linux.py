"""The real kernel: steps handed to whoever knows their kind of thing, namespace by namespace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby

from plumb.errors import KernelRefused, PlumbError
from plumb.kernel import agent_client
from plumb.kernel.net import links, sysctl
from plumb.kernel.netfilter.backends import Writer, writer
from plumb.kernel.netns import namespaces
from plumb.kernel.process import commands, files
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import Agent, HostPort, Proxy
from plumb.things.iptables import Chain, InChain, Policy, Rule
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Bridge, Dummy, Ipvlan, Macvlan, Up, Veth, Vlan
from plumb.things.nftables import NftChain, NftElement, NftMap, NftRule, NftTable
from plumb.things.sandbox import Directory, File, Namespace, Process

MEDIUM: dict[type[Thing], str] = {
    Bridge: "netlink",
    Veth: "netlink",
    Dummy: "netlink",
    Vlan: "netlink",
    Macvlan: "netlink",
    Ipvlan: "netlink",
    Up: "netlink",
    Address: "netlink",
    Route: "netlink",
    Sysctl: "sysctl",
    Chain: "firewall",
    Rule: "firewall",
    Policy: "firewall",
    NftTable: "nftables",
    NftMap: "nftables",
    NftChain: "nftables",
    NftElement: "nftables",
    NftRule: "nftables",
    Directory: "file",
    File: "file",
    Namespace: "namespace",
    Process: "process",
    Agent: "agent",
    HostPort: "agent",
    Proxy: "agent",
    Names: "agent",
    Resolver: "agent",
}


class LinuxKernel:
    """The kernel of the machine, seen from the namespace that the calling thread is in."""

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """How these are now, read in one visit per namespace."""
        found: dict[int, Thing | None] = {}
        turns = sorted(range(len(things)), key=lambda i: (things[i].where, MEDIUM[type(things[i])]))
        for where, visit in groupby(turns, key=lambda i: things[i].where):
            mine = list(visit)
            if where and not namespaces.is_namespace(where):
                found.update(dict.fromkeys(mine))
                continue
            with namespaces.entered(where):
                for medium, part in groupby(mine, key=lambda i: MEDIUM[type(things[i])]):
                    numbers = list(part)
                    found.update(
                        zip(numbers, _look(medium, [things[i] for i in numbers]), strict=True)
                    )
        return [found[i] for i in range(len(things))]

    def take(self, steps: Sequence[Step]) -> None:
        """Take the steps in order, neighbours of one kind together."""
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
                    for medium, part in groupby(mine, key=lambda step: MEDIUM[type(step.thing)]):
                        _take(medium, list(part), done)
            except KernelRefused as refused:
                raise StepFailed(refused, mine[0], done) from refused
        self._settle(steps)

    def _settle(self, steps: Sequence[Step]) -> None:
        """Wait until new cables whose both ends are up carry packets.

        Let flows ask the rules of ports that came or went.
        """
        raised = {(step.after.ns, step.after.dev) for step in steps if isinstance(step.after, Up)}
        new = [step.after for step in steps if isinstance(step.after, Veth) and step.before is None]
        links.await_running([veth.name for veth in new if (veth.peer_ns, veth.peer) in raised])
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
        """Those of the rules of one chain that are there, in the chain's order."""
        if not rules or (rules[0].where and not namespaces.is_namespace(rules[0].where)):
            return []
        with namespaces.entered(rules[0].where):
            return _writer(MEDIUM[type(rules[0])]).order(rules)


def _writer(medium: str) -> Writer:
    if medium == "nftables":
        from plumb.kernel.netfilter import nftables

        return nftables.writer()
    return writer()


def _look(medium: str, things: list[Thing]) -> list[Thing | None]:
    if medium in ("firewall", "nftables"):
        return _writer(medium).look(things)
    if medium == "agent":
        return agent_client.look(things)
    return [LOOK[medium](thing) for thing in things]


def _take(medium: str, part: list[Step], done: list[Step]) -> None:
    if medium == "netlink":
        links.take(part, done)
    elif medium == "agent":
        agent_client.take(part, done)
    elif medium in ("firewall", "nftables"):
        try:
            _writer(medium).take(part, done)
        except StepFailed:
            raise
        except PlumbError as refused:
            raise StepFailed(refused, part[0], done) from refused
    else:
        if medium == "namespace":
            commands.sweep(
                step.thing.path
                for step in part
                if step.after is None and isinstance(step.thing, Namespace)
            )
        for step in part:
            try:
                TAKE[medium](step)
            except PlumbError as refused:
                raise StepFailed(refused, step, done) from refused
            done.append(step)


def _take_namespace(step: Step) -> None:
    assert isinstance(step.thing, Namespace)
    if step.after is None:
        namespaces.drop(step.thing.path)
    else:
        namespaces.make(step.thing.path)


def _take_sysctl(step: Step) -> None:
    if isinstance(step.after, Sysctl):
        sysctl.write(step.after)


def _look_namespace(thing: Thing) -> Thing | None:
    assert isinstance(thing, Namespace)
    return thing if namespaces.is_namespace(thing.path) else None


def _look_sysctl(thing: Thing) -> Thing | None:
    assert isinstance(thing, Sysctl)
    return sysctl.look(thing)


LOOK: dict[str, Callable[[Thing], Thing | None]] = {
    "netlink": links.look,
    "sysctl": _look_sysctl,
    "file": files.look,
    "namespace": _look_namespace,
    "process": commands.look,
}
TAKE: dict[str, Callable[[Step], None]] = {
    "sysctl": _take_sysctl,
    "file": files.take,
    "namespace": _take_namespace,
    "process": commands.take,
}
