"""Attempts: for each feature, the smallest thing that works only with it.

They run in a namespace that is thrown away, all in the same one, so each takes names and numbers of
its own. Each returns what it has seen, in a few words, or raises what the kernel answered. What has
no namespace is only looked at: drop_monitor and tracefs are the whole machine's, and are not
switched on.

Most modules are loaded by the kernel itself when somebody asks for what is in them. Two are not:
ip_tables, which the iptables command loads, and br_netfilter. And some are more than code. From the
moment when br_netfilter is loaded, the packets that pass the machine's own bridges go through its
iptables rules, in every namespace (bridge-nf-call-iptables is 1 by default), and xt_TRACE brings
along a logger for all of them: so modprobe is only asked whether it could load these. And dummy
makes a link in the machine's own namespace, unless it is told not to.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from plumb.errors import Unsupported
from plumb.kernel.net import sysctl
from plumb.kernel.netlink import codec
from plumb.kernel.netlink.codec import attribute, nest
from plumb.kernel.netns import namespaces

NEWLINK, NEWQDISC = 16, 36
IFINFO, TCMSG = struct.Struct("=BxHiII"), struct.Struct("=BxxxiIII")
IFNAME, LINK, LINKINFO, INFO_KIND, INFO_DATA = 3, 5, 18, 1, 2
LOOPBACK, TC_ROOT, TCA_KIND, TCA_OPTIONS = 1, 0xFFFFFFFF, 1, 2
number = itertools.count(1)


# -- links ---------------------------------------------------------------


def link(kind: str, data: bytes = b"", parent: int = 0) -> str:
    """`ip link add [link PARENT] type KIND …`; the new link's name.

    Args:
        kind: its IFLA_INFO_KIND.
        data: the kind's own attributes.
        parent: the parent's index.
    """
    name = f"try{next(number)}"
    info = (
        [attribute(INFO_KIND, kind), nest(INFO_DATA, data)]
        if data
        else [attribute(INFO_KIND, kind)]
    )
    above = attribute(LINK, struct.pack("=I", parent)) if parent else b""
    body = (
        IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        + attribute(IFNAME, name)
        + above
        + nest(LINKINFO, *info)
    )
    codec.ask(codec.ROUTE, NEWLINK, codec.CREATE | codec.EXCL, body)
    return name


def _link(kind: str, data: bytes = b"") -> str:
    link(kind, data)
    return ""


def _dummy() -> str:
    """The module makes a link dummy0 in the machine's own namespace when it is loaded, unless it is told not to."""
    if not _loaded("dummy"):
        modprobe("dummy", "numdummies=0")
    return _link("dummy")


def _loaded(module: str) -> bool:
    """Whether a module is loaded, or built in and has parameters."""
    return os.path.isdir(f"/sys/module/{module}")


def _parent() -> int:
    """The index of a new link to put others on."""
    for kind in ("bridge", "dummy"):
        with suppress(OSError):
            return socket.if_nametoindex(link(kind))
    return socket.if_nametoindex(link("veth"))


def _modes(kind: str, modes: Mapping[str, bytes]) -> str:
    """Links of a kind in all its modes, the first of which is the usual one.

    A parent has one mode, so each has its own.
    """
    able: list[str] = []
    for mode, data in modes.items():
        try:
            link(kind, data, _parent())
        except OSError:
            if not able:
                raise
        else:
            able.append(mode)
    return f"modes {', '.join(able)}"


MACVLAN = {
    mode: attribute(1, struct.pack("=I", bits))
    for mode, bits in (("bridge", 4), ("private", 1), ("vepa", 2), ("passthru", 8))
}
"""IFLA_MACVLAN_MODE (linux/if_link.h)."""


def _ipvlan(mode: int, flags: int) -> bytes:
    """IFLA_IPVLAN_MODE and IFLA_IPVLAN_FLAGS: in which layer it takes the packets.

    Whether siblings reach one another.
    """
    return attribute(1, struct.pack("=H", mode)) + (
        attribute(2, struct.pack("=H", flags)) if flags else b""
    )


