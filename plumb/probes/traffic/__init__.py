"""Traffic: promises tried with real sockets, all at once.

observe          holds promises against the kernel: rounds of questions, and what came of them
client           the asking side, and the loop that watches both
client_sockets   its sockets: one for each namespace and IP version
responders       the answering side, in every namespace
outside          what is beyond the networks: the host's own addresses, and the world
socket_errors    an errno, or an ICMP error that the kernel has kept, in words
"""
