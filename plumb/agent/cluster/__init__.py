"""The cluster: what a node does beside its own networks, and what managers keep in etcd.

process        the process
local          requests of this host's commands
signs_of_life  signs to commands that wait for an answer
member         this node: what it is in its cluster, and becomes
entry          the way in and out: init, join, leave
identity       its papers on the disk
published      what it publishes
host_networks  the cluster's networks on this host, by the engine
session        its lease, and the stream of changes
stream         what that brings, applied to this host
tasks          this node's tasks: containers that come and go as the leader says
managers       requests to whichever manager answers
certificates   authorities, certificates, join tokens, TLS
manager        a manager's work: etcd's member, port 2377
state          the cluster's state in etcd, as functions over plain values
"""
