"""Features of this kernel and host, by an attempt at each in a scratch namespace.

table             the features by name, with module, kernel option and remedy
detect            tries features, in a namespace of their own
link_checks       the attempts for links, sockets, tracing and IPsec
netfilter_checks  the attempts for the packet filter
choices           the few that a node of a cluster asks for, without an attempt
"""
