"""linux/rtnetlink.h and the headers beside it: links, addresses, routes, neighbours, namespaces."""

from __future__ import annotations

import struct

# -- linux/rtnetlink.h --------------------------------------------------------

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
RTM_NEWQDISC = 36
RTM_GETNSID = 90

IFINFOMSG = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, change."""
RTMSG = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags."""
RTGENMSG = struct.Struct("=Bxxx")
"""struct rtgenmsg: family; padded, as attributes begin at a multiple of four."""
TCMSG = struct.Struct("=BxxxiIII")
"""struct tcmsg: family, interface index, handle, parent, info."""

RTA_DST, RTA_SRC, RTA_IIF, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC = 1, 2, 3, 4, 5, 6, 7
RTA_TABLE, RTA_MARK, RTA_VIA = 15, 16, 18
RTM_F_CLONED, RTM_F_LOOKUP_TABLE, RTM_F_FIB_MATCH = 0x200, 0x1000, 0x2000
RTN_UNICAST, RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST = 1, 2, 3, 4, 5
RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW, RTN_NAT = 6, 7, 8, 9, 10
RT_TABLE_MAIN, RT_TABLE_LOCAL = 254, 255
RTPROT_BOOT = 3
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
RTEXT_FILTER_SKIP_STATS = 1 << 3
TCA_KIND, TCA_OPTIONS = 1, 2
TC_H_ROOT = 0xFFFFFFFF  # linux/pkt_sched.h

# -- linux/if.h, linux/if_link.h ----------------------------------------------

IFF_UP, IFF_RUNNING, IFF_NOARP, IFF_PROMISC, IFF_ALLMULTI = 0x1, 0x40, 0x80, 0x100, 0x200
IFF_LOWER_UP = 0x10000

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_EXT_MASK, IFLA_LINK_NETNSID = 18, 20, 29, 37
IFLA_GROUP, IFLA_NET_NS_FD = 27, 28
IFLA_AF_SPEC, IFLA_INET6_CONF = 26, 2
DEVCONF_ACCEPT_RA, DEVCONF_DISABLE_IPV6 = 3, 26
"""Indices in IFLA_INET6_CONF, an array of 32 bits each (linux/ipv6.h)."""
IFLA_TARGET_NETNSID = 46
IFALIASZ = 256  # linux/if.h
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
IFLA_BRPORT_STATE, IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED = 1, 4, 33
BR_STATE_FORWARDING = 3  # linux/if_bridge.h

IFLA_MACVLAN_MODE = 1
MACVLAN_MODE_PRIVATE, MACVLAN_MODE_VEPA, MACVLAN_MODE_BRIDGE, MACVLAN_MODE_PASSTHRU = 1, 2, 4, 8
IFLA_IPVLAN_MODE, IFLA_IPVLAN_FLAGS = 1, 2
IPVLAN_MODE_L2, IPVLAN_MODE_L3, IPVLAN_MODE_L3S = 0, 1, 2
IPVLAN_F_PRIVATE, IPVLAN_F_VEPA = 0x1, 0x2
IFLA_VLAN_ID = 1
IFLA_VXLAN_ID, IFLA_VXLAN_PORT, IFLA_VXLAN_GROUP6 = 1, 15, 16
IFLA_VXLAN_LEARNING, IFLA_VXLAN_PROXY, IFLA_VXLAN_UDP_CSUM = 7, 11, 18
IFLA_VXLAN_L2MISS, IFLA_VXLAN_L3MISS = 13, 14
VETH_INFO_PEER = 1  # linux/veth.h
IFLA_BR_VLAN_DEFAULT_PVID = 39

# -- linux/if_addr.h ----------------------------------------------------------

IFADDRMSG = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix length, flags, scope, index."""
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS = 1, 2, 4, 8
IFA_F_NODAD, IFA_F_DADFAILED, IFA_F_TENTATIVE, IFA_F_PERMANENT = 0x02, 0x08, 0x40, 0x80

# -- linux/neighbour.h --------------------------------------------------------

NDMSG = struct.Struct("=BxxxiHBB")
"""struct ndmsg: family, interface index, state, flags, type."""
NDA_DST, NDA_LLADDR, NDA_VLAN, NDA_MASTER = 1, 2, 5, 9
NUD_INCOMPLETE, NUD_REACHABLE, NUD_STALE, NUD_DELAY = 0x01, 0x02, 0x04, 0x08
NUD_PROBE, NUD_FAILED, NUD_NOARP, NUD_PERMANENT = 0x10, 0x20, 0x40, 0x80
NTF_SELF = 0x02

# -- linux/net_namespace.h ----------------------------------------------------

NETNSA_NSID, NETNSA_FD = 1, 3

# -- linux/fib_rules.h --------------------------------------------------------

FIB_RULE_HDR = struct.Struct("=BBBBBBBBI")
"""struct fib_rule_hdr: family, dst_len, src_len, tos, table, two reserved, action, flags."""
FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_PRIORITY, FRA_FWMARK, FRA_TABLE, FRA_OIFNAME = (
    1,
    2,
    3,
    6,
    10,
    15,
    17,
)
FRA_SUPPRESS_PREFIXLEN, FRA_FWMASK = 14, 16
FR_ACT_TO_TBL = 1
FIB_RULE_INVERT = 0x2
