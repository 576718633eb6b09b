#!/bin/sh
# Names: on a network of one's own, containers know each other by name. A DNS server at 127.0.0.11 answers, in each of them.
. "$(dirname "$0")/lan.sh"

plumb network create --subnet 172.20.0.0/24 shop
plumb network create --subnet 172.21.0.0/24 bank
plumb run -d --name web --network shop
plumb run -d --name db --network shop --network-alias store
plumb run -d --name vault --network bank

# resolv.conf names a loopback address. Nothing listens on its port 53: rules in the container's own namespace lead to the
# sockets which plumb's agent has opened there, and the agent knows who asks, because each namespace has its own.
show plumb exec web cat /etc/resolv.conf
show plumb exec --privileged web iptables -t nat -S
show plumb exec web getent hosts db

knows() { plumb exec "$1" getent hosts "$2" | grep "^$3 "; }
expect yes "web knows db by its name" knows web db 172.20.0.3
expect yes "web knows db by its alias" knows web store 172.20.0.3
expect no "web knows vault, which is on another network" knows web vault .
plumb network connect bank web
expect yes "it does when it is connected, at once" knows web vault 172.21.0.2
expect yes "an address has a name, too" plumb exec web sh -c "getent hosts 172.20.0.3 | grep db.shop"
plumb network disconnect bank web
expect no "and no longer when it has left" knows web vault .

# The default network is Docker's oldest and has no names: resolv.conf there is the host's.
plumb run -d --name old
expect no "on the default network that server is asked" plumb exec old grep 127.0.0.11 /etc/resolv.conf
