"""Probes: what networks promise, and whether real traffic keeps it.

one_probe          asks one question on the real network, for `plumb probe`
probe_spec         one question and its result (values), and how it is written
target_addresses   at which addresses a target is asked
arp_dns_mtu        questions about more than an answer: neighbours, names, the path's MTU
path_mtu           the longest packet that gets to an address in one piece
matrix             everyone to everyone: promises and traffic together, for `plumb matrix`
promises           who must reach whom and who must not, from the intent alone (pure)
traffic            tries promises with sockets, all at once
packets            asks on the wire (the only package that imports scapy)
"""
