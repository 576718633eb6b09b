"""The cluster's state in etcd, as functions over plain values; managers alone call them.

Each function takes an `Etcd` client and values of `model.cluster`. What it decides, it decides in
one transaction, so that managers may do the same at once and a killed one leaves nothing half done.

etcd            the client: requests, transactions, leases, errors
keys            names of all keys
swarm           the cluster itself
secrets         keys of the certificate authorities, join tokens
encryption      keys of encrypted networks, and their rotation
nodes           nodes, and the leases that say which are alive
networks        networks with subnets, gateways and VNIs allotted
vnis            serial numbers of VXLAN segments
addresses       the choice of an address: serial, going round
serial          the last address of a subnet, as managers share it
reservations    an endpoint's addresses, until they are given back
endpoints       places in a network: reserved, published, withdrawn
absence         reservations of nodes that went away for good
questions       questions of managers to nodes
service         services and tasks
watch           changes below a prefix, from a listing on
"""
