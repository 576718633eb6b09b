#!/bin/sh
# overlay: one network on two hosts. Frames between them travel in UDP packets (VXLAN); a cluster tells each host who is where.
. "$(dirname "$0")/lan.sh"
needs vxlan

# The LAN's other machine is a host of plumb's as well, with a root of its own.
OTHER="$WORK/other"
second() { client "PLUMB_ROOT=$OTHER plumb $*"; }
client "mkdir -p -m 700 $WORK"
in_the_end "client rm -rf $OTHER"
in_the_end second reset --force

# Two hosts become one cluster. The first is its manager and has its state, in etcd. The other one joins with a token, by stdin,
# since a list of processes shows arguments.
plumb swarm init --advertise-addr "$HOST_IP" >/dev/null
client "echo $(plumb swarm join-token -q worker) |
    PLUMB_ROOT=$OTHER plumb swarm join --advertise-addr $CLIENT_IP --token - $HOST_IP:2377"
show plumb node ls --format '{{.Status}} {{.ManagerStatus}}'

# The network is known to the cluster at once, and built on a host with the first container there: a namespace with a bridge,
# and on that a link of kind vxlan with the network's number, the VNI.
plumb network create -d overlay --attachable --subnet 10.50.0.0/24 shop
plumb run -d --name web --network shop
second run -d --name db --network shop
inside() { nsenter --net="$PLUMB_ROOT/netns/1-$(plumb network inspect -f '{{.Id}}' shop | cut -c -10)" "$@"; }
knows_db() { inside bridge fdb show dev vxlan0 | grep "02:42:0a:32:00:04 dst $CLIENT_IP "; }

# No frame is flooded to other hosts. For each container there, two entries lead to it: a neighbour (address to MAC) and an FDB
# entry (MAC to host). A MAC is 02:42 and the address.
wait_for knows_db >/dev/null
show inside ip neigh show dev vxlan0 nud permanent
show inside bridge fdb show dev vxlan0
show plumb exec web getent hosts db

expect yes "web knows db, which is on the other host, by its name" plumb exec web sh -c "getent hosts db | grep 10.50.0.4"
expect yes "web reaches db" reaches web db
expect yes "db reaches web" second exec db ping -q -c 1 -W 1 web
expect no "the host reaches db: its own stack has no part in the network" host_reaches 10.50.0.4
show plumb probe web 10.50.0.4/icmp --on "$PARENT"
expect yes "on the wire it is VXLAN 4097, from host to host" sh -c \
    "plumb probe web 10.50.0.4/icmp --on $PARENT | grep 'VXLAN 4097 of $HOST_IP > $CLIENT_IP'"
expect no "a network with a subnet that overlaps can be made" plumb network create -d overlay --subnet 10.50.0.0/16 bank

# The entries go with the container.
second rm -f db >/dev/null
gone() { ! knows_db; }
wait_for gone
expect no "an entry for db is left" knows_db
