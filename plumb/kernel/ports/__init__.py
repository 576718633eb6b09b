"""Ports: of the host, and in sandboxes.

host_ports  binds ports of the host, and names the owner of one that cannot be bound
free_ports  finds unused ports in a sandbox, for its DNS server
listeners   lists the sockets that wait for packets
"""
