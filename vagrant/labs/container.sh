#!/bin/sh
# container:NAME: a second container in the network namespace of the first. What Kubernetes calls a pod.
. "$(dirname "$0")/lan.sh"

plumb network create --subnet 172.20.0.0/24 shop
plumb run -d --name app --network shop
plumb run -d --name other --network shop

# No namespace is made for the sidecar: its processes enter the app's. So links, addresses, ports and lo are common.
plumb run -d --name sidecar --network container:app python3 -c "$ANSWER" 99
show plumb exec app ip -br address
show plumb exec sidecar ip -br address

expect yes "they have the same MAC" [ "$(mac_of app)" = "$(mac_of sidecar)" ]
seen=$(wait_for plumb exec app sh -c "$(call 127.0.0.1 8000)")
expect yes "app reaches the sidecar's server on lo ($seen)" [ "$seen" = 127.0.0.1 ]
expect yes "another container reaches it at the app's address" plumb exec other sh -c "$(call app 8000)"
expect no "app can listen on the same port" plumb exec app python3 -c "$ANSWER" 0

# resolv.conf, hosts and host name are the first one's as well.
expect yes "they have one /etc/hosts" [ "$(plumb exec app cat /etc/hosts)" = "$(plumb exec sidecar cat /etc/hosts)" ]
