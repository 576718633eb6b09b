#!/bin/sh
# Internal networks, in three tiers: each tier sees the next one, only the first one sees the world.
#
#     world ── host:8080 ── front: web ── middle: api ── back: db
#                                        (internal)     (internal)
. "$(dirname "$0")/lan.sh"

# Internal: no default route, no masquerading, and two rules that drop what would come in or go out of the subnet.
plumb network create front
plumb network create --internal --subnet 172.21.0.0/24 middle
plumb network create --internal --subnet 172.22.0.0/24 back
plumb run -d --name db --network back
plumb run -d --name api --network middle
plumb network connect back api
plumb run -d --name web --network front -p 8080:8000 python3 -c "$ANSWER" 99
plumb network connect middle web
show iptables -S PLUMB-INTERNAL
show plumb exec web ip -br address
show plumb exec db ip route

wait_for client "$(call "$HOST_IP" 8080)" >"$WORK/seen"
expect yes "the client reaches web" [ "$(cat "$WORK/seen")" = "$CLIENT_IP" ]
expect yes "web reaches api" reaches web api
expect yes "api reaches db" reaches api db
db=$(plumb inspect -f '{{.NetworkSettings.Networks.back.IPAddress}}' db)
expect no "web reaches db: it is two networks away, and api does not forward" reaches web "$db"
expect yes "web reaches the world" reaches web "$CLIENT_IP"
expect no "api reaches the world: it has no default route" reaches api "$CLIENT_IP"

# Not for want of a route alone: the bridge has an address, and the host forwards. db may take it for its gateway, and is stopped.
plumb exec --privileged db ip route add default via 172.22.0.1
expect yes "db reaches the bridge" reaches db 172.22.0.1
expect no "db reaches the world by that route" reaches db "$CLIENT_IP"
