# shellcheck shell=sh disable=SC2034 # what is set here, the labs use
# The LAN that a lab plays on, and the words in which it is told. Each lab begins with: . "$(dirname "$0")/lan.sh"
#
#     this host   $PARENT 192.168.56.11 ───── $CLIENT_DEV 192.168.56.50   the LAN's client
#
# By default both are scratch: a network and mount namespace plays the host, another one the client, and a veth pair is the
# wire. The machine's own network is not touched, and all of it ends with the lab.
#
# PARENT=eth1 plays on a real wire (in Vagrant eth1 is the private network), and the client is another machine. Root on it is
# reached with $CLIENT, by default over ssh. The lab takes back what it made.
#
# Exit status: 0 the point was made; 1 it was not; 77 this kernel lacks what it takes (what automake and meson call "skipped").
set -eu
[ "$(id -u)" = 0 ] || { echo "a lab builds networks, so run it as root: sudo sh $0" >&2; exit 1; }

if [ -z "${PARENT:-}" ] && [ "${1:-}" != "on a scratch host" ]; then
    exec unshare --net --mount --propagation private sh "$0" "on a scratch host"
fi

LAN=${LAN:-192.168.56}                          # its /24
CLIENT_IP=${CLIENT_IP:-$LAN.50}
WORK=$(mktemp -d -t plumb-lab.XXXXXX)
export PLUMB_ROOT="$WORK/root"                  # nobody else's networks are met
tried=0 missed=0 undo=:

clean_up() {
    status=$?
    trap - EXIT
    eval "$undo"
    plumb reset --force || status=1
    umount "$WORK/client" 2>/dev/null || :      # the scratch client's namespace
    rm -rf "$WORK"
    [ "$status" = 0 ] || exit "$status"
    echo "$((tried - missed)) of $tried came out as expected"
    [ "$missed" = 0 ] || exit 1
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# -- words ------------------------------------------------------------------------------

# client COMMAND...: run it on the LAN's client, through a shell there
client() { printf '%s\n' "$*" | $CLIENT bash; }

# needs FEATURE: by its name in `plumb env`; or the lab is over
needs() {
    lacks=$(plumb env | sed -n "s/^  $1  *no  *//p" | sed 1q)
    [ -n "$lacks" ] || return 0
    echo "skipped, for this kernel has no $1: $lacks"
    exit 77
}

# show COMMAND...: what it says, under its name
show() { echo "# $*"; "$@" | sed 's/^/  /'; }

# expect yes|no WHAT COMMAND...: whether it succeeds, and whether that is as expected
expect() {
    wanted=$1 what=$2 got=no word=ok
    shift 2
    "$@" >/dev/null 2>&1 && got=yes
    [ $got = "$wanted" ] || { word=WRONG; missed=$((missed + 1)); }
    tried=$((tried + 1))
    printf '%-5s  %s: expected %s, got %s\n' $word "$what" "$wanted" $got
}

# wait_for COMMAND...: until it succeeds, for five seconds at most
wait_for() {
    until=$(($(date +%s) + 5))
    while ! "$@" 2>/dev/null; do
        [ "$(date +%s)" -lt $until ] || { echo "this did not come to pass: $*" >&2; exit 1; }
    done
}

# in_the_end COMMAND...: when the lab is over, the last first
in_the_end() { undo="$* || :; $undo"; }

# reaches CONTAINER ADDRESS, client_reaches ADDRESS, host_reaches ADDRESS: an echo comes back within a second
reaches() { plumb exec "$1" ping -q -c 1 -W 1 "$2"; }
client_reaches() { client ping -q -c 1 -W 1 "$1"; }
host_reaches() { ping -q -c 1 -W 1 "$1"; }

# mac_of CONTAINER, mac_of_host: its own; mac_seen ADDRESS: the one that the client has asked for and learned by ARP
mac_of() { plumb exec "$1" ip -o link show eth0 | sed 's,.*/ether \([0-9a-f:]*\).*,\1,'; }
mac_of_host() { ip -o link show "$PARENT" | sed 's,.*/ether \([0-9a-f:]*\).*,\1,'; }
mac_seen() { client ip neigh show "$1" | sed -n 's,.* lladdr \([0-9a-f:]*\).*,\1,p'; }

# broadcast: the client sends one, to all that hear it; broadcasts [plumb exec CONTAINER]: how many have arrived, on the host or there
broadcast() { client "ping -q -b -c 1 -W 0.1 -I $CLIENT_DEV 255.255.255.255 || :" >/dev/null 2>&1; }
broadcasts() { "$@" nstat -asz IpExtInBcastPkts | sed -n 's,^IpExtInBcastPkts *\([0-9]*\) .*,\1,p'; }

# A server (python3 -c "$ANSWER" CALLERS) that tells so many callers, one after the other, from which address they seem to call,
# and the call (sh -c "$(call ADDRESS PORT)") that prints the answer.
ANSWER='import socket, sys
server = socket.create_server(("", 8000))
for _ in range(int(sys.argv[1])):
    with server.accept()[0] as caller:
        caller.sendall(caller.getpeername()[0].encode())'
call() { echo "timeout 2 bash -c 'cat </dev/tcp/$1/$2'"; }

# -- the wire ---------------------------------------------------------------------------

if [ -z "${PARENT:-}" ]; then
    PARENT=eth0
    CLIENT="nsenter --net=$WORK/client"
    ip link set lo up
    touch "$WORK/client" && unshare --net="$WORK/client" ip link set lo up
    ip link add eth0 type veth peer name eth0 netns "$WORK/client"
    ip address add "$LAN.11/24" dev eth0
    ip link set eth0 up
    client "ip address add $CLIENT_IP/24 dev eth0; ip link set eth0 up"
fi
CLIENT=${CLIENT:-ssh -i /root/.ssh/lan -o StrictHostKeyChecking=accept-new -o BatchMode=yes -o LogLevel=ERROR vagrant@$CLIENT_IP sudo}
HOST_IP=$(ip -4 -o address show dev "$PARENT" scope global | sed -n '1s,.* inet \([0-9.]*\)/.*,\1,p')
CLIENT_DEV=$(client ip -4 -o address show to "$CLIENT_IP" | cut -d ' ' -f 2)
