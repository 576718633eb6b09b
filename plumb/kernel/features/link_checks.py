"""Attempts: for each feature, the smallest request that the kernel grants only with it.

They run in one scratch namespace, so each takes names and numbers of its own. Each returns details
in a few words, or raises the kernel's error. Features that have no namespace are not switched on:
drop_monitor and tracefs are the whole machine's, and the attempts only look for them.

The kernel loads most modules itself when a program asks for a feature in them. It does not load
two: ip_tables, which the iptables command loads, and br_netfilter. And some modules have effects of
their own. From the moment when br_netfilter is loaded, the packets that pass the machine's own
bridges go through its iptables rules, in every namespace (bridge-nf-call-iptables is 1 by default),
and xt_TRACE loads a logger for all of them: so for these the attempts ask modprobe only for a dry
run. And dummy makes a link in the machine's own namespace, unless a parameter (numdummies) prevents
it.
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
from plumb.kernel.netlink.codec import attribute, attribute_be16, attribute_u16, attribute_u32, nest
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.genetlink import GenericFamily
from plumb.kernel.netlink.uapi.linux_genetlink import (
    IPVS_CMD_ATTR_SERVICE,
    IPVS_CMD_NEW_SERVICE,
    IPVS_GENL_NAME,
    IPVS_GENL_VERSION,
    IPVS_SVC_ATTR_AF,
    IPVS_SVC_ATTR_FLAGS,
    IPVS_SVC_ATTR_FWMARK,
    IPVS_SVC_ATTR_NETMASK,
    IPVS_SVC_ATTR_SCHED_NAME,
    IPVS_SVC_ATTR_TIMEOUT,
    NET_DM_FAMILY,
)
from plumb.kernel.netlink.uapi.linux_netlink import (
    NETLINK_ROUTE,
    NETLINK_XFRM,
    NLM_F_CREATE,
    NLM_F_EXCL,
)
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFINFOMSG,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_IPVLAN_FLAGS,
    IFLA_IPVLAN_MODE,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MACVLAN_MODE,
    IFLA_VLAN_ID,
    IFLA_VXLAN_ID,
    IFLA_VXLAN_PORT,
    IPVLAN_F_PRIVATE,
    IPVLAN_F_VEPA,
    IPVLAN_MODE_L2,
    IPVLAN_MODE_L3,
    IPVLAN_MODE_L3S,
    MACVLAN_MODE_BRIDGE,
    MACVLAN_MODE_PASSTHRU,
    MACVLAN_MODE_PRIVATE,
    MACVLAN_MODE_VEPA,
    RTM_NEWLINK,
    RTM_NEWQDISC,
    TC_H_ROOT,
    TCA_KIND,
    TCA_OPTIONS,
    TCMSG,
)
from plumb.kernel.netlink.uapi.linux_xfrm import (
    XFRM_INF,
    XFRM_MODE_TRANSPORT,
    XFRM_MSG_NEWSA,
    XFRM_USERSA_INFO,
    XFRMA_ALG_AEAD,
    XFRMA_ALG_AUTH,
    XFRMA_ALG_CRYPT,
)
from plumb.kernel.netns import namespaces
from plumb.things.layer3 import Sysctl

LOOPBACK = 1
"""The index of lo in every namespace."""
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
    info = attribute(IFLA_INFO_KIND, kind) + (nest(IFLA_INFO_DATA, data) if data else b"")
    body = IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name)
    body += attribute_u32(IFLA_LINK, parent) if parent else b""
    _create(NETLINK_ROUTE, RTM_NEWLINK, body + nest(IFLA_LINKINFO, info))
    return name


def _create(family: int, kind: int, body: bytes) -> None:
    """Send a request that creates an object, which must not be there yet."""
    with Connection(family) as kernel:
        kernel.change(kind, NLM_F_CREATE | NLM_F_EXCL, body)


def _link(kind: str, data: bytes = b"") -> str:
    link(kind, data)
    return ""


def _dummy() -> str:
    """Make a dummy link, with the module loaded so that it makes none itself.

    By default the module makes dummy0 in the machine's own namespace when it is loaded.
    """
    if not _loaded("dummy"):
        modprobe("dummy", "numdummies=0")
    return _link("dummy")


def _loaded(module: str) -> bool:
    """Check that a module is loaded, or built in with parameters."""
    return os.path.isdir(f"/sys/module/{module}")


def _parent() -> int:
    """Make a link to be others' parent; its index."""
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
    mode: attribute_u32(IFLA_MACVLAN_MODE, bits)
    for mode, bits in (
        ("bridge", MACVLAN_MODE_BRIDGE),
        ("private", MACVLAN_MODE_PRIVATE),
        ("vepa", MACVLAN_MODE_VEPA),
        ("passthru", MACVLAN_MODE_PASSTHRU),
    )
}


