#!/bin/sh
# Published ports: what is let in to a bridge network.
. "$(dirname "$0")/lan.sh"

plumb network create --subnet 172.20.0.0/24 shop

# A port of the host leads to one of the container: a DNAT rule changes the destination of what comes from elsewhere, and
# connection tracking changes replies back. Another rule lets exactly that in.
plumb run -d --name web --network shop -p 8080:8000 -p 127.0.0.1:8081:8000 python3 -c "$ANSWER" 99
show plumb port web
show iptables -t nat -S PLUMB
show iptables -S PLUMB

seen=$(wait_for client "$(call "$HOST_IP" 8080)")
expect yes "the client reaches web at the host's port; web sees who it is ($seen)" [ "$seen" = "$CLIENT_IP" ]
expect no "the client reaches what is published on the host's loopback" client "$(call "$HOST_IP" 8081)"

# Packets from 127.0.0.1 may not leave lo, so they cannot be redirected. A proxy in user space has the port on the host and
# calls web in its turn: web sees the gateway.
seen=$(sh -c "$(call 127.0.0.1 8081)")
expect yes "the host reaches it; web sees the gateway ($seen)" [ "$seen" = 172.20.0.1 ]

# A port is one of the host's: it can be given away once.
expect no "a second container can have port 8080" plumb run -d --network shop -p 8080:8000
plumb rm -f web
expect no "the client is answered when web is gone" client "$(call "$HOST_IP" 8080)"
