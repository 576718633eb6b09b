"""The collector of a trace: packets and rule hits of one flow, from several namespaces at once.

    with Collector(places, flow, memory=folder) as trace:
        …                                           the probe is sent
        records = trace.collect(1.0, enough)

The collector opens two sockets in each namespace: a packet socket (`packet_taps`), and a netlink
socket of nfnetlink, which owns the table that marks the flow's packets (`nftrace_rules`) and
receives the trace messages of nf_tables (`nftrace`) and of the legacy tables (`iptables_trace`).
The kernel puts a message into a socket's queue while it works on the packet; so when a packet
arrives at a tap, all earlier messages about it can be read.

Afterwards the namespaces are as they were. The collector deletes the tables and restores the
loggers at once; the sockets take the kernel some milliseconds to close, which happens in the
background. Should the process be killed, the kernel closes the sockets and thereby deletes the
tables; only the loggers are left, and `undo.sweep`, with which every trace begins, restores them.
"""

from __future__ import annotations

import errno
import fcntl
import selectors
import struct
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import Self

from plumb.errors import KernelRefused
from plumb.frozen import frozen
from plumb.kernel.capture import iptables_trace, nftrace, nftrace_rules, packet_taps
from plumb.kernel.capture.flow_filter import Asked, compiled
from plumb.kernel.capture.nf_log import SavedNfLog
from plumb.kernel.capture.undo import sweep
from plumb.kernel.netlink.codec import Request
from plumb.kernel.netlink.nfnetlink import Netfilter, NfMessage
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFNL_SUBSYS_NFTABLES,
    NFNL_SUBSYS_ULOG,
    NFNLGRP_NFTRACE,
    NFPROTO_BRIDGE,
    NFPROTO_INET,
    NFT_MSG_TRACE,
    NFULNL_MSG_PACKET,
)
from plumb.kernel.netns.namespaces import entered
from plumb.model.observations import CapturedFrame, Flow, Netns, RuleHit

SIOCGIFNAME = 0x8910


@frozen
class Records:
    """Frames and rule hits that a collector has read so far.

    Attributes:
        frames: frames at taps, in order of the kernel's timestamps.
        ruled: rule hits of the packet filters, in the order in which each namespace reported them.
    """

    frames: tuple[CapturedFrame, ...] = ()
    ruled: tuple[RuleHit, ...] = ()


class Collector:
    """Taps and traces in several namespaces, armed for the length of a with block.

    Args:
        places: each namespace once.
        flow: the flow whose packets are collected.
        memory: the folder for notes of the settings to restore should the process be killed
        (Layout.run).
        asked: further packets for the taps.
        bridges: those of the places where rules of nf_tables' family bridge are traced as well.

    Attributes:
        missing: sources that could not be opened, in words; the others work without them.

    Raises:
        KernelRefused: a namespace cannot be entered, or packet sockets are not permitted.
    """

    def __init__(
        self,
        places: Sequence[Netns],
        flow: Flow,
        *,
        memory: str,
        asked: Asked | None = None,
        bridges: Collection[Netns] = (),
    ) -> None:
        sweep(memory)
        self.missing: list[str] = []
        self._watches: list[_Watch] = []
        self._selector = selectors.DefaultSelector()
        self._frames: list[CapturedFrame] = []
        asked = asked or Asked()
        called, program = nftrace_rules.name(), compiled(flow, asked)
        tables = {
            family: (called, nftrace_rules.table(family, called, flow, asked))
            for family in (NFPROTO_INET, NFPROTO_BRIDGE)
        }
        try:
            for place in places:
                with entered(place.ns):
                    watch = _Watch(place, program)
                    self._watches.append(watch)
                    families = (
                        (NFPROTO_INET, NFPROTO_BRIDGE) if place in bridges else (NFPROTO_INET,)
                    )
                    self.missing += watch.arm(
                        {family: tables[family] for family in families}, flow.version, memory
                    )
            if not packet_taps.settle(places):
                self.missing.append(
                    "the kernel does not stamp packets: their order is that of reading"
                )
            for watch in self._watches:
                for source in watch.sources():
                    self._selector.register(source, selectors.EVENT_READ, watch)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def collect(self, seconds: float, enough: Callable[[Records], bool] | None = None) -> Records:
        """Read the sockets, and return all records since the beginning.

        Args:
            seconds: how long to read at most.
            enough: called with all records whenever new ones have come; True ends the reading.
        """
        deadline = time.monotonic() + seconds
        news = self._read(0)
        while not (news and enough and enough(self._records())):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            news = self._read(left)
        self._read(0)
        return self._records()

    def lost(self) -> int:
        """Count the packets and messages dropped for want of room since last time."""
        return sum(watch.lost() for watch in self._watches)

    def _records(self) -> Records:
        ruled = sorted(
            (step for watch in self._watches for step in watch.steps), key=lambda step: step.time
        )
        return Records(tuple(sorted(self._frames, key=lambda frame: frame.time)), tuple(ruled))

    def _read(self, seconds: float) -> bool:
        """Read all sockets that become readable within that time; True for any new record."""
        news = False
        ready = {key.data.place: key.data for key, _ in self._selector.select(seconds)}
        for watch in ready.values():
            frames = watch.tap.read()
            self._frames += frames
            news = watch.hear() or bool(frames) or news
        return news

    def close(self) -> None:
        """Delete the tables, restore the loggers and close the sockets.

        Raises:
            KernelRefused: a logger could not be restored; the next command tries again.
        """
        self._selector.close()
        watches, self._watches = self._watches, []
        stuck: list[KernelRefused] = []
        for watch in watches:
            try:
                watch.disarm()
            except OSError as error:
                stuck.append(
                    KernelRefused(f"put back the logger of {watch.place.name}", error.errno or 0)
                )
            except KernelRefused as error:
                stuck.append(error)
        packet_taps.close_in_background(source for watch in watches for source in watch.sources())
        if stuck:
            raise stuck[0]


