"""Links, addresses, routes, neighbours and sysctls of a namespace: changed, read, asked about.

links               takes steps on links, addresses and routes, and looks at them
link_messages       things as messages: RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE
sysctl              reads and writes /proc/sys
host_links          what a network must know of the host's links before it is built
inventory           links, addresses and neighbours of a namespace, and ends of veth pairs
neighbours          own addresses and the neighbour table, for probes
route_lookup        what a namespace would do with a packet: route, FDB entry, conntrack
probe_socket        sockets that send a probe from inside a namespace
name_lookup         what a name means to a program in a namespace
statistics          counters of interfaces and sockets, for `plumb stats`
gratuitous_arp      announces new addresses: gratuitous ARP and neighbour advertisements
announce_endpoints  has new endpoints announced, by the agent where one runs
announce_queue      the agent's queue of announcements
"""
