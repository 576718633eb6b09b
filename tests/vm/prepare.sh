# What both kinds of guests set up: their file systems, their limits, and the modules whose settings Docker's recordings show.
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
rm -f /etc/resolv.conf
: >/etc/resolv.conf
ip link set lo up
hostname guest
ulimit -H -n 524288             # as systemd has it; the kernel alone gives 4,096
