"""One connection: requests in one send, refusals, dumps that are interrupted, one door."""

from __future__ import annotations

import ast
import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from plumb.kernel.netlink import connection, nfnetlink
from plumb.kernel.netlink.codec import (
    Request,
    acknowledgement,
    attribute,
    attribute_u32,
    completion,
    message,
    messages,
    nest,
)
from plumb.kernel.netlink.connection import BATCH, Connection, DumpInterrupted, Subscriber
from plumb.kernel.netlink.genetlink import GenericFamily
from plumb.kernel.netlink.nfnetlink import Netfilter, request
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFNL_SUBSYS_NFTABLES,
    NFPROTO_INET,
    NFT_MSG_DELTABLE,
    NFT_MSG_NEWTABLE,
    NFTA_TABLE_NAME,
)
from plumb.kernel.netlink.uapi.linux_netlink import (
    NETLINK_ROUTE,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLMSGERR_ATTR_MSG,
    NLMSGERR_ATTR_OFFS,
    NLMSGHDR,
)
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFINFOMSG,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MTU,
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_NEWLINK,
)
from tests.labs import Lab
from tests.test_layers import MODULES

ALL = IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)


def bridge(name: str) -> Request:
    """The request that makes a bridge."""
    info = nest(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, "bridge"))
    body = ALL + attribute(IFLA_IFNAME, name) + info
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)


def names() -> set[str]:
    """The links of this namespace."""
    return {name for _, name in socket.if_nameindex()}


def test_each_of_several_requests_has_its_own_answer(lab: Lab) -> None:
    """One that is refused does not stop those behind it."""
    with Connection(NETLINK_ROUTE) as kernel:
        acks = kernel.send([bridge("a"), bridge("a"), bridge("b")])
    assert [ack.errno for ack in acks] == [0, errno.EEXIST, 0]
    assert {"a", "b"} <= names()


def test_more_requests_than_go_into_one_send(lab: Lab) -> None:
    """They go in several, and are answered in their order."""
    gone = Request(RTM_DELLINK, 0, ALL + attribute(IFLA_IFNAME, "nobody"))
    with Connection(NETLINK_ROUTE) as kernel:
        acks = kernel.send([*[gone] * (2 * BATCH), bridge("last")])
        assert kernel.send([]) == []
    assert [ack.errno for ack in acks] == [errno.ENODEV] * (2 * BATCH) + [0]


def test_the_kernel_says_which_byte_is_wrong_and_why(lab: Lab) -> None:
    """The extended acknowledgement has a sentence, and the offset of an attribute."""
    name = attribute(IFLA_IFNAME, "lo")
    wrong = Request(RTM_NEWLINK, 0, ALL + name + attribute_u32(IFLA_MTU, 1 << 31))
    kindless = Request(RTM_NEWLINK, NLM_F_CREATE, ALL + nest(IFLA_LINKINFO, attribute(1, "nokind")))
    with Connection(NETLINK_ROUTE) as kernel:
        mtu, kind = kernel.send([wrong, kindless])
        assert mtu.errno
        assert (kind.errno, kind.said) == (errno.EOPNOTSUPP, "Unknown device type")
        with pytest.raises(OSError, match="Unknown device type") as caught:
            kernel.change(*kindless)
    assert caught.value.errno == errno.EOPNOTSUPP


def extended(error: int, flags: int, asked: bytes, *attributes: bytes) -> tuple[int, bytes]:
    """The flags and the payload of an NLMSG_ERROR."""
    return flags | NLM_F_ACK_TLVS, struct.pack("=i", error) + asked + b"".join(attributes)


@pytest.mark.parametrize("capped", [True, False])
def test_an_acknowledgement_with_attributes(capped: bool) -> None:
    """They stand behind the request's header, or behind the whole of it."""
    whole = message(RTM_NEWLINK, 0, 7, b"abcdef")
    asked = whole[: NLMSGHDR.size] if capped else whole + b"\0\0"
    flags, payload = extended(
        -errno.EINVAL,
        NLM_F_CAPPED if capped else 0,
        asked,
        attribute(NLMSGERR_ATTR_MSG, "no such thing"),
        attribute_u32(NLMSGERR_ATTR_OFFS, 36),
    )
    ack = acknowledgement(flags, payload)
    assert (ack.errno, ack.said, ack.offset) == (errno.EINVAL, "no such thing", 36)
    assert str(ack.error()) == f"[Errno {errno.EINVAL}] no such thing"


def test_an_acknowledgement_without_attributes() -> None:
    """The errno's own words, where the kernel has none."""
    ack = acknowledgement(0, struct.pack("=i", -errno.EPERM) + bytes(NLMSGHDR.size))
    assert (ack.errno, ack.said, ack.offset) == (errno.EPERM, "", 0)
    assert "not permitted" in str(ack.error())
    assert acknowledgement(NLM_F_CAPPED, bytes(4 + NLMSGHDR.size)).errno == 0


def test_a_dump_ends_with_how_it_went() -> None:
    """An errno in NLMSG_DONE is a refusal."""
    assert completion(0, b"").errno == 0
    assert completion(0, bytes(4)).errno == 0
    assert completion(0, struct.pack("=i", -errno.ENOENT)).errno == errno.ENOENT


def test_a_message_that_is_cut_short_is_an_error() -> None:
    """Rather than read as if it were whole."""
    with pytest.raises(OSError, match="cut short"):
        list(messages(message(RTM_GETLINK, 0, 1, bytes(20))[:-4]))


