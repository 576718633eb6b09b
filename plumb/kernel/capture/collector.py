"""Collecting: taps and the firewall's traces of several namespaces, armed together, read together, disarmed together.

    with Collector(places, flow, memory=folder) as trace:
        …                                           the probe is sent
        records = trace.collect(1.0, enough)

In each namespace there are two sockets: a packet socket, and one of nfnetlink, which owns the
trigger (trigger.py) and hears both what nf_tables (nft_trace.py) and what the legacy tables
(log_trace.py) have to say. The kernel puts a message into a socket's queue while it works on the
packet; so when a packet is seen at a link, everything that was said of it before is there to be
read.

Afterwards all is as it was. Triggers are deleted, loggers put back at once; that the sockets close
takes the kernel some milliseconds and is done in the background. Should the process be killed, the
kernel closes the sockets and thereby deletes the triggers; only the loggers need somebody to put
them back: `sweeping.sweep`, with which every trace begins.
"""

from __future__ import annotations

import errno
import fcntl
import selectors
import struct
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from plumb.errors import KernelRefused
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


@dataclass(frozen=True)
class Records:
    """What was collected so far.

    Attributes:
        seen: frames at taps, in order of the kernel's stamps.
        ruled: steps through the firewall, in the order in which each namespace told them.
    """

    seen: tuple[CapturedFrame, ...] = ()
    ruled: tuple[RuleHit, ...] = ()


class Collector:
    """Taps and traces in several namespaces, armed for the length of a with block.

    Args:
        places: each namespace once.
        flow: whose packets.
        memory: the folder where is noted what must be put back should the process be killed
        (Layout.run).
        asked: what else the taps see.
        bridges: those of the places where the rules that bridges ask are traced as well (nf_tables'
        family bridge).

    Attributes:
        missing: what could not be had, in words; the rest works without.

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
        self._seen: list[CapturedFrame] = []
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
        """Everything that was collected since the beginning.

        Args:
            seconds: how long to go on at most.
            enough: asked whenever something new has come; with True it is over at once.
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
        """How many packets or messages found no room since it was last asked."""
        return sum(watch.lost() for watch in self._watches)

    def _records(self) -> Records:
        ruled = sorted(
            (step for watch in self._watches for step in watch.steps), key=lambda step: step.time
        )
        return Records(tuple(sorted(self._seen, key=lambda seen: seen.time)), tuple(ruled))

    def _read(self, seconds: float) -> bool:
        """Read all sockets that have something within that time.

        Whether there was anything that counts.
        """
        news = False
        ready = {key.data.place: key.data for key, _ in self._selector.select(seconds)}
        for watch in ready.values():
            seen = watch.tap.read()
            self._seen += seen
            news = watch.hear() or bool(seen) or news
        return news

    def close(self) -> None:
        """Take everything away again.

        Raises:
            KernelRefused: a logger could not be put back; the next command tries again.
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
    """What listens in one namespace; made while the calling thread is in it."""

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
        """Plant the triggers and listen; what could not be had, in words."""
        try:
            self._netfilter = Netfilter()
            self._netfilter.join(NFNLGRP_NFTRACE)
        except OSError as error:
            yield f"{self.place.name}: the firewall's rules are not traced: nfnetlink: {error.strerror}"
            return
        for family, (called, requests) in tables.items():
            try:
                self._netfilter.transact(requests)
                self._tables[family] = called
            except OSError as error:
                yield (
                    f"{self.place.name}: rules of the family {nftrace_rules.family_name(family)} are not traced: "
                    f"{error.strerror}{OWNERS if error.errno in (errno.EINVAL, errno.EOPNOTSUPP) else ''}"
                )
        if self._tables and iptables_trace.tables(version):
            yield from self._log(version, memory)

    def _log(self, version: int, memory: str) -> Iterator[str]:
        """Listen to the legacy tables.

        Who has the group has the right to bind the logger: nobody else does so meanwhile.
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
            yield f"{self.place.name}: rules of the legacy tables are not traced: {error.strerror}{busy}"

    def sources(self) -> list[packet_taps.Tap | Netfilter]:
        """What to wait for."""
        return [self.tap, self._netfilter] if self._netfilter else [self.tap]

    def hear(self) -> bool:
        """Add the steps that were told since it was last called; whether there are any."""
        now, news = time.time_ns(), False
        for heard in self._netfilter.reports() if self._netfilter else ():
            step = self._step(heard, now)
            if step is not None:
                nftrace.joined(self.steps, step)
                news = True
        return news

    def _step(self, heard: NfMessage, now: int) -> RuleHit | None:
        if (heard.subsystem, heard.kind) == (NFNL_SUBSYS_NFTABLES, NFT_MSG_TRACE):
            return nftrace.decoded(heard, now, self.place, self._link)
        if (heard.subsystem, heard.kind) == (NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET):
            return iptables_trace.decoded(heard, now, self.place, self._link)
        return None

    def _link(self, index: int) -> str:
        """A link's name by its index in this namespace; a socket answers for its own."""
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
        """Packets and messages that found no room."""
        told = 0
        if self._netfilter:
            told, self._netfilter.lost = self._netfilter.lost, 0
        return self.tap.lost() + told

    def disarm(self) -> None:
        """Take the triggers away and put the logger back."""
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
