"""The embedded DNS server at 127.0.0.11: names of containers from the zone, the rest forwarded.

servers        the names of all networks, and a server for each sandbox that has one
server         the server of one sandbox: its sockets in the sandbox's namespace
tcp_server     DNS over TCP
message        DNS messages as bytes: questions read, answers and errors written
zone           which name means which addresses, network by network; no I/O
local_answers  answers from the zone
cache          answers kept by the bytes of their question
forwarder      asks other servers for what the zone does not know
upstream       one question to one other server, and its answer
limits         quotas, deadlines and the zone, common to the servers of all sandboxes
"""
