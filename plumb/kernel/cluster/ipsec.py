"""Writer of IPsec's states and policies: messages of NETLINK_XFRM (linux/xfrm.h)."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from plumb.address import IPAddress, family
from plumb.errors import KernelRefused
from plumb.frozen import replace
from plumb.kernel.features.table import FEATURES
from plumb.kernel.netlink.codec import Request, attribute, attributes
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_XFRM, NLM_F_CREATE, NLM_F_EXCL
from plumb.kernel.netlink.uapi.linux_xfrm import (
    XFRM_ALGO_AEAD,
    XFRM_INF,
    XFRM_MARK,
    XFRM_MODE_TRANSPORT,
    XFRM_MSG_DELPOLICY,
    XFRM_MSG_DELSA,
    XFRM_MSG_GETPOLICY,
    XFRM_MSG_GETSA,
    XFRM_MSG_NEWPOLICY,
    XFRM_MSG_NEWSA,
    XFRM_MSG_UPDPOLICY,
    XFRM_POLICY_ALLOW,
    XFRM_POLICY_BLOCK,
    XFRM_POLICY_OUT,
    XFRM_SELECTOR,
    XFRM_USER_TMPL,
    XFRM_USERPOLICY_ID,
    XFRM_USERPOLICY_INFO,
    XFRM_USERSA_ID,
    XFRM_USERSA_INFO_ANY,
    XFRMA_ALG_AEAD,
    XFRMA_MARK,
    XFRMA_TMPL,
)
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.ipsec import CIPHER, ICV_BITS, MARK, XfrmBlock, XfrmPolicy, XfrmState

EXACT = 0xFFFFFFFF
FOREVER = (XFRM_INF,) * 4
ANY_ALGORITHM = (EXACT,) * 3
BLOCK_PRIORITY = 1
"""Behind the policies that encrypt, whose priority is 0."""
GONE = frozenset({errno.ENOENT, errno.ESRCH})


# -- take ---------------------------------------------------------------


def take(steps: Sequence[Step], done: list[Step]) -> None:
    """Take steps one after the other.

    Raises:
        StepFailed: the kernel refused one.
    """
    try:
        connection = Connection(NETLINK_XFRM)
    except OSError as error:
        raise StepFailed(_refused(steps[0], error), steps[0], done) from error
    try:
        for step in steps:
            try:
                connection.change(*_request(step))
            except OSError as error:
                if step.after is not None or error.errno not in GONE:
                    raise StepFailed(_refused(step, error), step, done) from error
            done.append(step)
    finally:
        connection.close()


def _refused(step: Step, error: OSError) -> KernelRefused:
    """A refusal, with a remedy where the kernel has no ESP or not this cipher."""
    lacking = error.errno in (errno.ENOSYS, errno.EPROTONOSUPPORT, errno.ENOENT)
    feature = "esp4" if error.errno == errno.EPROTONOSUPPORT else "aes-gcm"
    said = str(error.strerror or "")
    return KernelRefused(
        str(step), error.errno or 0, said, FEATURES[feature].missing if lacking else ""
    )


def _request(step: Step) -> Request:
    if step.after is None:
        assert step.before is not None
        return _removing(step.before)
    return _setting(step.after, NLM_F_CREATE | (NLM_F_EXCL if step.before is None else 0), step)


def _setting(thing: Thing, flags: int, step: Step) -> Request:
    match thing:
        case XfrmState():
            return Request(XFRM_MSG_NEWSA, flags, _state(thing))
        case XfrmPolicy():
            kind = XFRM_MSG_NEWPOLICY if step.before is None else XFRM_MSG_UPDPOLICY
            return Request(kind, flags, _policy(thing))
    assert isinstance(thing, XfrmBlock)
    return Request(XFRM_MSG_NEWPOLICY, flags, _block(thing))


def _removing(thing: Thing) -> Request:
    match thing:
        case XfrmState():
            return Request(XFRM_MSG_DELSA, 0, _state_id(thing))
        case XfrmPolicy():
            return Request(XFRM_MSG_DELPOLICY, 0, _policy_id(_selector(thing)))
    assert isinstance(thing, XfrmBlock)
    return Request(XFRM_MSG_DELPOLICY, 0, _policy_id(_any(thing)))


# -- states ---------------------------------------------------------------


def _packed(ip: IPAddress) -> bytes:
    return ip.packed.ljust(16, b"\0")


def _state(thing: XfrmState) -> bytes:
    own = family(thing.dst.version)
    info = XFRM_USERSA_INFO_ANY.pack(
        own,  # its selector: all packets of the family
        _packed(thing.dst),
        socket.htonl(thing.spi),
        socket.IPPROTO_ESP,
        _packed(thing.src),
        *FOREVER,
        0,
        MARK,
        own,
        XFRM_MODE_TRANSPORT,
        0,
        0,
    )
    aead = XFRM_ALGO_AEAD.pack(CIPHER.encode(), 8 * len(thing.material), ICV_BITS)
    return info + attribute(XFRMA_ALG_AEAD, aead + thing.material)


def _state_id(thing: XfrmState) -> bytes:
    own = family(thing.dst.version)
    spi = socket.htonl(thing.spi)
    return XFRM_USERSA_ID.pack(_packed(thing.dst), spi, own, socket.IPPROTO_ESP)


# -- policies ---------------------------------------------------------------


def _selector(thing: XfrmPolicy) -> bytes:
    length = thing.dst.max_prefixlen
    return XFRM_SELECTOR.pack(
        _packed(thing.dst),
        _packed(thing.src),
        socket.htons(thing.port),
        0xFFFF,
        0,
        0,
        family(thing.dst.version),
        length,
        length,
        socket.IPPROTO_UDP,
        0,
        0,
    )


def _any(thing: XfrmBlock) -> bytes:
    zero, port = bytes(16), socket.htons(thing.port)
    own = family(thing.version)
    return XFRM_SELECTOR.pack(zero, zero, port, 0xFFFF, 0, 0, own, 0, 0, socket.IPPROTO_UDP, 0, 0)


def _marked() -> bytes:
    return attribute(XFRMA_MARK, XFRM_MARK.pack(MARK, EXACT))


def _policy_id(selector: bytes) -> bytes:
    return XFRM_USERPOLICY_ID.pack(selector, 0, XFRM_POLICY_OUT) + _marked()


def _policy(thing: XfrmPolicy) -> bytes:
    template = XFRM_USER_TMPL.pack(
        _packed(thing.dst),
        socket.htonl(thing.spi),
        socket.IPPROTO_ESP,
        family(thing.dst.version),
        _packed(thing.src),
        MARK,
        XFRM_MODE_TRANSPORT,
        0,
        0,
        *ANY_ALGORITHM,
    )
    info = XFRM_USERPOLICY_INFO.pack(
        _selector(thing), *FOREVER, 0, 0, XFRM_POLICY_OUT, XFRM_POLICY_ALLOW, 0, 0
    )
    return info + _marked() + attribute(XFRMA_TMPL, template)


def _block(thing: XfrmBlock) -> bytes:
    info = XFRM_USERPOLICY_INFO.pack(
        _any(thing), *FOREVER, BLOCK_PRIORITY, 0, XFRM_POLICY_OUT, XFRM_POLICY_BLOCK, 0, 0
    )
    return info + _marked()


# -- look ---------------------------------------------------------------


def look(things: Sequence[Thing]) -> list[Thing | None]:
    """Read states and policies; None for one that is not there."""
    try:
        connection = Connection(NETLINK_XFRM)
    except OSError:
        return [None for _ in things]  # a kernel without IPsec has none
    try:
        return [_look(connection, thing) for thing in things]
    finally:
        connection.close()


def _look(connection: Connection, thing: Thing) -> Thing | None:
    try:
        match thing:
            case XfrmState():
                return _look_state(connection, thing)
            case XfrmPolicy():
                found = connection.get(XFRM_MSG_GETPOLICY, _policy_id(_selector(thing)))
                return _as_policy(found, thing)
            case XfrmBlock():
                connection.get(XFRM_MSG_GETPOLICY, _policy_id(_any(thing)))
                return thing
    except OSError as error:
        if error.errno in GONE:
            return None
        raise KernelRefused(f"read {thing}", error.errno or 0) from error
    return None


def _look_state(connection: Connection, thing: XfrmState) -> XfrmState | None:
    found = connection.get(XFRM_MSG_GETSA, _state_id(thing))
    aead = attributes(found, XFRM_USERSA_INFO_ANY.size).get(XFRMA_ALG_AEAD, b"")
    material = aead[XFRM_ALGO_AEAD.size :]
    return replace(thing, secret=material[:-4].hex())


def _as_policy(found: bytes, thing: XfrmPolicy) -> XfrmPolicy:
    template = attributes(found, XFRM_USERPOLICY_INFO.size).get(XFRMA_TMPL, b"")
    spi = socket.ntohl(XFRM_USER_TMPL.unpack_from(template)[1]) if template else 0
    return replace(thing, spi=spi)
