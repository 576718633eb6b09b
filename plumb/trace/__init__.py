"""Trace: the story of one packet and of its answer, told from what was seen of it.

tracer          all of it: reads the topology, asks and watches, and finds the cause
topology        links and addresses of the namespaces concerned, read once before the packet is sent
link_labels     what people call links: a network's bridge, a container's port, a parent
probe_packet    the packet, sent by a plain socket
run             sends it and watches all places meanwhile
headers         frames as packets: protocol, intent, addresses, and what an ICMP error is about
match_frames    frames and rules' steps of one flow, sorted by place
rule_steps      a step through the firewall in the words of its rule, and why that rule exists
known_rules     why rules of a real Docker exist, and whose the others are
nat             what NAT made of a packet
path            the story: hops, what was decided at each, how it ended (values)
assemble        the story, made of what was seen
outcome         how and where it ended
collect_state   reads what is worth knowing of each place once a question was not answered
causes          why it was not answered, and what to do about it
report          request (a packet and its destination) and report of a trace, as values

`plumb.kernel` collects what is seen; `plumb.views.trace` tells it.
"""
