#!/bin/sh
# none: a network namespace with lo, and nothing else. What a namespace is before anybody connects it.
. "$(dirname "$0")/lan.sh"

plumb run -d --name vault --network none
show plumb exec vault ip -br address
show plumb exec vault ip route

expect yes "vault has one link" [ "$(plumb exec vault ip -o link | wc -l)" = 1 ]
expect yes "it reaches itself" reaches vault 127.0.0.1
expect no "it reaches the LAN's client (there is no route)" reaches vault "$CLIENT_IP"
expect no "it reaches the host" reaches vault "$HOST_IP"

# None means none: Docker refuses to connect it to anything else.
plumb network create shop
expect no "it can be connected to a network besides" plumb network connect shop vault
