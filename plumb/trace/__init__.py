"""Trace: the path of one packet and of its reply, assembled from captured frames and rule hits.

tracer          the whole of a trace: topology, probe packet, captured frames, cause
cluster         overlays and services: VXLAN packets, the other host, the task that was chosen
topology        links and addresses of the namespaces concerned, read once before the packet is sent
foreign_ends    links of other engines' containers, found in the kernel
link_labels     labels of links: a network's bridge, a container's port, a parent
probe_packet    the probe packet, sent by a plain socket
run             sends the probe packet and captures frames and rule hits in all namespaces
headers         frames as packets: protocol, addresses, kind, and the packet inside an ICMP error
match_frames    frames and rule hits of one flow, sorted by direction and namespace
rule_steps      a step through the firewall: the rule's text, and the reason for the rule
nat             addresses that NAT rewrote
path            the story: crossings, decisions between them, and the end (values)
assemble        makes a story of frames, rule hits and routes
outcome         the end of a story, and its place
collect_state   reads the state of each namespace once a probe packet got no reply
causes          explanations of a missing reply, with remedies
report          request (a packet and its destination) and report of a trace, as values

`plumb.kernel` captures; `plumb.views.trace` prints.
"""
