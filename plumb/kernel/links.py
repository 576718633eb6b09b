"""Links, addresses and routes as rtnetlink messages, written and read."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import singledispatch
from ipaddress import ip_address, ip_interface
from typing import Any

from plumb.errors import KernelRefused, StepFailed
from plumb.kernel import netlink as nl
from plumb.kernel.netlink import Answer, Message, RouteSocket
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.layer3 import Address, Route
from plumb.things.links import Bridge, Up, Veth

IFF_UP, IFF_RUNNING, SIOCGIFFLAGS = 0x1, 0x40, 0x8913
IFA_F_NODAD = 0x02
MAIN_TABLE, PROTO_BOOT, SCOPE_UNIVERSE, SCOPE_LINK, UNICAST = 254, 3, 0, 253, 1
MANY = 2    # cables from this number on are removed together
GONE = frozenset({errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENOENT})
NetnsFd = Callable[[str], int]


def family(version: int) -> int:
    """AF_INET or AF_INET6."""
    return socket.AF_INET if version == 4 else socket.AF_INET6


def index(dev: str) -> int:
    """A link's index in the calling thread's namespace.

    Raises:
        OSError: ENODEV, there is no such link.
    """
    return socket.if_nametoindex(dev)


def link(name: str, *attributes: tuple[str, object], up: bool | None = None) -> Any:
    """A link message about the link of that name."""
    body = nl.ifinfmsg()
    body["attrs"] = [("IFLA_IFNAME", name), *attributes]
    if up is not None:
        body["flags"], body["change"] = (IFF_UP if up else 0), IFF_UP
    return body


# -- things as messages -------------------------------------------------------


@singledispatch
def adding(thing: Thing, descriptor: NetnsFd) -> list[Message]:
    """The messages that make a thing."""
    raise NotImplementedError(type(thing))


@adding.register
def _(thing: Bridge, descriptor: NetnsFd) -> list[Message]:
    kind = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]})
    made = [Message(nl.NEWLINK, nl.CREATE | nl.EXCL, link(thing.name, ("IFLA_ADDRESS", thing.mac), kind))]
    # An MTU that is set, rather than given at birth, stays: the kernel would follow the ports' smallest.
    return made + ([Message(nl.NEWLINK, 0, link(thing.name, ("IFLA_MTU", thing.mtu)))] if thing.mtu else [])


@adding.register
def _(thing: Veth, descriptor: NetnsFd) -> list[Message]:
    mtu = [("IFLA_MTU", thing.mtu)] if thing.mtu else []
    peer = {"attrs": [("IFLA_IFNAME", thing.peer), ("IFLA_ADDRESS", thing.peer_mac), *mtu,
                      ("IFLA_NET_NS_FD", descriptor(thing.peer_ns))]}
    info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", peer)]})]}
    body = link(thing.name, ("IFLA_MASTER", index(thing.master)), *mtu, ("IFLA_LINKINFO", info), up=thing.up)
    return [Message(nl.NEWLINK, nl.CREATE | nl.EXCL, body), *(_hairpin(thing) if thing.hairpin else [])]


def _hairpin(thing: Veth) -> list[Message]:
    """A bridge port's own settings go to the port, which is there only once the link is."""
    data = {"attrs": [("IFLA_BRPORT_MODE", int(thing.hairpin))]}
    info = {"attrs": [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", data)]}
    return [Message(nl.NEWLINK, 0, link(thing.name, ("IFLA_LINKINFO", info)))]


@adding.register
def _(thing: Up, descriptor: NetnsFd) -> list[Message]:
    return [Message(nl.NEWLINK, 0, link(thing.dev, up=True))]


@adding.register
def _(thing: Address, descriptor: NetnsFd) -> list[Message]:
    return [Message(nl.NEWADDR, nl.CREATE | nl.EXCL, address(thing))]


@adding.register
def _(thing: Route, descriptor: NetnsFd) -> list[Message]:
    return [Message(nl.NEWROUTE, nl.CREATE | nl.EXCL, route(thing))]


@singledispatch
def removing(thing: Thing) -> list[Message]:
    """The messages that take a thing away."""
    raise NotImplementedError(type(thing))


@removing.register(Bridge)
@removing.register(Veth)
def _(thing: Bridge | Veth) -> list[Message]:
    return [Message(nl.DELLINK, 0, link(thing.name))]


@removing.register
def _(thing: Up) -> list[Message]:
    return [Message(nl.NEWLINK, 0, link(thing.dev, up=False))]


@removing.register
def _(thing: Address) -> list[Message]:
    return [Message(nl.DELADDR, 0, address(thing))]


@removing.register
def _(thing: Route) -> list[Message]:
    return [Message(nl.DELROUTE, 0, route(thing))]


@singledispatch
def changing(thing: Thing) -> list[Message]:
    """The messages that bring a thing which is there into this state."""
    raise NotImplementedError(type(thing))


@changing.register
def _(thing: Bridge) -> list[Message]:
    return [Message(nl.NEWLINK, 0, link(thing.name, ("IFLA_MTU", thing.mtu or 1500), ("IFLA_ADDRESS", thing.mac)))]


@changing.register
def _(thing: Veth) -> list[Message]:
    attributes = (("IFLA_MASTER", index(thing.master) if thing.master else 0), ("IFLA_MTU", thing.mtu or 1500))
    port = _hairpin(thing) if thing.master else []
    return [Message(nl.NEWLINK, 0, link(thing.name, *attributes, up=thing.up)), *port]


@changing.register
def _(thing: Route) -> list[Message]:
    return [Message(nl.NEWROUTE, nl.CREATE | nl.REPLACE, route(thing))]


def address(thing: Address) -> Any:
    """An address message."""
    body = nl.ifaddrmsg()
    ip = thing.ip
    body["family"], body["prefixlen"], body["index"] = family(ip.version), ip.network.prefixlen, index(thing.dev)
    body["attrs"] = [("IFA_LOCAL", str(ip.ip)), ("IFA_ADDRESS", str(ip.ip))]
    if ip.version == 6:
        body["flags"] = IFA_F_NODAD
    elif ip.network.prefixlen < 31:
        body["attrs"].append(("IFA_BROADCAST", str(ip.network.broadcast_address)))
    return body


def route(thing: Route) -> Any:
    """A route message; `proto boot`, as for what is typed by hand."""
    body = nl.rtmsg()
    body["family"], body["dst_len"], body["table"] = family(thing.dst.version), thing.dst.prefixlen, MAIN_TABLE
    body["proto"], body["scope"], body["type"] = PROTO_BOOT, SCOPE_UNIVERSE, UNICAST
    body["attrs"] = [("RTA_GATEWAY", str(thing.via)), ("RTA_OIF", index(thing.dev))]
    if thing.dst.prefixlen:
        body["attrs"].append(("RTA_DST", str(thing.dst.network_address)))
    return body


# -- take ---------------------------------------------------------------------


def take(steps: Sequence[Step], done: list[Step]) -> None:
    """Take steps that are all about links, addresses and routes of the calling thread's namespace."""
    with RouteSocket() as kernel:
        cables = [step for step in steps if step.after is None and isinstance(step.before, Veth)]
        removed = set(_remove_together(kernel, cables)) if len(cables) >= MANY else set()
        done += removed
        sender = _Sender(kernel, done)
        try:
            for step in steps:
                if step not in removed:
                    sender.add(step)
            sender.flush()
        finally:
            sender.close()


def _remove_together(kernel: RouteSocket, steps: list[Step]) -> list[Step]:
    """Remove many cables at a time: put them into a link group, and delete the group.

    For each deletion the kernel waits until all CPUs have let go of the link, a hundredth of a second; for a group once.
    """
    group = ("IFLA_GROUP", secrets.randbelow(1 << 30) + (1 << 20))
    names = [step.before.name for step in steps if isinstance(step.before, Veth) and look_link(step.before) is not None]
    kernel.ask([Message(nl.NEWLINK, 0, link(name, group)) for name in names])
    body = nl.ifinfmsg()
    body["attrs"] = [group]
    answer = kernel.ask([Message(nl.DELLINK, 0, body)])[0]
    return steps if answer.errno == 0 or answer.errno in GONE else []


class _Sender:
    """Steps on their way to the kernel: they wait until there are enough, or until one needs to see those before it."""

    def __init__(self, kernel: RouteSocket, done: list[Step]) -> None:
        self._kernel, self._done = kernel, done
        self._waiting: list[tuple[Step, list[Message]]] = []
        self._descriptors: dict[str, int] = {}

    def add(self, step: Step) -> None:
        """Take a step, now or with the next ones."""
        try:
            self._waiting.append((step, _messages(step, self._descriptor)))
        except OSError:
            # A link that is only about to be made has no index yet: send what waits, and look again.
            self.flush()
            self._add_now(step)
        except KernelRefused as refused:
            self.flush()
            raise StepFailed(refused, step, self._done) from refused
        if len(self._descriptors) >= nl.BATCH:
            self.flush()

    def _add_now(self, step: Step) -> None:
        try:
            self._waiting.append((step, _messages(step, self._descriptor)))
        except OSError as error:
            if step.after is not None:
                raise StepFailed(KernelRefused(str(step), error.errno or 0), step, self._done) from error
            self._done.append(step)         # the link is gone, and what was on it

    def flush(self) -> None:
        """Send what waits; note what was done, and raise the first refusal."""
        sent, self._waiting = self._waiting, []
        answers = iter(self._kernel.ask([message for _, messages in sent for message in messages]))
        self.close()
        failed: tuple[Step, Answer] | None = None
        for step, messages in sent:
            bad = next((a for a in [next(answers) for _ in messages] if not _fine(step, a)), None)
            if bad is None:
                self._done.append(step)
            elif failed is None:
                failed = step, bad
        if failed:
            step, answer = failed
            raise StepFailed(KernelRefused(str(step), answer.errno, answer.said), step, self._done)

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


def _messages(step: Step, descriptor: NetnsFd) -> list[Message]:
    if step.after is None:
        assert step.before is not None
        if isinstance(step.before, Bridge | Veth) and look_link(step.before) is None:
            return []                     # a link of this name that is not ours is left alone
        return removing(step.before)
    if step.before is None or isinstance(step.after, Up):
        return adding(step.after, descriptor)
    return changing(step.after)


def _fine(step: Step, answer: Answer) -> bool:
    return answer.errno == 0 or (step.after is None and answer.errno in GONE)


# -- look ---------------------------------------------------------------------


def look_link(thing: Bridge | Veth) -> Thing | None:
    """A bridge or veth as it is now; None where there is none, or one that is not plumb's."""
    with RouteSocket() as kernel:
        for found in kernel.get(nl.GETLINK, link(thing.name)):
            info = found.get_attr("IFLA_LINKINFO")
            kind = info.get_attr("IFLA_INFO_KIND") if info else None
            mtu = found.get_attr("IFLA_MTU") if thing.mtu else None
            if isinstance(thing, Bridge):
                ours = kind == "bridge" and found.get_attr("IFLA_ADDRESS") == thing.mac
                return replace(thing, mtu=mtu) if ours else None
            if kind != "veth" or found.get_attr("IFLA_LINK_NETNSID") is None:
                return None                   # ours leads to another namespace
            port = info.get_attr("IFLA_INFO_SLAVE_DATA") if info else None
            return replace(thing, mtu=mtu, master=_name(found.get_attr("IFLA_MASTER")),
                           up=bool(found["flags"] & IFF_UP),
                           hairpin=bool(port.get_attr("IFLA_BRPORT_MODE")) if port else False)
    return None


def _name(number: int | None) -> str:
    try:
        return socket.if_indextoname(number) if number else ""
    except OSError:
        return ""


def look(thing: Thing) -> Thing | None:
    """How a link, an address or a route is now."""
    if isinstance(thing, Bridge | Veth):
        return look_link(thing)
    with RouteSocket() as kernel:
        if isinstance(thing, Up):
            links = kernel.get(nl.GETLINK, link(thing.dev))
            return thing if any(found["flags"] & IFF_UP for found in links) else None
        if isinstance(thing, Address):
            return thing if thing.ip in addresses(kernel, thing.dev, thing.ip.version) else None
        assert isinstance(thing, Route)
        return _look_route(kernel, thing)


def addresses(kernel: RouteSocket, dev: str, version: int) -> list[Any]:
    """The addresses of one family on a link, as interfaces."""
    body = nl.ifaddrmsg()
    try:
        body["family"], body["index"] = family(version), index(dev)
    except OSError:
        return []
    return [ip_interface(f"{found.get_attr('IFA_LOCAL') or found.get_attr('IFA_ADDRESS')}/{found['prefixlen']}")
            for found in kernel.get(nl.GETADDR, body, dump=True)]


def _look_route(kernel: RouteSocket, thing: Route) -> Route | None:
    for found in main_table(kernel, thing.dst.version):
        if found["dst_len"] != thing.dst.prefixlen or found["proto"] != PROTO_BOOT:
            continue
        via = found.get_attr("RTA_GATEWAY")
        if via and (found.get_attr("RTA_DST") or str(thing.dst.network_address)) == str(thing.dst.network_address):
            return replace(thing, via=ip_address(via), dev=_name(found.get_attr("RTA_OIF")))
    return None


def main_table(kernel: RouteSocket, version: int) -> Iterator[Any]:
    """The routes of the main table, one family's."""
    body = nl.rtmsg()
    body["family"], body["table"] = family(version), MAIN_TABLE
    for found in kernel.get(nl.GETROUTE, body, dump=True):
        if (found.get_attr("RTA_TABLE") or found["table"]) == MAIN_TABLE:
            yield found


def await_running(devs: Sequence[str], seconds: float = 5.0) -> None:
    """Wait until links are not only up but running, so that the first packet is not lost.

    A veth runs when both its ends are up; the kernel says so a moment later, from its link-watch work queue.
    """
    if not devs:
        return
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for dev in devs:
            while not _running(asking, dev) and time.monotonic() < deadline:
                time.sleep(0.0002)


def _running(asking: socket.socket, dev: str) -> bool:
    """Whether a link runs, or is gone; by ioctl, since netlink's answer would tell forty other things as well."""
    try:
        answer = fcntl.ioctl(asking, SIOCGIFFLAGS, struct.pack("16sH14x", dev.encode(), 0))
    except OSError:
        return True
    return bool(struct.unpack_from("H", answer, 16)[0] & IFF_RUNNING)
