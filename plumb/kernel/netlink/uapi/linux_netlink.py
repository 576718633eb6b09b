"""linux/netlink.h: the header of every message, its flags, acknowledgements, socket options."""

from __future__ import annotations

import struct

NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_XFRM = 0, 4, 6
NETLINK_NETFILTER, NETLINK_GENERIC = 12, 16

NLMSGHDR = struct.Struct("=IHHII")
"""struct nlmsghdr: length with this header, type, flags, sequence number, port."""
NLATTR = struct.Struct("=HH")
"""struct nlattr: length with this header, type."""
NLA_F_NESTED, NLA_TYPE_MASK = 0x8000, 0x3FFF

# Flags of a message.
NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK, NLM_F_DUMP_INTR = 0x1, 0x2, 0x4, 0x10
NLM_F_ROOT, NLM_F_MATCH = 0x100, 0x200  # of GET requests
NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800  # of NEW
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200  # of acknowledgements

# Types of messages that every family has.
NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3

# Attributes of the extended acknowledgement.
NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS = 1, 2

SOL_NETLINK = 270  # linux/socket.h
NETLINK_ADD_MEMBERSHIP, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 1, 10, 11, 12
SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_NETNS_COOKIE = 32, 33, 71  # asm-generic/socket.h