class _Watch:
    """A namespace's tap and trace socket; made while the calling thread is in the namespace."""

    def __init__(self, place: Netns, program: bytes) -> None:
        self.place = place
        self.tap = packet_taps.opened(place, program)
        self._netfilter: Netfilter | None = None
        self._tables: dict[int, str] = {}
        self._logger: SavedNfLog | None = None
        self._links: dict[int, str] = {}
        self.steps: list[RuleHit] = []

    def arm(
        self, tables: dict[int, tuple[str, list[Request]]], version: int, memory: str
    ) -> Iterator[str]:
        """Add the tables and join the trace group; yields each source that failed, in words."""
        try:
            self._netfilter = Netfilter()
            self._netfilter.join(NFNLGRP_NFTRACE)
        except OSError as error:
            yield (
                f"{self.place.name}: the firewall's rules are not traced: "
                f"nfnetlink: {error.strerror}"
            )
            return
        for family, (called, requests) in tables.items():
            try:
                self._netfilter.transact(requests)
                self._tables[family] = called
            except OSError as error:
                owners = OWNERS if error.errno in (errno.EINVAL, errno.EOPNOTSUPP) else ""
                yield (
                    f"{self.place.name}: rules of the family {nftrace_rules.family_name(family)} "
                    f"are not traced: {error.strerror}{owners}"
                )
        if self._tables and iptables_trace.tables(version):
            yield from self._log(version, memory)

    def _log(self, version: int, memory: str) -> Iterator[str]:
        """Receive the log of the legacy tables.

        The kernel gives a group to one socket only, and plumb binds the logger as its holder: so no
        other trace changes the logger meanwhile.
        """
        assert self._netfilter is not None
        try:
            self._netfilter.ask(*iptables_trace.listening())
            self._logger = SavedNfLog(version, self.place.ns, memory)
            self._netfilter.ask(iptables_trace.bound(version))
        except OSError as error:
            busy = (
                f": group {iptables_trace.GROUP} of nfnetlink_log is taken"
                if error.errno in (errno.EBUSY, errno.EPERM)
                else ""
            )
            yield (
                f"{self.place.name}: rules of the legacy tables are not traced: "
                f"{error.strerror}{busy}"
            )

    def sources(self) -> list[packet_taps.Tap | Netfilter]:
        """Sockets whose input the collector waits for."""
        return [self.tap, self._netfilter] if self._netfilter else [self.tap]

    def hear(self) -> bool:
        """Add the rule hits that the kernel has reported since last time; True for any."""
        now, news = time.time_ns(), False
        for message in self._netfilter.reports() if self._netfilter else ():
            step = self._step(message, now)
            if step is not None:
                nftrace.joined(self.steps, step)
                news = True
        return news

    def _step(self, message: NfMessage, now: int) -> RuleHit | None:
        if (message.subsystem, message.kind) == (NFNL_SUBSYS_NFTABLES, NFT_MSG_TRACE):
            return nftrace.decoded(message, now, self.place, self._link)
        if (message.subsystem, message.kind) == (NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET):
            return iptables_trace.decoded(message, now, self.place, self._link)
        return None

    def _link(self, index: int) -> str:
        """A link's name by its index, which the tap's socket looks up in its own namespace."""
        if index not in self._links:
            name = ""
            with suppress(OSError):
                name = (
                    fcntl.ioctl(
                        self.tap.fileno(), SIOCGIFNAME, struct.pack("@16si20x", b"", index)
                    )[:16]
                    .rstrip(b"\0")
                    .decode()
                )
            self._links[index] = name
        return self._links[index]

    def lost(self) -> int:
        """Count the packets and messages dropped for want of room since last time."""
        messages = 0
        if self._netfilter:
            messages, self._netfilter.lost = self._netfilter.lost, 0
        return self.tap.lost() + messages

    def disarm(self) -> None:
        """Delete the tables and restore the logger."""
        if self._netfilter:
            for family, called in self._tables.items():
                with suppress(OSError):  # else the kernel does it when the socket closes
                    self._netfilter.transact([nftrace_rules.gone(family, called)])
        if self._logger:
            with entered(self.place.ns):
                self._logger.put_back()
            assert self._netfilter is not None
            with suppress(OSError):
                self._netfilter.ask(iptables_trace.unbound())


OWNERS = " (tables that a socket owns need Linux 5.12)"
