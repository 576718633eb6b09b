#!/bin/sh
# bridge: a private segment on this host, hidden behind the host's own address. Docker's default.
. "$(dirname "$0")/lan.sh"

# A link of kind bridge, which is a switch with the gateway's address, and rules: what leaves is masqueraded (NAT), what
# comes for the containers is dropped unless it is a reply or a published port.
plumb network create --subnet 172.20.0.0/24 shop

# For each container a network namespace, and a veth pair: one end is its eth0, the other a port of the bridge.
plumb run -d --name web --network shop
plumb run -d --name db --network shop
show plumb exec web ip -br address
show bridge link
show iptables -t nat -S POSTROUTING

expect yes "web reaches db, through the bridge" reaches web db
expect yes "web reaches the LAN's client" reaches web "$CLIENT_IP"

# A server on the client tells its caller who he seems to be.
client "timeout 20 python3 -c '$ANSWER' 1" >/dev/null 2>&1 &
seen=$(wait_for plumb exec web sh -c "$(call "$CLIENT_IP" 8000)")
expect yes "to the client it is the host that calls ($seen)" [ "$seen" = "$HOST_IP" ]

# The client has no route to 172.20.0.0/24. Even with one the host does not let it in.
client ip route add 172.20.0.0/24 via "$HOST_IP" dev "$CLIENT_DEV"
in_the_end client ip route del 172.20.0.0/24 via "$HOST_IP" dev "$CLIENT_DEV"
expect no "the client reaches web, when it knows the way" client_reaches 172.20.0.2
expect yes "the host reaches web: it is on the segment, as its gateway" host_reaches 172.20.0.2
