"""Links, addresses and routes as rtnetlink messages, written and read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from plumb.errors import KernelRefused
from plumb.frozen import replace
from plumb.kernel.features.table import explain
from plumb.kernel.net.link_messages import (
    IPVLAN_FLAGS,
    NetnsFd,
    adding,
    changing,
    index,
    link,
    removing,
    removing_newborn,
    settling,
)
from plumb.kernel.net.namespace_state import FEW, IPV6_CONF, MODES, LinkReply, NamespaceState
from plumb.kernel.net.vxlan import as_vxlan, look_fdb_entry, look_neighbour
from plumb.kernel.netlink.codec import NetlinkAck, Request, attribute_u32, number
from plumb.kernel.netlink.connection import BATCH, Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFINFOMSG,
    IFLA_BR_VLAN_DEFAULT_PVID,
    IFLA_GROUP,
    IFLA_IPVLAN_FLAGS,
    IFLA_IPVLAN_MODE,
    IFLA_MACVLAN_MODE,
    IFLA_VLAN_ID,
    RTM_DELLINK,
    RTM_NEWLINK,
    RTPROT_BOOT,
)
from plumb.kernel.netns.namespaces import entered, is_namespace
from plumb.plan import Step, StepFailed
from plumb.things import HOST, Thing
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import (
    Bridge,
    InPlace,
    Ipvlan,
    LinkAddress,
    Macvlan,
    Master,
    Moved,
    OnParent,
    Up,
    Veth,
    Vlan,
)
from plumb.things.vxlan import FdbEntry, Neighbour, Vxlan

MANY = 2  # veth pairs from this number on are removed together
FEW_OF_SANDBOX = 1
"""Links of a sandbox that are asked for by name: it has so few that all of them cost no more."""
GONE = frozenset({errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENOENT})
TAKEN = (
    "its parent has links of another kind, or is a bridge's port: "
    "an ipvlan network cannot share it with a macvlan network"
)
ONE = "in passthru mode there is room for one container on a parent"
HINTS = {
    **{(kind, errno.EBUSY): TAKEN for kind in ("macvlan", "ipvlan")},
    **{(kind, errno.EINVAL): ONE for kind in ("macvlan", "ipvlan")},
    ("vxlan", errno.EEXIST): "another VXLAN link of this host, in whatever namespace, has this VNI "
    "and port: 'ip -d link show type vxlan', or another plumb or Docker on this host has it",
}
"""Remedies by the kind of link and the errno."""


# -- take ---------------------------------------------------------------------


def take(steps: Sequence[Step], done: list[Step]) -> None:
    """Take steps about links, addresses and routes of the calling thread's namespace.

    Args:
        steps: the steps, in their order.
        done: gets the steps that the kernel has taken.

    Raises:
        StepFailed: the kernel refused a step.
    """
    with _route_socket() as kernel:
        veths = [step for step in steps if step.after is None and isinstance(step.before, Veth)]
        removed = set(_remove_together(kernel, veths)) if len(veths) >= MANY else set()
        done += removed
        sender = _Sender(kernel, done)
        try:
            for step in steps:
                if step not in removed:
                    sender.add(step)
            sender.flush()
        finally:
            sender.close()


def _route_socket() -> Connection:
    return Connection(NETLINK_ROUTE, strict=True)


def _remove_together(kernel: Connection, steps: list[Step]) -> list[Step]:
    """Remove many veth pairs at a time: put them into a link group, and delete the group.

    For each deletion the kernel waits until all CPUs have let go of the link, a hundredth of a
    second; for a group once.
    """
    group = attribute_u32(IFLA_GROUP, int.from_bytes(os.urandom(4)) % (1 << 30) + (1 << 20))
    names = [
        step.before.name
        for step in steps
        if isinstance(step.before, Veth) and _is_there(step.before)
    ]
    kernel.send([Request(RTM_NEWLINK, 0, link(name, group)) for name in names])
    answer = kernel.send([Request(RTM_DELLINK, 0, bytes(IFINFOMSG.size) + group)])[0]
    return steps if answer.errno == 0 or answer.errno in GONE else []


class _Sender:
    """A queue of steps for the kernel.

    They wait until there are enough, or until a step needs the effect of those before it.
    """

    def __init__(self, kernel: Connection, done: list[Step]) -> None:
        self._kernel, self._done = kernel, done
        self._waiting: list[tuple[Step, list[Request]]] = []
        self._descriptors: dict[str, int] = {}

    def add(self, step: Step) -> None:
        """Take a step, now or with the next ones."""
        if isinstance(step.thing, Moved) and step.before is not None:
            self.flush()
            self._ask_inside(step, step.thing, removing if step.after is None else changing)
            return
        try:
            self._waiting.append((step, _messages(step, self._descriptor)))
        except OSError:
            # A link that an earlier step in the queue makes has no index yet: send the queue, and
            # look the index up again.
            self.flush()
            self._add_now(step)
        except KernelRefused as refused:
            self.flush()
            raise StepFailed(refused, step, self._done) from refused
        if len(self._descriptors) >= BATCH:
            self.flush()
        if isinstance(step.thing, Moved):
            self.flush()
            self._done.remove(step)
            try:
                self._ask_inside(step, step.thing, settling)
            except StepFailed:
                self._ask_inside(Step(step.thing, None), step.thing, removing_newborn)
                self._done.pop()
                raise

    def _ask_inside(
        self, step: Step, thing: Moved, messages: Callable[[Moved], list[Request]]
    ) -> None:
        """Send a step's messages from within the link's own namespace."""
        if step.after is not None or is_namespace(thing.ns):
            try:
                with entered(thing.ns), _route_socket() as kernel:
                    bad = next(
                        (
                            answer
                            for answer in kernel.send(messages(thing))
                            if not _fine(step, answer)
                        ),
                        None,
                    )
            except (OSError, KernelRefused) as refused:
                cause = (
                    refused
                    if isinstance(refused, KernelRefused)
                    else _refused(step, refused.errno or 0)
                )
                raise StepFailed(cause, step, self._done) from refused
            if bad is not None:
                raise StepFailed(_refused(step, bad.errno, bad.said), step, self._done)
        self._done.append(step)

    def _add_now(self, step: Step) -> None:
        try:
            self._waiting.append((step, _messages(step, self._descriptor)))
        except OSError as error:
            if step.after is not None:
                raise StepFailed(_refused(step, error.errno or 0), step, self._done) from error
            self._done.append(step)  # the link is gone, and what was on it

    def flush(self) -> None:
        """Send the queue; note the steps that are done, and raise the first refusal."""
        sent, self._waiting = self._waiting, []
        answers = iter(self._kernel.send([message for _, messages in sent for message in messages]))
        self.close()
        failed: tuple[Step, NetlinkAck] | None = None
        for step, messages in sent:
            bad = next((a for a in [next(answers) for _ in messages] if not _fine(step, a)), None)
            if bad is None:
                self._done.append(step)
            elif failed is None:
                failed = step, bad
        if failed:
            step, answer = failed
            raise StepFailed(_refused(step, answer.errno, answer.said), step, self._done)

    def _descriptor(self, path: str) -> int:
        """An open namespace file, for a message that names it by descriptor."""
        if path not in self._descriptors:
            try:
                self._descriptors[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise KernelRefused(f"open namespace {path}", error.errno or 0) from error
        return self._descriptors[path]

    def close(self) -> None:
        """Close the namespace files."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])


