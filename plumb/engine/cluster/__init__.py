"""Networks that several hosts share, in the intent of one.

access      the cluster as the engine asks it
advertise   the address by which other nodes reach this host
swarm       the swarm and its nodes, for a manager
health      what `check`, `repair` and `reset` do about it
client      it, by way of this node's cluster process
"""
