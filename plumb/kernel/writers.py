"""Writers: each reads and changes the things of one kind in the calling thread's namespace.

One protocol serves them all, and one table says which writer a type of thing has. Writers that send
many steps at once (rtnetlink, iptables-restore, libnftables, the agent) get the steps of one
namespace that follow one another; the others take one step after another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plumb.errors import PlumbError
from plumb.frozen import frozen
from plumb.kernel import agent_client
from plumb.kernel.net import links, sysctl
from plumb.kernel.netfilter import backends
from plumb.kernel.netns import namespaces
from plumb.kernel.process import commands, files
from plumb.kernel.writer import Writer
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.cluster import EndpointRecord
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import Agent, HostPort, Proxy
from plumb.things.ipsec import XfrmBlock, XfrmPolicy, XfrmState
from plumb.things.iptables import Chain, Policy, Rule
from plumb.things.ipvs import IpvsDestination, IpvsService, IpvsTimeouts
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Bridge, Dummy, Ipvlan, LinkAddress, Macvlan, Master, Up, Veth, Vlan
from plumb.things.nftables import NftChain, NftElement, NftMap, NftRule, NftTable
from plumb.things.policy_routing import RoutingRule, TableRoute
from plumb.things.sandbox import Directory, File, Namespace, Process
from plumb.things.supervision import DelayedStart, HealthProbe
from plumb.things.vxlan import FdbEntry, Neighbour, Vxlan


@frozen
class Batches:
    """Writer that reads or sends many at once, and whose things have no order."""

    name: str
    look: Callable[[Sequence[Thing]], list[Thing | None]]
    take: Callable[[Sequence[Step], list[Step]], None]

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """Refuse: only rules of a firewall have an order."""
        raise TypeError(f"{self.name} has no order")

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Read how these are now; none of them has an order."""
        return self.look(things), []


def one_by_one(
    name: str, look: Callable[[Thing], Thing | None], take: Callable[[Step], None]
) -> Batches:
    """Make a writer of functions for one thing and one step."""
    return Batches(name, lambda things: [look(thing) for thing in things], each(take))


def each(take: Callable[[Step], None]) -> Callable[[Sequence[Step], list[Step]], None]:
    """Make a function that takes one step after another of one that takes a step."""

    def take_each(steps: Sequence[Step], done: list[Step]) -> None:
        for step in steps:
            try:
                take(step)
            except PlumbError as refused:
                raise StepFailed(refused, step, done) from refused
            done.append(step)

    return take_each


@frozen
class Later:
    """Writer of things that few hosts have: it is imported when the first is read or written."""

    name: str
    found: Callable[[], Batches]

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Read how these are now, None for one that is not there."""
        return self.found().look(things)

    def take(self, steps: Sequence[Step], done: list[Step]) -> None:
        """Take the steps."""
        self.found().take(steps, done)

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """Refuse: only rules of a firewall have an order."""
        return self.found().order(rules)

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Refuse likewise."""
        return self.found().look_and_order(things)


@frozen
class Firewall:
    """Writer of rules: it imports the back end when the first rule is read or written."""

    name: str
    back_end: Callable[[], Writer]

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Read how these are now, None for one that is not there."""
        return self.back_end().look(things)

    def take(self, steps: Sequence[Step], done: list[Step]) -> None:
        """Take the steps in one transaction per table or for all of them, as the back end does."""
        try:
            self.back_end().take(steps, done)
        except StepFailed:
            raise
        except PlumbError as refused:
            raise StepFailed(refused, steps[0], done) from refused

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """List those of the rules that are there, those of each chain in the chain's order."""
        return self.back_end().order(rules)

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Read how these are now, and the order of the rules among them."""
        return self.back_end().look_and_order(things)


def _nftables() -> Writer:
    from plumb.kernel.netfilter import nftables

    return nftables.writer()


def _take_sysctl(step: Step) -> None:
    if isinstance(step.after, Sysctl):
        sysctl.write(step.after)


def _look_namespace(thing: Thing) -> Thing | None:
    assert isinstance(thing, Namespace)
    return thing if namespaces.is_namespace(thing.path) else None


def _take_namespace(step: Step) -> None:
    assert isinstance(step.thing, Namespace)
    if step.after is None:
        namespaces.drop(step.thing.path)
    else:
        namespaces.make(step.thing.path)


def _take_namespaces(steps: Sequence[Step], done: list[Step]) -> None:
    """Take steps about namespaces; commands that still run in those that go are killed first."""
    commands.sweep(
        step.thing.path
        for step in steps
        if step.after is None and isinstance(step.thing, Namespace)
    )
    _EACH_NAMESPACE.take(steps, done)


_EACH_NAMESPACE = one_by_one("namespace", _look_namespace, _take_namespace)
AGENT = Batches("agent", agent_client.look, agent_client.take)


def _endpoint_records() -> Batches:
    from plumb.kernel.cluster import endpoint_records

    return Batches("cluster", endpoint_records.look, endpoint_records.take)


def _ipsec() -> Batches:
    from plumb.kernel.cluster import ipsec

    return Batches("ipsec", ipsec.look, ipsec.take)


def _ipvs() -> Batches:
    from plumb.kernel.cluster import ipvs

    return Batches("ipvs", ipvs.look, ipvs.take)


def _policy_routing() -> Batches:
    from plumb.kernel.cluster import policy_routing

    return Batches("policy routing", policy_routing.look, policy_routing.take)


FILE = one_by_one("file", files.look, files.take)
IPTABLES = Firewall("firewall", backends.writer)
NAMESPACE = Batches("namespace", _EACH_NAMESPACE.look, _take_namespaces)
CLUSTER = Later("cluster", _endpoint_records)
IPSEC = Later("ipsec", _ipsec)
IPVS = Later("ipvs", _ipvs)
POLICY_ROUTING = Later("policy routing", _policy_routing)
NETLINK = Batches("netlink", links.look, links.take)
NFTABLES = Firewall("nftables", _nftables)
PROCESS = Batches(
    "process", lambda things: [commands.look(thing) for thing in things], commands.take
)
SYSCTL = Batches("sysctl", sysctl.look, each(_take_sysctl))
WRITERS: dict[type[Thing], Writer] = {
    **dict.fromkeys(
        (Bridge, Veth, Dummy, Vlan, Macvlan, Ipvlan, Master, Up, LinkAddress, Address, Route),
        NETLINK,
    ),
    **dict.fromkeys((Vxlan, FdbEntry, Neighbour), NETLINK),
    **dict.fromkeys((Chain, Rule, Policy), IPTABLES),
    **dict.fromkeys((NftTable, NftMap, NftChain, NftElement, NftRule), NFTABLES),
    **dict.fromkeys((Directory, File), FILE),
    **dict.fromkeys((Agent, HostPort, Proxy, Names, Resolver, HealthProbe, DelayedStart), AGENT),
    EndpointRecord: CLUSTER,
    **dict.fromkeys((XfrmState, XfrmPolicy, XfrmBlock), IPSEC),
    **dict.fromkeys((IpvsService, IpvsDestination, IpvsTimeouts), IPVS),
    **dict.fromkeys((RoutingRule, TableRoute), POLICY_ROUTING),
    Sysctl: SYSCTL,
    Namespace: NAMESPACE,
    Process: PROCESS,
}
"""The writer for each type of thing."""
