#!/bin/sh
# ipvlan l2: containers on the LAN itself, with addresses of their own and the host's MAC. For wires on which a second MAC is
# not welcome: Wi-Fi, switches with port security, most clouds.
. "$(dirname "$0")/lan.sh"
needs ipvlan

# Nothing is made yet, as with macvlan.
plumb network create -d ipvlan -o parent="$PARENT" --subnet "$LAN.0/24" --ip-range "$LAN.128/25" --gateway "$LAN.1" wire

# For each container a link of kind ipvlan. All have the parent's MAC: it tells frames apart by the address in the packet.
plumb run -d --name web --network wire --ip "$LAN.130"
plumb run -d --name db --network wire --ip "$LAN.131"
show plumb exec web ip -d link show eth0

expect yes "web reaches db: the parent passes packets from child to child" reaches web "$LAN.131"
expect yes "the client reaches web" client_reaches "$LAN.130"
expect yes "the client reaches db" client_reaches "$LAN.131"
show client ip neigh
expect yes "web has the host's MAC on the wire" [ "$(mac_seen "$LAN.130")" = "$(mac_of_host)" ]
expect yes "db too" [ "$(mac_seen "$LAN.131")" = "$(mac_of_host)" ]

# As with macvlan, and for the same reason: what the host sends goes out on the wire and does not come back.
expect no "the host reaches web" host_reaches "$LAN.130"
