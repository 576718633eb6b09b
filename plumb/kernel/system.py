"""The system that plumb runs on, besides its kernel: a clock, randomness, the host's files, ports.

All that an operation takes from its surroundings before anything is planned is one value, so that
tests (and whoever tries a plan out) give another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from plumb.address import IPAddress, IPInterface, IPNetwork
from plumb.frozen import frozen
from plumb.kernel.boot import boot_id
from plumb.kernel.netns.claim import Claim
from plumb.kernel.process import host_files
from plumb.model.paths import Layout
from plumb.things import Thing

T = TypeVar("T")
Ports = tuple[int, int]


def utc_now() -> str:
    """The present time, in Docker's format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _token_hex(length: int) -> str:
    """Random bytes as hex; `secrets` would be the library's, and imports half of it."""
    return os.urandom(length).hex()


@frozen
class System:
    """Functions that answer for the system.

    The defaults have the real clock, randomness and files of names, and links and ports that nobody
    else uses; `this_system` has the real ones of those as well.

    Attributes:
        now: this moment, as Docker writes it.
        token_hex: so many random bytes, as hex digits; token_bytes: the bytes themselves.
        boot: the id of this boot, "" where the kernel does not tell it.
        host_name: the host's name.
        host_file: the text of a file of the host's /etc, "" where it cannot be read.
        resolv_path: where the host's resolv.conf lies; resolv_source: its text.
        kind_of: the kind of a link, None where there is none of that name.
        addresses_of: a link's addresses of one family.
        on_link: the networks that the host itself is attached to.
        mtu_of: the MTU of the link that has an address, 1500 where none has it.
        trial: the errno with which a port (protocol, address, port) cannot be bound, 0 if it can.
        holder: the program that has a port, as far as that can be seen: "nginx (pid 12)", or "".
        has_ipvs: whether the kernel has IPVS, and nothing keeps this process from it.
        has_choice: whether rules of a firewall's back end can choose among addresses in turn, or,
            where the second argument is true, by the source.
        listens_v6: whether a program can listen on IPv6.
        ephemeral: the first and the last port that are given out where none was asked for, and
            those between them that are not.
        spare: a UDP and a TCP port that can be bound in a namespace; those that are named, if they
            can.
        claimed: the claim of a root on this network namespace; claim: takes it where nobody has,
            and tells who has it then; release: gives it back.
        marked: the links of the host that have plumb's mark.
        leavings: what is there by plumb's marks, without a record.
    """

    now: Callable[[], str] = utc_now
    token_hex: Callable[[int], str] = _token_hex
    token_bytes: Callable[[int], bytes] = os.urandom
    boot: Callable[[], str] = boot_id
    host_name: Callable[[], str] = host_files.host_name
    host_file: Callable[[str], str] = host_files.host_file
    resolv_path: Callable[[], str] = host_files.resolv_path
    resolv_source: Callable[[], str] = host_files.resolv_source
    kind_of: Callable[[str], str | None] = lambda name: None
    addresses_of: Callable[[str, int], Sequence[IPInterface]] = lambda name, version: ()
    on_link: Callable[[], Sequence[IPNetwork]] = lambda: ()
    mtu_of: Callable[[IPAddress], int] = lambda ip: 1500
    trial: Callable[[str, IPAddress, int], int] = lambda protocol, ip, port: 0
    holder: Callable[[str, IPAddress, int], str] = lambda protocol, ip, port: ""
    has_ipvs: Callable[[], bool] = lambda: False
    has_choice: Callable[[str, bool], bool] = lambda backend, by_source: True
    listens_v6: Callable[[], bool] = lambda: True
    ephemeral: Callable[[], tuple[int, int, frozenset[int]]] = lambda: (32768, 60999, frozenset())
    spare: Callable[[str, Ports], Ports] = lambda ns, wanted: (
        wanted if all(wanted) else (61053, 61054)
    )
    claimed: Callable[[], Claim | None] = lambda: None
    claim: Callable[[Claim], Claim] = lambda wanted: wanted
    release: Callable[[Claim], None] = lambda had: None
    marked: Callable[[], Sequence[str]] = lambda: ()
    leavings: Callable[[Layout], Sequence[Thing]] = lambda layout: ()

    def new_id(self) -> str:
        """64 random hex digits, as Docker's ids."""
        return self.token_hex(32)

    def new_mac(self) -> str:
        """A random, locally administered unicast MAC address."""
        raw = bytearray(self.token_bytes(6))
        raw[0] = (raw[0] & 0xFC) | 0x02
        return raw.hex(":")

    def choice(self, among: Sequence[T]) -> T:
        """Choose a value at random, of fewer than 256."""
        return among[self.token_bytes(1)[0] % len(among)]


def this_system() -> System:
    """The system that this process runs on."""
    from plumb.kernel.net import host_links
    from plumb.kernel.netns import claim
    from plumb.kernel.ports import free_ports, host_ports

    return System(
        kind_of=host_links.kind_of,
        addresses_of=host_links.addresses_of,
        on_link=host_links.on_link_networks,
        mtu_of=host_links.mtu_of,
        trial=host_ports.trial,
        holder=host_ports.holder_of,
        has_ipvs=_has_ipvs,
        has_choice=_has_choice,
        listens_v6=host_ports.listens_v6,
        ephemeral=host_ports.ephemeral,
        spare=free_ports.ports,
        claimed=claim.holder,
        claim=claim.take,
        release=claim.release,
        marked=_marked,
        leavings=_leavings,
    )


def _has_ipvs() -> bool:
    from plumb.kernel.cluster import ipvs  # only for services of a cluster

    return ipvs.there()


def _has_choice(backend: str, by_source: bool) -> bool:
    from plumb.kernel.features import choices  # only for services of a cluster

    return choices.able(backend, by_source)


def _marked() -> Sequence[str]:
    from plumb.kernel import leavings  # only for a root without networks

    return leavings.marked()


def _leavings(layout: Layout) -> Sequence[Thing]:
    from plumb.kernel import leavings  # only for a root whose record is lost

    return leavings.find(layout)