def test_a_get_of_nothing_has_its_errno(lab: Lab) -> None:
    """Whoever asks decides what it means; what comes next is answered all the same."""
    with Connection(NETLINK_ROUTE) as kernel:
        with pytest.raises(OSError, match=r".") as caught:
            kernel.get(RTM_GETLINK, ALL + attribute(IFLA_IFNAME, "nobody"))
        assert caught.value.errno == errno.ENODEV
        assert b"lo\0" in kernel.get(RTM_GETLINK, ALL + attribute(IFLA_IFNAME, "lo"))


@pytest.fixture
def crowded(lab: Lab) -> None:
    """A namespace whose links do not fit into one part of a dump."""
    with Connection(NETLINK_ROUTE) as kernel:
        acks = kernel.send([bridge(f"br{number}") for number in range(60)])
    assert not any(ack.errno for ack in acks)


def test_a_change_between_two_parts_of_a_dump_is_noticed(crowded: None) -> None:
    """The kernel marks it (NLM_F_DUMP_INTR)."""
    with Connection(NETLINK_ROUTE) as kernel, Connection(NETLINK_ROUTE) as other:
        found = kernel.stream(RTM_GETLINK, ALL)
        next(found)
        other.change(*bridge("late"))
        with pytest.raises(DumpInterrupted):
            list(found)


class Disturbed(Connection):
    """A connection during whose dumps a link comes, the first so many times.

    Attributes:
        times: how many times are left; dumps: how many were begun.
    """

    times, dumps = 0, 0

    def stream(self, kind: int, body: bytes) -> Iterator[bytes]:
        """Make a link after the first message."""
        self.dumps += 1
        for number, payload in enumerate(super().stream(kind, body)):
            if number == 0 and self.times:
                self.times -= 1
                with Connection(NETLINK_ROUTE) as other:
                    other.change(*bridge(f"late{self.times}"))
            yield payload


def test_an_interrupted_dump_is_asked_for_again(crowded: None) -> None:
    """So the listing is one that was true at one time."""
    with Disturbed(NETLINK_ROUTE) as kernel:
        kernel.times = 2
        found = kernel.dump(RTM_GETLINK, ALL)
    assert kernel.dumps == 3
    assert len(found) == len(names())


def test_a_dump_that_is_interrupted_each_time_is_given_up(crowded: None) -> None:
    """Nothing waits without a limit."""
    with Disturbed(NETLINK_ROUTE) as kernel:
        kernel.times = 100
        with pytest.raises(DumpInterrupted):
            kernel.dump(RTM_GETLINK, ALL)
    assert kernel.dumps == connection.TRIES


def test_a_subscriber_hears_what_comes_unasked(lab: Lab) -> None:
    """And has its own answers besides."""
    with Subscriber(NETLINK_ROUTE) as kernel, Connection(NETLINK_ROUTE) as other:
        kernel.join(1)  # RTNLGRP_LINK
        assert kernel.notifications() == []
        other.change(*bridge("news"))
        kernel.change(*bridge("own"))
        heard = kernel.notifications()
        assert {kind for kind, _ in heard} == {RTM_NEWLINK}
        assert any(b"news\0" in payload for _, payload in heard)
        assert kernel.lost == 0


def test_a_transaction_is_taken_whole_or_not_at_all(lab: Lab) -> None:
    """The table that could be made is not there when another could not be deleted."""

    def table(kind: int, name: str) -> Request:
        body = attribute(NFTA_TABLE_NAME, name)
        return request(NFNL_SUBSYS_NFTABLES, kind, NFPROTO_INET, body)

    with Netfilter() as kernel:
        with pytest.raises(OSError, match=r".") as caught:
            kernel.transact([table(NFT_MSG_NEWTABLE, "t"), table(NFT_MSG_DELTABLE, "nobody")])
        assert caught.value.errno == errno.ENOENT
        kernel.transact([table(NFT_MSG_NEWTABLE, "t")])
        kernel.transact([table(NFT_MSG_DELTABLE, "t")])


def test_a_generic_family_has_a_number_and_groups(lab: Lab) -> None:
    """The controller is one itself."""
    with GenericFamily("nlctrl") as family:
        assert family.id == 16
        assert "notify" in family.groups
    with pytest.raises(OSError, match=r".") as caught:
        GenericFamily("nobody")
    assert caught.value.errno == errno.ENOENT


def test_netlink_sockets_are_opened_in_one_module() -> None:
    """All others use a Connection.

    But for the pytest plugin, whose lab process opens one in a node's namespace and hands it over.
    """
    users = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "AF_NETLINK"
    }
    assert users - {"plumb.pytest_plugin.nodes"} == {"plumb.kernel.netlink.connection"}


def test_connections_to_netfilter_are_closed_together() -> None:
    """Each waits for the kernel to dispose of what was deleted, which goes on meanwhile."""
    with nfnetlink.closing_last():
        with Netfilter() as first:
            pass
        with Netfilter() as second:
            pass
        assert first.fileno() >= 0
        assert second.fileno() >= 0
    assert (first.fileno(), second.fileno()) == (-1, -1)


def test_of_many_connections_the_oldest_is_closed_at_once() -> None:
    """A process has a limit of open files."""
    made = [Netfilter() for _ in range(nfnetlink.MOST_OPEN + 1)]
    with nfnetlink.closing_last():
        for each in made:
            each.close()
        assert [each.fileno() < 0 for each in made] == [True] + [False] * nfnetlink.MOST_OPEN
