"""Services: many containers, on many hosts, under one name, one address and one port. No I/O.

service      a `Service` as the cluster keeps it: its specification, its virtual addresses
spec         the words of `service create`: `ServiceSpec` and its parts
task         a `Task`: one container of a service, its place and its state
constraints  conditions of a placement
assignment   a task as its node is told of it, and the node's report
virtual      a `VirtualService`: a service on one network, as each host's balancer needs it
changes      changes of a specification, as `service update` asks for them
progress     how far a service is from what was asked for
words        text of the command line, parsed
"""
