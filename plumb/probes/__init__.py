"""Probes: the promises of networks, and real traffic that shows whether they are kept.

one_probe          sends one probe on the real network, for `plumb probe`
together           sends many at the same time, for promises of compose files
probe_spec         a probe and its result (values), and their notation
target_addresses   the addresses at which a target is probed
arp_dns_mtu        probes whose reply carries data: neighbours, names, the path MTU
path_mtu           finds the longest packet that reaches an address unfragmented
matrix             all members to all members: promises and traffic, for `plumb matrix`
peers              what lies between the nodes of a cluster, for `plumb check --peers`
promises           reachability that the intent requires or excludes (pure)
traffic            tries promises with sockets, all at once
packets            ARP, neighbour discovery and captures (the only package that imports scapy)
"""
