"""Checks of what the kernel has counted: that something happened, not that it does.

direct      packets to containers' own addresses that an engine's rule dropped
checksums   datagrams and segments that arrived damaged
tracking    flows that connection tracking threw out, packets that it could not place
unanswered  containers that have sent, and to which nothing came
"""
