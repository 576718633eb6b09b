"""Networks that several hosts share, in the intent of one.

access          the cluster as the engine asks it
client          it, by way of this node's cluster process
attach          networks of the cluster on this host, and containers' places in them
configurations  networks that take over a configuration; those that each node builds for itself
balancing       services on networks of this host
stale_flows     flows to tasks that are gone, which a balancer forgets
reservations    addresses that an operation reserves in the cluster, and gives back
rehearsal       the same cluster for a dry run, which changes nothing there
advertise       the address by which other nodes reach this host
swarm           the swarm and its nodes, for a manager
services        its services, the same way
tasks           containers of services, as the leader of the managers gives them to this host
node            this host's part in its cluster, as its cluster process has it built
health          what `check`, `repair` and `reset` do about it
"""
