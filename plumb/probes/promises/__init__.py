"""Promises: who must reach whom and who must not, from the intent alone.

promise               a promise, who it is about and what is promised (values)
reachability          all promises between containers, the host and the world
published_ports       who reaches a published port, from where, and whom the container sees
lan_drivers           what macvlan and ipvlan promise
shared_netns          what sharing a network stack means
dns_names             what containers' questions for names must bring, and real questions for them
duplicate_addresses   each address belongs to one interface alone
verdicts              what real traffic says of a promise, and what silence is worth
"""
