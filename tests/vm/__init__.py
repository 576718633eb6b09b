"""The tests on a full Debian kernel, in QEMU: for what the kernel of the machine lacks.

`make test-vm`; see docs/testing.md.

    kernel.py      Debian's kernel: fetched and unpacked, never installed
    contents.py    what the guest needs of this machine
    archive.py     that, as a cpio archive which the kernel unpacks into memory: a disk would be slower to make and to read
    machine.py     QEMU: started, listened to, ended
    init.sh        the guest's first process: mounts, pytest, power off
    lacking.py     a plugin of pytest's that picks the tests which this machine's kernel cannot run
    outcomes.py    what came of the tests, from pytest's reports; here and in the guest, as one summary
    both.py        the whole bar: here and in the guest at once

The guest has no network card. It gets this machine's programs and the checkout as a copy: what a
test breaks is gone with it."""
