# The rest of what User-mode Linux's first process does, above the root that can be written.
umount -l /old
. /guest/prepare.sh
# This kernel has no nf_tables to translate to.
for tool in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sf xtables-legacy-multi "/usr/sbin/$tool"
done
modprobe -a br_netfilter ip_vs
stty -opost </dev/console 2>/dev/null
echo "guest: User-mode Linux $(uname -r), there after $(cut -d' ' -f1 /proc/uptime) s"

export PLUMB_TESTS_OUTSIDE="$(readlink /proc/self/ns/net)"
unshare --net --mount --propagation private sh -c 'ip link set lo up; exec sh /guest/run' </dev/null
echo $? >/guest/status
[ ! -e /run/report.xml ] || cp /run/report.xml /guest/report.xml
echo o >/proc/sysrq-trigger     # off
sleep 60