def _messages(step: Step, descriptor: NetnsFd) -> list[Request]:
    if step.after is None:
        assert step.before is not None
        if isinstance(step.before, InPlace) and not _is_there(step.before):
            return []  # a link of this name that is not plumb's stays
        return removing(step.before)
    if step.before is None or isinstance(step.after, Up):
        return adding(step.after, descriptor)
    return changing(step.after)


def _refused(step: Step, number: int, said: str = "") -> KernelRefused:
    """A refusal, with a remedy, which names a kind of link that the kernel does not have."""
    thing, hint = step.thing, ""
    if isinstance(thing, InPlace | Moved):
        hint = explain(thing.kind, number) or HINTS.get((thing.kind, number), "")
    return KernelRefused(str(step), number, said, hint)


def _fine(step: Step, answer: NetlinkAck) -> bool:
    return answer.errno == 0 or (step.after is None and answer.errno in GONE)


# -- look ---------------------------------------------------------------------


def look(things: Sequence[Thing]) -> list[Thing | None]:
    """Read links with some of their settings, addresses and routes of the thread's namespace."""
    links = {thing.name for thing in things if isinstance(thing, InPlace)}
    links |= {str(thing.dev) for thing in things if isinstance(thing, Up | LinkAddress | Sysctl)}
    addresses = sum(isinstance(thing, Address) for thing in things)
    few = FEW if things[0].where == HOST else FEW_OF_SANDBOX
    with NamespaceState(len(links), addresses, few) as state:
        return [_look(thing, state) for thing in things]