def _ipvlan(mode: int, flags: int) -> bytes:
    """Attributes of an ipvlan link: its mode, and its flags for traffic between siblings."""
    given = attribute_u16(IFLA_IPVLAN_FLAGS, flags) if flags else b""
    return attribute_u16(IFLA_IPVLAN_MODE, mode) + given


IPVLAN = {
    "l2": _ipvlan(IPVLAN_MODE_L2, 0),
    "l3": _ipvlan(IPVLAN_MODE_L3, 0),
    "private": _ipvlan(IPVLAN_MODE_L2, IPVLAN_F_PRIVATE),
    "vepa": _ipvlan(IPVLAN_MODE_L2, IPVLAN_F_VEPA),
}


def _vlan() -> str:
    link("vlan", attribute_u16(IFLA_VLAN_ID, 10), _parent())
    return ""


def _vxlan() -> str:
    return _link(
        "vxlan", attribute_u32(IFLA_VXLAN_ID, 4096) + attribute_be16(IFLA_VXLAN_PORT, 4789)
    )


def _netem() -> str:
    delay = struct.pack("=6I", 0, 1000, 0, 0, 0, 0)  # struct tc_netem_qopt
    body = TCMSG.pack(socket.AF_UNSPEC, LOOPBACK, 0, TC_H_ROOT, 0) + attribute(TCA_KIND, "netem")
    _create(NETLINK_ROUTE, RTM_NEWQDISC, body + attribute(TCA_OPTIONS, delay))
    return ""


# -- sockets and settings ---------------------------------------------------------------


def _socket(family: int, kind: int, protocol: int) -> str:
    socket.socket(family, kind, protocol).close()
    return ""


def _ping() -> str:
    """Set Docker's sysctls of each container: every user may ping, and bind any port."""
    sysctl.write(Sysctl(sysctl.PING_GROUPS, "0 2147483647"))
    sysctl.write(Sysctl("net/ipv4/ip_unprivileged_port_start", "0"))
    return _socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)


def _br_netfilter() -> str:
    if sysctl.read("net/bridge/bridge-nf-call-iptables") is not None:
        return "loaded"
    if not modprobe("--dry-run", "br_netfilter"):
        raise Unsupported("it is not loaded, and cannot be")
    return "not loaded; icc=false loads it"


def modprobe(*argv: str) -> bool:
    """Run modprobe; True where it succeeds, False where it fails or is not installed."""
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
    """Read the format of the event skb:kfree_skb, from a tracefs in this mount namespace.

    The event stays switched off.
    """
    mountpoint = "/sys/kernel/tracing"
    namespaces.call(
        "mount", b"none", mountpoint.encode(), b"tracefs", 0, None, doing="mount tracefs"
    )
    event = Path(mountpoint, "events/skb/kfree_skb/format").read_text()
    return (
        "kfree_skb with its reason"
        if "reason" in event
        else "kfree_skb without a reason (that came with Linux 5.17)"
    )


# -- generic netlink and IPsec ---------------------------------------------------------------


def _family(name: str) -> str:
    """Ask for a family of generic netlink, for which the kernel loads its module."""
    GenericFamily(name).close()
    return ""


def _drop_monitor() -> str:
    """Look the family up, which has the kernel load its module.

    The family answers only in the machine's first namespace; elsewhere, check that the kernel has
    the module now.
    """
    try:
        return _family(NET_DM_FAMILY)
    except OSError:
        if not _loaded("drop_monitor") and b" net_dm_" not in Path("/proc/kallsyms").read_bytes():
            raise
    return "in the machine's own namespace"


