"""Writer of IPVS's services, destinations and timeouts, by generic netlink (linux/ip_vs.h)."""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence

from plumb.address import IPAddress, family
from plumb.errors import KernelRefused
from plumb.frozen import frozen, replace
from plumb.kernel.features.table import FEATURES
from plumb.kernel.netlink.codec import (
    attribute,
    attribute_be16,
    attribute_u16,
    attribute_u32,
    attributes,
    nest,
    number,
    text,
)
from plumb.kernel.netlink.genetlink import GenericFamily
from plumb.kernel.netlink.uapi import linux_genetlink as uapi
from plumb.plan import Step, StepFailed
from plumb.things import Key, Thing
from plumb.things.ipvs import Forward, IpvsDestination, IpvsService, IpvsTimeouts

METHODS = {Forward.MASQ: uapi.IP_VS_CONN_F_MASQ, Forward.ROUTE: uapi.IP_VS_CONN_F_DROUTE}
FORWARDS = {number: name for name, number in METHODS.items()}
GONE = frozenset({errno.ENOENT, errno.ESRCH})
NETMASK = {4: b"\xff\xff\xff\xff", 6: struct.pack("=I", 128)}
"""Netmask of persistence; of IPv6 the length of a prefix."""
FLAGS = struct.pack("=II", 0, 0xFFFFFFFF)
"""struct ip_vs_flags: no flag, of all."""


def opened() -> GenericFamily:
    """IPVS in the calling thread's namespace.

    Raises:
        OSError: ENOENT, this kernel has none.
    """
    return GenericFamily(uapi.IPVS_GENL_NAME, uapi.IPVS_GENL_VERSION)


def there() -> bool:
    """True if this kernel has IPVS; it loads the module where it has modules."""
    try:
        opened().close()
    except OSError:
        return False
    return True


# -- take ---------------------------------------------------------------


def take(steps: Sequence[Step], done: list[Step]) -> None:
    """Take steps one after the other.

    Raises:
        StepFailed: the kernel refused one.
    """
    try:
        ipvs = opened()
    except OSError as error:
        raise StepFailed(_refused(steps[0], error), steps[0], done) from error
    with ipvs:
        for step in steps:
            try:
                ipvs.change(*_request(step))
            except OSError as error:
                if step.after is not None or error.errno not in GONE:
                    raise StepFailed(_refused(step, error), step, done) from error
            done.append(step)


def _refused(step: Step, error: OSError) -> KernelRefused:
    """A refusal, with a remedy where the kernel has no IPVS or not this scheduler."""
    said, hint = str(error.strerror or ""), ""
    if error.errno == errno.ENOENT and step.before is None:
        thing = step.thing
        scheduler = thing.scheduler if isinstance(thing, IpvsService) else ""
        hint = f"{FEATURES['ipvs'].missing}, with its scheduler {scheduler}" if scheduler else ""
    return KernelRefused(str(step), error.errno or 0, said, hint)


def _request(step: Step) -> tuple[int, bytes]:
    """Command and attributes of a step."""
    thing, made, gone = step.thing, step.before is None, step.after is None
    match thing:
        case IpvsService():
            body = _service_id(thing) if gone else _service(thing)
            command = _chosen(
                made,
                gone,
                uapi.IPVS_CMD_NEW_SERVICE,
                uapi.IPVS_CMD_SET_SERVICE,
                uapi.IPVS_CMD_DEL_SERVICE,
            )
            return command, body
        case IpvsDestination():
            command = _chosen(
                made, gone, uapi.IPVS_CMD_NEW_DEST, uapi.IPVS_CMD_SET_DEST, uapi.IPVS_CMD_DEL_DEST
            )
            return command, _mark(thing.mark, thing.ip.version) + _destination(thing)
    assert isinstance(thing, IpvsTimeouts)
    return uapi.IPVS_CMD_SET_CONFIG, _timeouts(thing)


def _chosen(made: bool, gone: bool, new: int, change: int, remove: int) -> int:
    return new if made else remove if gone else change


def _service_id(thing: IpvsService) -> bytes:
    return _mark(thing.mark, thing.version)


def _mark(mark: int, version: int) -> bytes:
    return nest(uapi.IPVS_CMD_ATTR_SERVICE, *_identity(mark, version))


def _identity(mark: int, version: int) -> tuple[bytes, ...]:
    return (
        attribute_u16(uapi.IPVS_SVC_ATTR_AF, family(version)),
        attribute_u32(uapi.IPVS_SVC_ATTR_FWMARK, mark),
    )


def _service(thing: IpvsService) -> bytes:
    return nest(
        uapi.IPVS_CMD_ATTR_SERVICE,
        *_identity(thing.mark, thing.version),
        attribute(uapi.IPVS_SVC_ATTR_SCHED_NAME, thing.scheduler),
        attribute(uapi.IPVS_SVC_ATTR_FLAGS, FLAGS),
        attribute_u32(uapi.IPVS_SVC_ATTR_TIMEOUT, 0),
        attribute(uapi.IPVS_SVC_ATTR_NETMASK, NETMASK[thing.version]),
    )


