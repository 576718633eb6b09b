"""Links, addresses, routes, neighbours and sysctls of a namespace: changes, reads, lookups.

links               takes steps on links, addresses and routes, and looks at them
namespace_state     links, addresses and routes of a namespace, read as they are asked for
link_messages       things as messages: RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE
vxlan               VXLAN links, entries of their tables and neighbours as messages, and read
carrier             waits until new links run
sysctl              reads and writes /proc/sys
host_links          the host's links, as plumb reads them before it builds a network
inventory           links, addresses and neighbours of a namespace, and ends of veth pairs
neighbours          own addresses and the neighbour table, for probes
route_lookup        a namespace's route for a packet; FDB and conntrack entries, counters
probe_socket        sockets that send a probe from inside a namespace
name_lookup         resolves a name as a program in a namespace does
statistics          counters of interfaces and sockets, for `plumb stats`
gratuitous_arp      announces new addresses: gratuitous ARP and neighbour advertisements
announce_endpoints  has new endpoints announced, by the agent where one runs
announce_queue      the agent's queue of announcements
"""
