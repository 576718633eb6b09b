"""Causes: explanations of a packet that got no reply, with remedies.

Observations come first: the rule that dropped the packet, the ICMP error that a router sent, the
last link that the packet crossed. Where they do not settle the cause, the finders compare the state
of the namespaces (settings, links, routes, listeners) with the packet's needs. A cause that follows
from state alone, without an observation, is printed with "probably".

case           a case (story and state of the namespaces) and a cause, as values
order          all finders, in the order in which they are called
by_rule        a rule dropped the packet
by_isolation   a rule that parts networks on purpose dropped the packet
by_socket      no process listens at the port, or at another address only
by_route       a namespace has no route to the destination, or a route that refuses
by_link        a veth pair or a bridge is down, missing or misconfigured
by_neighbour   a neighbour does not answer for its address, or another one does
by_nat         NAT rewrote the packet wrongly, or did not rewrite it
by_kernel      the kernel reports the cause itself: a full neighbour table, a drop reason
by_service     a service of the cluster has no task to go to, or no virtual address
by_size        the packet was too large, or had passed too many routers
by_tunnel      an overlay's VXLAN link does not know the other host, or the packet is lost behind it
remedies       commands that correct a fault
owners         commands of the engine that has made a network or container

Each finder is a pure function of the case; the first that returns a cause wins.
"""
