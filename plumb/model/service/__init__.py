"""Services: many containers, on many hosts, under one name, one address and one port. No I/O.

service  a `Service` as the cluster keeps it: its specification, its virtual addresses
spec     the words of `service create`: `ServiceSpec` and its parts
task     a `Task`: one container of a service, its place and its state
virtual  a `VirtualService`: a service on one network, as each host's balancer needs it
"""
