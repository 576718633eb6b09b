"""Netlink: plumb's requests to the kernel about networks, packet filters and sockets.

codec          messages and attributes to bytes and back; acknowledgements, errors
connection     one socket: requests with an acknowledgement each, dumps, notifications
nfnetlink      netfilter's subsystems: requests, nf_tables' transactions, notifications
ctnetlink      connection tracking's entries: listed with a filter, deleted
genetlink      generic netlink: a family by its name, its commands, its multicast groups
sock_diag      the sockets of a namespace, as ss(8) lists them
uapi           constants and structs of the kernel's headers, under their own names

AF_NETLINK sockets are opened in `connection` only. docs/adr/0001-own-netlink-path.md says why
pyroute2 has no part in this.
"""
