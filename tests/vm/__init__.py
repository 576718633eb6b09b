"""The tests on a full Debian kernel, in a guest: for what the kernel of the machine lacks.

`make test-vm`; see docs/testing.md.

    kernel.py      Debian's kernels: fetched and unpacked, never installed
    user_mode.py   User-mode Linux, the kernel as a process: started, listened to, ended
    user_mode_*.sh its first process: a root that can be written, pytest, power off
    xstate.c       what that kernel lacks on processors with AMX
    prepare.sh     what the first process of either kind of guest sets up
    contents.py    what the guest needs of this machine
    archive.py     that, as a cpio archive which the kernel unpacks into memory: a disk would
                   be slower to make and to read
    machine.py     QEMU: started, listened to, ended
    init.sh        the guest's first process: mounts, pytest, power off
    lacking.py     a plugin of pytest's that picks the tests which this machine's kernel cannot run
    outcomes.py    what came of the tests, from pytest's reports; here and in the guest, as one
                   summary

The guest has no network card. It gets this machine's programs and the checkout as a copy: what a
test breaks is gone with it."""
