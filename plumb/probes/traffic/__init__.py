"""Traffic: promises tried with real sockets, all at once.

observe          tries promises against the kernel, in rounds of requests
balanced         makes connections to services, and tells which tasks they came to
client           sends the requests, and polls the sockets of both sides
client_sockets   the client's sockets: one for each namespace and IP version
responders       the listeners that answer, in every namespace
outside          addresses beyond the networks: the host's own, and the world's
socket_errors    text for an errno, or for an ICMP error from a socket's error queue
"""
