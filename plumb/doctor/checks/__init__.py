"""Checks: functions of a snapshot, a module for each kind of fault.

forwarding  the host is no router for its containers, or takes no router advertisements
firewall    chains that drop containers' packets
host_input  packets to the host itself: questions to a name server
inside      rules in containers' own namespaces
nat         sources that are not masqueraded, flows to containers that are gone
routing     subnets that others have as well, routes that lead elsewhere
bridges     bridges and their ports
containers  links, addresses and routes inside containers
duplicates  addresses that two links have
ports       published ports
published   published ports that others have
names       name servers
mtu         links that carry less than is sent
lan         macvlan and ipvlan
limits      tables that are full, modules of another kernel
overlay     overlay networks, as far as this host tells of them
counters    what the kernel has counted
record      plumb's own record, and what could not be read
pair        reasons between two ends, which alone are no faults
"""
