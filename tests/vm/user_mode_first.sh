#!/bin/sh
# The first process of User-mode Linux. Its root is the machine's own, read-only; what is written goes to memory, above it.
export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 TERM="${TERM:-linux}"

mount -t proc proc /proc
insmod "$MODULES/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root
mkdir -p lib/modules guest old
mount -t hostfs none lib/modules -o "$MODULES"
mount -t hostfs none guest -o "$GUEST"
umount /proc
pivot_root . old                # and no chroot: who enters a mount namespace comes out at its root
exec chroot . sh /guest/second.sh
