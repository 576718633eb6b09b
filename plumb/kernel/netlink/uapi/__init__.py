"""Constants and structs of the kernel's headers, under their own names; numbers are its ABI.

linux_netlink      linux/netlink.h: what all families have in common
linux_rtnetlink    linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h: links, addresses, routes
linux_netfilter    linux/netfilter/*.h: nf_tables, the packet log, connection tracking
linux_genetlink    linux/genetlink.h, net_dropmon.h, ip_vs.h: generic netlink's families
linux_inet_diag    linux/sock_diag.h, inet_diag.h: sockets
linux_xfrm         linux/xfrm.h: IPsec
"""
