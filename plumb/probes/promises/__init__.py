"""Promises: the reachability that the intent requires or excludes.

promise               a promise, its two ends and its content (values)
reachability          all promises between containers, the host and the world
published_ports       clients that reach a published port, and the address the container observes
lan_drivers           promises of macvlan and ipvlan
remote_endpoints      promises about containers on other hosts of the cluster
shared_netns          promises of containers that share a network stack
balancing             virtual addresses and published ports of the cluster's services
dns_names             answers that containers must get for names, and real queries for them
duplicate_addresses   each address belongs to one interface alone
written               promises that a user has written, with their outcome
verdicts              the verdict of real traffic on a promise, and the worth of silence
"""
