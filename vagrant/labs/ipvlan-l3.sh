#!/bin/sh
# ipvlan l3: the parent is a router, not a switch. Containers have subnets of their own, without NAT and without broadcasts;
# the LAN must be told the way.
. "$(dirname "$0")/lan.sh"
needs ipvlan

# Two subnets on one parent. There is no gateway: a container's default route is just its link.
plumb network create -d ipvlan -o parent="$PARENT" -o ipvlan_mode=l3 --subnet 10.20.0.0/24 --subnet 10.21.0.0/24 routed
plumb run -d --name web --network routed --ip 10.20.0.2
plumb run -d --name db --network routed --ip 10.21.0.2
show plumb exec web ip -d link show eth0
show plumb exec web ip route

expect yes "web reaches db, on another subnet: the parent routes" reaches web 10.21.0.2
expect yes "web asks nobody for a MAC: its link has no ARP" plumb exec web sh -c "ip link show eth0 | grep NOARP"

# Nobody answers ARP for 10.20.0.2, so the client cannot treat it as a neighbour. It must send to the host.
expect no "the client reaches web" client_reaches 10.20.0.2
in_the_end client ip route del 10.20.0.0/24 via "$HOST_IP" dev "$CLIENT_DEV"
client ip route add 10.20.0.0/24 via "$HOST_IP" dev "$CLIENT_DEV"
expect yes "the client reaches web by a route over the host" client_reaches 10.20.0.2
show client ip neigh
expect yes "all that the client has learned is the host's MAC" [ "$(mac_seen "$HOST_IP")$(mac_seen 10.20.0.2)" = "$(mac_of_host)" ]

before=$(broadcasts)
broadcast
client_reaches 10.20.0.2 >/dev/null             # what was sent before this has arrived
expect yes "a broadcast of the client reaches the host" [ "$(broadcasts)" -gt "$before" ]
expect no "it reaches web" [ "$(broadcasts plumb exec web)" -gt 0 ]
