"""Formats of the network that probes and traces share. No I/O.

attachment   the words of --network and network connect
dns_names    what a container is called
gateways     which of a sandbox's networks provides the default gateway
packet       headers of a frame, and an echo request to send
pool         a subnet, and what of it is handed out
resolv_conf  the directives of resolv.conf(5)
status       state and part of a sandbox, and those that it links to
targets      who is asked, as words of a command line
"""
