#!/bin/sh
# macvlan: containers on the LAN itself, each with a MAC and an address of its own there. No bridge, no NAT, no ports.
. "$(dirname "$0")/lan.sh"
needs macvlan

# Nothing is made yet. The subnet is the LAN's, so plumb must know which addresses nobody else gives away: the range.
plumb network create -d macvlan -o parent="$PARENT" --subnet "$LAN.0/24" --ip-range "$LAN.128/25" --gateway "$LAN.1" wire

# For each container a link of kind macvlan on the parent, moved into its namespace. The parent takes frames for all their
# MACs from the wire, and hands each to the child whose it is.
plumb run -d --name web --network wire --ip "$LAN.130"
plumb run -d --name db --network wire --ip "$LAN.131"
show plumb exec web ip -d link show eth0

expect yes "web reaches db: the parent passes frames from child to child (mode bridge)" reaches web "$LAN.131"
expect yes "the client reaches web, as any machine of the LAN" client_reaches "$LAN.130"
expect yes "it is web's own MAC that the client has learned ($(mac_of web))" [ "$(mac_seen "$LAN.130")" = "$(mac_of web)" ]
client_reaches "$LAN.131" >/dev/null
show client ip neigh
expect no "db has the same one" [ "$(mac_of web)" = "$(mac_of db)" ]
broadcast
expect yes "a broadcast of the client reaches web" [ "$(broadcasts plumb exec web)" -gt 0 ]

# What the host sends by the parent goes out on the wire, and a switch does not send it back. So the host cannot reach its
# own children, nor they the host. A child of its own helps: children reach each other.
expect no "the host reaches web" host_reaches "$LAN.130"
ip link add aside link "$PARENT" type macvlan mode bridge
in_the_end ip link del aside
ip address add "$LAN.129/32" dev aside
ip link set aside up
ip route add "$LAN.130/32" dev aside
expect yes "the host reaches web by a child of its own" host_reaches "$LAN.130"
