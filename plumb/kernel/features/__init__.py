"""Features: what this kernel and host can do, found out by trying it in a scratch namespace.

table             the features by name, with module, kernel option and remedy
detect            tries features, in a namespace that nobody sees
link_checks       the attempts for links, sockets, tracing and IPsec
netfilter_checks  the attempts for the packet filter
"""
