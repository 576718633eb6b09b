#!/bin/sh
export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 TERM="${TERM:-linux}"

. /guest/prepare.sh

# Towards the host, hvc0 is a terminal, the ports after it are pipes.
modprobe -a virtio_pci virtio_console br_netfilter ip_vs      # Docker's recordings show the settings of the last two
while [ ! -c /dev/vport0p3 ]; do sleep 0.05; done
exec </dev/null >/dev/vport0p1 2>&1
echo "guest: Linux $(uname -r), there after $(cut -d' ' -f1 /proc/uptime) s"

export PLUMB_TESTS_OUTSIDE="$(readlink /proc/self/ns/net)"
inside='ip link set lo up; exec sh /guest/run'
if [ -e /guest/terminal ]; then
    setsid -c unshare --net --mount --propagation private sh -c "$inside" </dev/hvc0 >/dev/hvc0 2>&1
else
    unshare --net --mount --propagation private sh -c "$inside"
fi
status=$?
[ ! -e /run/report.xml ] || cat /run/report.xml >/dev/vport0p2
echo $status >/dev/vport0p3
echo o >/proc/sysrq-trigger     # off
sleep 60