def _destination(thing: IpvsDestination) -> bytes:
    return nest(
        uapi.IPVS_CMD_ATTR_DEST,
        attribute_u16(uapi.IPVS_DEST_ATTR_ADDR_FAMILY, family(thing.ip.version)),
        attribute(uapi.IPVS_DEST_ATTR_ADDR, _packed(thing.ip)),
        attribute_be16(uapi.IPVS_DEST_ATTR_PORT, 0),
        attribute_u32(uapi.IPVS_DEST_ATTR_FWD_METHOD, METHODS[thing.forward]),
        attribute_u32(uapi.IPVS_DEST_ATTR_WEIGHT, thing.weight),
        attribute_u32(uapi.IPVS_DEST_ATTR_U_THRESH, 0),
        attribute_u32(uapi.IPVS_DEST_ATTR_L_THRESH, 0),
    )


def _packed(ip: IPAddress) -> bytes:
    """Union nf_inet_addr, 16 bytes for either family."""
    return ip.packed.ljust(16, b"\0")


def _timeouts(thing: IpvsTimeouts) -> bytes:
    return (
        attribute_u32(uapi.IPVS_CMD_ATTR_TIMEOUT_TCP, thing.tcp)
        + attribute_u32(uapi.IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, thing.tcp_fin)
        + attribute_u32(uapi.IPVS_CMD_ATTR_TIMEOUT_UDP, thing.udp)
    )


# -- look ---------------------------------------------------------------


@frozen
class Listed:
    """Destination of a service as the kernel lists it.

    Attributes:
        active, inactive: connections that it has now, established and other ones.
        connections, in_bytes, out_bytes: since it is there.
        rate: new connections a second.
    """

    forward: Forward | None
    weight: int
    active: int = 0
    inactive: int = 0
    connections: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    rate: int = 0


def look(things: Sequence[Thing]) -> list[Thing | None]:
    """Read services, destinations and timeouts; None for one that is not there."""
    try:
        ipvs = opened()
    except OSError:
        return [None for _ in things]  # a kernel without IPVS has none
    with ipvs:
        try:
            services = _services(ipvs)
            listed: dict[Key, dict[bytes, Listed]] = {}
            return [_look(ipvs, thing, services, listed) for thing in things]
        except OSError as error:
            raise KernelRefused("read IPVS's services", error.errno or 0) from error


def _look(
    ipvs: GenericFamily,
    thing: Thing,
    services: dict[tuple[int, int], str],
    listed: dict[Key, dict[bytes, Listed]],
) -> Thing | None:
    match thing:
        case IpvsService():
            scheduler = services.get((thing.mark, family(thing.version)))
            return replace(thing, scheduler=scheduler) if scheduler is not None else None
        case IpvsDestination():
            if (thing.mark, family(thing.ip.version)) not in services:
                return None
            if thing.service not in listed:
                listed[thing.service] = destinations(ipvs, thing.mark, thing.ip.version)
            there = listed[thing.service].get(_packed(thing.ip))
            if there is None:
                return None
            return replace(thing, weight=there.weight, forward=there.forward or thing.forward)
    assert isinstance(thing, IpvsTimeouts)
    found = ipvs.get(uapi.IPVS_CMD_GET_CONFIG)
    return IpvsTimeouts(
        number(found[uapi.IPVS_CMD_ATTR_TIMEOUT_TCP]),
        number(found[uapi.IPVS_CMD_ATTR_TIMEOUT_TCP_FIN]),
        number(found[uapi.IPVS_CMD_ATTR_TIMEOUT_UDP]),
        thing.ns,
    )


def _services(ipvs: GenericFamily) -> dict[tuple[int, int], str]:
    """Schedulers by mark and address family."""
    found = {}
    for row in ipvs.dump(uapi.IPVS_CMD_GET_SERVICE):
        service = attributes(row[uapi.IPVS_CMD_ATTR_SERVICE])
        if uapi.IPVS_SVC_ATTR_FWMARK in service:
            mark = number(service[uapi.IPVS_SVC_ATTR_FWMARK])
            own = number(service[uapi.IPVS_SVC_ATTR_AF])
            found[mark, own] = text(service[uapi.IPVS_SVC_ATTR_SCHED_NAME])
    return found


def destinations(ipvs: GenericFamily, mark: int, version: int) -> dict[bytes, Listed]:
    """List a service's destinations by address, 16 bytes, with their connections.

    Raises:
        OSError: ESRCH, there is no such service.
    """
    found = {}
    for row in ipvs.dump(uapi.IPVS_CMD_GET_DEST, _mark(mark, version)):
        each = attributes(row[uapi.IPVS_CMD_ATTR_DEST])
        stats = attributes(each.get(uapi.IPVS_DEST_ATTR_STATS64, b""))
        method = number(each[uapi.IPVS_DEST_ATTR_FWD_METHOD]) & uapi.IP_VS_CONN_F_FWD_MASK

        def counted(kind: int, stats: dict[int, bytes] = stats) -> int:
            return number(stats[kind]) if kind in stats else 0

        found[each[uapi.IPVS_DEST_ATTR_ADDR].ljust(16, b"\0")] = Listed(
            FORWARDS.get(method),
            number(each[uapi.IPVS_DEST_ATTR_WEIGHT]),
            number(each[uapi.IPVS_DEST_ATTR_ACTIVE_CONNS]),
            number(each[uapi.IPVS_DEST_ATTR_INACT_CONNS]),
            counted(uapi.IPVS_STATS_ATTR_CONNS),
            counted(uapi.IPVS_STATS_ATTR_INBYTES),
            counted(uapi.IPVS_STATS_ATTR_OUTBYTES),
            counted(uapi.IPVS_STATS_ATTR_CPS),
        )
    return found
