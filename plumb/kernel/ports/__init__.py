"""Ports: of the host, and in sandboxes.

host_ports  binds ports of the host, and names the owner of one that cannot be bound
free_ports  finds ports in a sandbox that nobody uses, for its DNS server
listeners   lists who waits for what comes in
"""