def _look(thing: Thing, state: NamespaceState) -> Thing | None:
    match thing:
        case InPlace():
            return look_link(thing, state)
        case Vxlan():
            return _look_vxlan(thing)
        case OnParent():
            return _look_on_parent(thing)
        case FdbEntry():
            return look_fdb_entry(thing, state)
        case Neighbour():
            return look_neighbour(thing, state)
        case Master(dev=dev):
            found = state.link(dev)
            bridge = state.name_of(found.master_index) if found else ""
            return replace(thing, bridge=bridge) if bridge else None
        case Up(dev=dev):
            found = state.link(dev)
            return thing if found and found.up else None
        case Sysctl():
            return _look_sysctl(thing, state)
        case LinkAddress(dev=dev):
            found = state.link(dev)
            return replace(thing, mac=found.mac) if found else None
        case Address(dev=dev, ip=ip):
            if not state.has_address(dev, ip):
                return None
            return replace(thing, connected=state.is_connected(dev, ip))
    assert isinstance(thing, Route)
    return _look_route(thing, state)


def look_link(thing: InPlace, state: NamespaceState) -> Thing | None:
    """Read a link of the host; None where there is none, or one that is not plumb's."""
    found = state.link(thing.name)
    if found is None or found.kind != thing.kind:
        return None
    mtu = found.mtu if getattr(thing, "mtu", None) else None
    match thing:
        case Bridge():
            return _as_bridge(found, thing, mtu) if found.mac == thing.mac else None
        case Vlan():
            same = found.own(IFLA_VLAN_ID) == thing.id
            return thing if same and state.name_of(found.parent) == thing.parent else None
        case Veth():
            if found.peer_nsid is None:
                return None  # the peer of plumb's is in another namespace
            master = state.name_of(found.master_index)
            return replace(thing, mtu=mtu, master=master, up=found.up, hairpin=found.hairpin)
    return thing


def _as_bridge(found: LinkReply, thing: Bridge, mtu: int | None) -> Bridge:
    pvid = found.own_bytes(IFLA_BR_VLAN_DEFAULT_PVID) if thing.default_pvid is not None else b""
    return replace(thing, mtu=mtu, default_pvid=number(pvid) if pvid else thing.default_pvid)


def _is_there(thing: InPlace) -> bool:
    with NamespaceState() as state:
        return look_link(thing, state) is not None


def _look_on_parent(thing: OnParent) -> OnParent | None:
    """Read a link in a sandbox; None where there is none, or its kind or its parent is another."""
    try:
        parent = index(thing.parent)
    except OSError:
        return None
    if not is_namespace(thing.ns):
        return None
    with entered(thing.ns), NamespaceState() as state:
        found = state.link(thing.name) or state.link(thing.born)
    if found is None or found.kind != thing.kind or found.parent != parent:
        return None
    return _as_on_parent(found, thing)


def _look_vxlan(thing: Vxlan) -> Vxlan | None:
    """Read a VXLAN link where it was moved to; None where there is none."""
    if not is_namespace(thing.ns):
        return None
    with entered(thing.ns), NamespaceState() as state:
        found = state.link(thing.name) or state.link(thing.born)
    if found is None or found.kind != thing.kind:
        return None
    return as_vxlan(found, thing)


def _as_on_parent(found: LinkReply, made: OnParent) -> OnParent:
    # It has its first name still where the command that made it was killed.
    thing = replace(made, name=found.name)
    if isinstance(thing, Macvlan):
        mode = MODES["macvlan"].get(found.own(IFLA_MACVLAN_MODE), "")
        return replace(thing, mac=found.mac, mode=mode)
    assert isinstance(thing, Ipvlan)
    flags = {number: name for name, number in IPVLAN_FLAGS.items()}
    return replace(
        thing,
        mode=MODES["ipvlan"].get(found.own(IFLA_IPVLAN_MODE), ""),
        flag=flags.get(found.own(IFLA_IPVLAN_FLAGS), ""),
    )


def tells(thing: Thing) -> bool:
    """True for a setting that a link's message has too."""
    return (
        isinstance(thing, Sysctl)
        and thing.name.startswith("net/ipv6/conf/")
        and thing.dev is not None
        and thing.name.rpartition("/")[2] in IPV6_CONF
    )


def _look_sysctl(thing: Sysctl, state: NamespaceState) -> Sysctl | None:
    """Read a setting of a link; None where there is no such link, or no IPv6 on it."""
    found = state.link(thing.dev or "")
    value = found.ipv6_conf(thing.name.rpartition("/")[2]) if found else None
    return replace(thing, value=str(value)) if value is not None else None


def _look_route(thing: Route, state: NamespaceState) -> Route | None:
    for found in state.main_table(thing.dst.version):
        if (
            found.length == thing.dst.prefixlen
            and found.protocol == RTPROT_BOOT
            and found.dst == thing.dst.network_address.packed
        ):
            return replace(thing, via=found.via, dev=state.name_of(found.dev))
    return None
