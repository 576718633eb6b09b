#!/bin/sh
# macvlan over VLANs (802.1Q): many segments on one wire, told apart by a tag of four octets in each frame.
. "$(dirname "$0")/lan.sh"
needs macvlan
needs 8021q

# The parent does not exist, but its name says what it is: the link eth0.10 adds tag 10 to what leaves by eth0, and gets what
# arrives with it. plumb makes it, and removes it with the network.
plumb network create -d macvlan -o parent="$PARENT.10" --subnet 10.10.10.0/24 --gateway 10.10.10.1 ten
plumb network create -d macvlan -o parent="$PARENT.20" --subnet 10.10.20.0/24 --gateway 10.10.20.1 twenty
plumb run -d --name web --network ten --ip 10.10.10.2
plumb run -d --name db --network twenty --ip 10.10.20.2
show ip -d link show "$PARENT.10"

# The client is a member of VLAN 10. For 10.10.20.0/24 it sends without a tag.
in_the_end client ip link del "$CLIENT_DEV.10"
in_the_end client ip address del 10.10.20.50/24 dev "$CLIENT_DEV"
client "ip link add link $CLIENT_DEV name $CLIENT_DEV.10 type vlan id 10
    ip address add 10.10.10.50/24 dev $CLIENT_DEV.10; ip link set $CLIENT_DEV.10 up
    ip address add 10.10.20.50/24 dev $CLIENT_DEV"

expect yes "the client reaches web, tagged" client_reaches 10.10.10.2
expect yes "it has learned web's own MAC there" [ "$(mac_seen 10.10.10.2)" = "$(mac_of web)" ]
expect no "the client reaches db, which is on VLAN 20, untagged" client_reaches 10.10.20.2
expect no "web reaches db: a parent for each VLAN, and no router between them" reaches web 10.10.20.2

plumb rm -f web db
plumb network rm ten twenty
expect no "the links that plumb made for the VLANs are left" ip link show "$PARENT.10"
