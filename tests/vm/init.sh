#!/bin/sh
export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 TERM="${TERM:-linux}"

mkdir -p /proc /sys /dev /run /tmp /root /var/tmp /var/lib /var/run
chmod 1777 /tmp /var/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
: >/etc/resolv.conf
ip link set lo up
hostname guest
ulimit -H -n 524288             # as systemd has it; the kernel alone gives 4,096

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
