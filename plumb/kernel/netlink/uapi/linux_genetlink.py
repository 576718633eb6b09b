"""linux/genetlink.h: generic netlink's controller, and families over generic netlink."""

from __future__ import annotations

import struct

# -- linux/genetlink.h --------------------------------------------------------

GENLMSGHDR = struct.Struct("=BBxx")
"""struct genlmsghdr: command, version."""
GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_ATTR_MCAST_GROUPS = 1, 2, 7
CTRL_ATTR_MCAST_GRP_NAME, CTRL_ATTR_MCAST_GRP_ID = 1, 2

# -- linux/net_dropmon.h ------------------------------------------------------

NET_DM_FAMILY, NET_DM_VERSION = "NET_DM", 2
NET_DM_CMD_CONFIG, NET_DM_CMD_START, NET_DM_CMD_STOP = 2, 3, 4
NET_DM_CMD_PACKET_ALERT, NET_DM_CMD_CONFIG_GET = 5, 6
NET_DM_ATTR_ALERT_MODE, NET_DM_ATTR_SYMBOL, NET_DM_ATTR_IN_PORT = 1, 3, 4
NET_DM_ATTR_TIMESTAMP, NET_DM_ATTR_PAYLOAD, NET_DM_ATTR_TRUNC_LEN = 5, 7, 9
NET_DM_ATTR_QUEUE_LEN, NET_DM_ATTR_SW_DROPS, NET_DM_ATTR_REASON = 11, 20, 23
NET_DM_ATTR_PORT_NETDEV_IFINDEX = 0
NET_DM_ALERT_MODE_PACKET = 1

# -- linux/ip_vs.h ------------------------------------------------------------

IPVS_GENL_NAME, IPVS_GENL_VERSION = "IPVS", 1
IPVS_CMD_NEW_SERVICE, IPVS_CMD_ATTR_SERVICE = 1, 1
IPVS_SVC_ATTR_AF, IPVS_SVC_ATTR_FWMARK, IPVS_SVC_ATTR_SCHED_NAME = 1, 5, 6
IPVS_SVC_ATTR_FLAGS, IPVS_SVC_ATTR_TIMEOUT, IPVS_SVC_ATTR_NETMASK = 7, 8, 9
