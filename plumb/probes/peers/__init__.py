"""Check of what lies between this node of a cluster and the others, for `plumb check --peers`.

    TCP 2377             nodes ask managers, by TLS: certificates hold for a time, so clocks matter
    TCP 2380             managers' etcd members, between each other
    UDP 4789             VXLAN (or the port of `swarm init --data-path-port`)
    IP protocol 50       ESP, where an encrypted network has a part on both nodes

Each is tried: a TLS handshake, a connection, a ping between the balancers of both nodes on a
network that both have (every node has one on the ingress network), with the packets between the
hosts observed meanwhile; and the longest packet that a peer's end of the tunnel answers.

TCP and UDP 7946 carry Docker's gossip. plumb has none, and they need not be open.

check_peers   which peers there are, and the check of each
finding       the causes, as values
managers      TCP 2377, its TLS, etcd's port 2380
tunnel        VXLAN and ESP: pings over a network, and the cause where they stay unanswered
packet_tap    packets between two hosts, observed on this host's links
"""