def _ipvs() -> str:
    """Add a service for packets marked 1: `ipvsadm -A -f 1 -s rr`."""
    service = nest(
        IPVS_CMD_ATTR_SERVICE,
        attribute_u16(IPVS_SVC_ATTR_AF, socket.AF_INET),
        attribute_u32(IPVS_SVC_ATTR_FWMARK, 1),
        attribute(IPVS_SVC_ATTR_SCHED_NAME, "rr"),
        attribute(IPVS_SVC_ATTR_FLAGS, struct.pack("=II", 0, 0xFFFFFFFF)),
        attribute_u32(IPVS_SVC_ATTR_TIMEOUT, 0),
        attribute(IPVS_SVC_ATTR_NETMASK, b"\xff\xff\xff\xff"),
    )
    with GenericFamily(IPVS_GENL_NAME, IPVS_GENL_VERSION) as ipvs:
        ipvs.change(IPVS_CMD_NEW_SERVICE, service)
    return ""


def _state(*algorithms: bytes) -> None:
    """Add an XFRM state with an SPI of its own.

    As `ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp … mode transport` does.
    """
    body = XFRM_USERSA_INFO.pack(
        bytes((192, 0, 2, 2)),
        socket.htonl(0x1000 + next(number)),
        socket.IPPROTO_ESP,
        bytes((192, 0, 2, 1)),
        *(XFRM_INF,) * 4,
        0,
        1,
        socket.AF_INET,
        XFRM_MODE_TRANSPORT,
        0,
        0,
    )
    _create(NETLINK_XFRM, XFRM_MSG_NEWSA, body + b"".join(algorithms))


def _gcm() -> bytes:
    """Docker's cipher: a key of 128 bits and 32 of salt, a check value of 64."""
    return attribute(
        XFRMA_ALG_AEAD, struct.pack("=64sII20s", b"rfc4106(gcm(aes))", 160, 64, os.urandom(20))
    )


def _cbc() -> tuple[bytes, bytes]:
    """The oldest cipher and check value, which any kernel with ESP has."""
    return (
        attribute(XFRMA_ALG_CRYPT, struct.pack("=64sI16s", b"cbc(aes)", 128, os.urandom(16))),
        attribute(XFRMA_ALG_AUTH, struct.pack("=64sI20s", b"hmac(sha1)", 160, os.urandom(20))),
    )


def _xfrm() -> str:
    """Open a socket of NETLINK_XFRM; states need further features."""
    Connection(NETLINK_XFRM).close()
    return ""


def _esp() -> str:
    """Add a state of ESP with any cipher, which the kernel looks for first (ENOSYS)."""
    try:
        _state(_gcm())
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        _state(*_cbc())
    return ""


def _aes_gcm() -> str:
    """Add a state with Docker's cipher; EPROTONOSUPPORT means the cipher is there, but no ESP."""
    _xfrm()
    try:
        _state(_gcm())
    except OSError as error:
        if error.errno != errno.EPROTONOSUPPORT:
            raise
    return "rfc4106(gcm(aes))"


ATTEMPTS: dict[str, Callable[[], str]] = {
    "netns": lambda: "",  # the attempts run in one
    "bridge": partial(_link, "bridge"),
    "veth": partial(_link, "veth"),
    "dummy": _dummy,
    "macvlan": partial(_modes, "macvlan", MACVLAN),
    "ipvlan": partial(_modes, "ipvlan", IPVLAN),
    "ipvlan-l3s": partial(_modes, "ipvlan", {"l3s": _ipvlan(IPVLAN_MODE_L3S, 0)}),
    "8021q": _vlan,
    "vxlan": _vxlan,
    "netem": _netem,
    "ipv6": partial(_socket, socket.AF_INET6, socket.SOCK_DGRAM, 0),
    "ping": _ping,
    "br_netfilter": _br_netfilter,
    "sctp": partial(_socket, socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP),
    "ipvs": partial(_family, IPVS_GENL_NAME),
    "ipvs-rr": _ipvs,
    "xfrm": _xfrm,
    "esp4": _esp,
    "aes-gcm": _aes_gcm,
    "packet": partial(_socket, socket.AF_PACKET, socket.SOCK_RAW, 0),
    "drop_monitor": _drop_monitor,
    "tracefs": _tracefs,
}