IPVLAN = {"l2": _ipvlan(0, 0), "l3": _ipvlan(1, 0), "private": _ipvlan(0, 1), "vepa": _ipvlan(0, 2)}


def _vlan() -> str:
    link("vlan", attribute(1, struct.pack("=H", 10)), _parent())  # IFLA_VLAN_ID
    return ""


def _vxlan() -> str:
    link(
        "vxlan", attribute(1, struct.pack("=I", 4096)) + attribute(15, struct.pack(">H", 4789))
    )  # IFLA_VXLAN_ID, _PORT
    return ""


def _netem() -> str:
    delay = struct.pack("=6I", 0, 1000, 0, 0, 0, 0)  # tc_netem_qopt
    body = (
        TCMSG.pack(socket.AF_UNSPEC, LOOPBACK, 0, TC_ROOT, 0)
        + attribute(TCA_KIND, "netem")
        + attribute(TCA_OPTIONS, delay)
    )
    codec.ask(codec.ROUTE, NEWQDISC, codec.CREATE | codec.EXCL, body)
    return ""


# -- sockets and settings ---------------------------------------------------------------


def _socket(family: int, kind: int, protocol: int) -> str:
    socket.socket(family, kind, protocol).close()
    return ""


def _ping() -> str:
    """What Docker sets in each container: whoever it is may ping, and serve on any port."""
    (sysctl.PROC_SYS / "net/ipv4/ping_group_range").write_text("0 2147483647")
    (sysctl.PROC_SYS / "net/ipv4/ip_unprivileged_port_start").write_text("0")
    return _socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)


def _br_netfilter() -> str:
    if sysctl.read("net/bridge/bridge-nf-call-iptables") is not None:
        return "loaded"
    if not modprobe("--dry-run", "br_netfilter"):
        raise Unsupported("it is not loaded, and cannot be")
    return "not loaded; icc=false loads it"


def modprobe(*argv: str) -> bool:
    """Whether modprobe succeeds; not where there is none."""
    try:
        return (
            subprocess.run(
                ["modprobe", "--quiet", *argv], check=False, capture_output=True
            ).returncode
            == 0
        )
    except OSError:
        return False


def _tracefs() -> str:
    """Read from a tracefs of our own mount namespace how the event of a dropped packet looks.

    It is not switched on.
    """
    where = "/sys/kernel/tracing"
    namespaces.call("mount", b"none", where.encode(), b"tracefs", 0, None, doing="mount tracefs")
    event = Path(where, "events/skb/kfree_skb/format").read_text()
    return (
        "kfree_skb with its reason"
        if "reason" in event
        else "kfree_skb without a reason (that came with Linux 5.17)"
    )


# -- generic netlink and IPsec ---------------------------------------------------------------

CTRL, GETFAMILY, FAMILY_ID, FAMILY_NAME = 16, 3, 1, 2
GENL = struct.Struct("=BBxx")
NEW_SERVICE = 1
NEWSA, ESP, TRANSPORT = 16, 50, 0
ALG_AUTH, ALG_CRYPT, ALG_AEAD = 1, 2, 18
USERSA = struct.Struct("=56x 4s12xIBxxx 4s12x 4Q32x 32x 12x IIHBBB7x")
"""xfrm_usersa_info (linux/xfrm.h).

A selector, destination with SPI and protocol, source, lifetimes, statistics, family, mode.
"""


def _generic(name: str) -> int:
    """The number of a family of generic netlink, whose module the kernel loads for the question."""
    body = GENL.pack(GETFAMILY, 1) + attribute(FAMILY_NAME, name)
    answer = codec.ask(codec.GENERIC, CTRL, 0, body)[0]
    found: int = struct.unpack("=H", codec.attributes(answer[GENL.size :])[FAMILY_ID])[0]
    return found


def _family(name: str) -> str:
    _generic(name)
    return ""


def _drop_monitor() -> str:
    """Ask for its family, which loads it.

    But only the machine's own namespace is told of it, so look what has been loaded.
    """
    try:
        return _family("NET_DM")
    except OSError:
        if not _loaded("drop_monitor") and b" net_dm_" not in Path("/proc/kallsyms").read_bytes():
            raise
    return "in the machine's own namespace"


