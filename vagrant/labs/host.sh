#!/bin/sh
# host: no namespace of its own. The container is on the host's network, as any process of the host is.
. "$(dirname "$0")/lan.sh"

# Nothing is made in the kernel: no link, no address, no rule.
plumb run -d --name web --network host python3 -c "$ANSWER" 99
show plumb exec web ip -br address

expect yes "web has the host's network namespace" [ "$(plumb exec web readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ]
wait_for sh -c "$(call 127.0.0.1 8000)" >"$WORK/self"
expect yes "the client reaches its server at the host's address; nothing is published" client "$(call "$HOST_IP" 8000)"
expect yes "the server sees the client's own address: no NAT" [ "$(client "$(call "$HOST_IP" 8000)")" = "$CLIENT_IP" ]

# The price: ports are the host's, and there is one of each.
expect no "a second container can listen on the same port" plumb run --rm --network host timeout 5 python3 -c "$ANSWER" 0