def _ipvs() -> str:
    """A service for packets marked 1: `ipvsadm -A -f 1 -s rr`."""
    # IPVS_SVC_ATTR_AF, _FWMARK, _SCHED_NAME, _FLAGS, _TIMEOUT, _NETMASK (linux/ip_vs.h)
    service = nest(
        1,
        attribute(1, struct.pack("=H", socket.AF_INET)),
        attribute(5, struct.pack("=I", 1)),
        attribute(6, "rr"),
        attribute(7, struct.pack("=II", 0, 0xFFFFFFFF)),
        attribute(8, struct.pack("=I", 0)),
        attribute(9, b"\xff\xff\xff\xff"),
    )
    codec.ask(codec.GENERIC, _generic("IPVS"), 0, GENL.pack(NEW_SERVICE, 1) + service)
    return ""


def _state(*algorithms: bytes) -> None:
    """`ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp … mode transport`, with an SPI of its own."""
    forever = (0xFFFFFFFFFFFFFFFF,) * 4
    body = USERSA.pack(
        bytes((192, 0, 2, 2)),
        socket.htonl(0x1000 + next(number)),
        ESP,
        bytes((192, 0, 2, 1)),
        *forever,
        0,
        1,
        socket.AF_INET,
        TRANSPORT,
        0,
        0,
    )
    codec.ask(codec.XFRM, NEWSA, codec.CREATE | codec.EXCL, body + b"".join(algorithms))


def _gcm() -> bytes:
    """Docker's cipher: a key of 128 bits and 32 of salt, a check value of 64."""
    return attribute(
        ALG_AEAD, struct.pack("=64sII20s", b"rfc4106(gcm(aes))", 160, 64, os.urandom(20))
    )


def _cbc() -> tuple[bytes, bytes]:
    """The oldest ones: any kernel that has ESP has them."""
    return (
        attribute(ALG_CRYPT, struct.pack("=64sI16s", b"cbc(aes)", 128, os.urandom(16))),
        attribute(ALG_AUTH, struct.pack("=64sI20s", b"hmac(sha1)", 160, os.urandom(20))),
    )


def _xfrm() -> str:
    """A socket of NETLINK_XFRM; what goes through it takes more."""
    return _socket(socket.AF_NETLINK, socket.SOCK_RAW, codec.XFRM)


def _esp() -> str:
    """ESP with any cipher: the kernel looks for that first (ENOSYS)."""
    try:
        _state(_gcm())
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        _state(*_cbc())
    return ""


def _aes_gcm() -> str:
    """Docker's cipher. Where ESP is what is missing, it has been found."""
    _xfrm()
    try:
        _state(_gcm())
    except OSError as error:
        if error.errno != errno.EPROTONOSUPPORT:
            raise
    return "rfc4106(gcm(aes))"


ATTEMPTS: dict[str, Callable[[], str]] = {
    "netns": lambda: "",  # that is where this runs
    "bridge": partial(_link, "bridge"),
    "veth": partial(_link, "veth"),
    "dummy": _dummy,
    "macvlan": partial(_modes, "macvlan", MACVLAN),
    "ipvlan": partial(_modes, "ipvlan", IPVLAN),
    "ipvlan-l3s": partial(_modes, "ipvlan", {"l3s": _ipvlan(2, 0)}),
    "8021q": _vlan,
    "vxlan": _vxlan,
    "netem": _netem,
    "ipv6": partial(_socket, socket.AF_INET6, socket.SOCK_DGRAM, 0),
    "ping": _ping,
    "br_netfilter": _br_netfilter,
    "sctp": partial(_socket, socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP),
    "ipvs": partial(_family, "IPVS"),
    "ipvs-rr": _ipvs,
    "xfrm": _xfrm,
    "esp4": _esp,
    "aes-gcm": _aes_gcm,
    "packet": partial(_socket, socket.AF_PACKET, socket.SOCK_RAW, 0),
    "drop_monitor": _drop_monitor,
    "tracefs": _tracefs,
}
