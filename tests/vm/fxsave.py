"""`python -m tests.vm.fxsave COMMAND …`: run it where ptrace does not give whole register sets.

User-mode Linux asks for them with PTRACE_GETREGSET, finds that it cannot, and takes FXSAVE's, which
have the same size on every processor. A seccomp filter answers with EIO, here and in all children.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2  # linux/prctl.h, seccomp.h
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
BPF_LD_W_ABS, BPF_JEQ_K, BPF_RET_K = 0x20, 0x15, 0x06  # linux/filter.h
NR, FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
NR_PTRACE = 101  # x86_64
PTRACE_GETREGSET, PTRACE_SETREGSET = 0x4204, 0x4205

PROGRAM = (
    (BPF_LD_W_ABS, 0, 0, NR),
    (BPF_JEQ_K, 0, 3, NR_PTRACE),
    (BPF_LD_W_ABS, 0, 0, FIRST_ARGUMENT),
    (BPF_JEQ_K, 2, 0, PTRACE_GETREGSET),
    (BPF_JEQ_K, 1, 0, PTRACE_SETREGSET),
    (BPF_RET_K, 0, 0, SECCOMP_RET_ALLOW),
    (BPF_RET_K, 0, 0, SECCOMP_RET_ERRNO | errno.EIO),
)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install() -> None:
    """Set the filter for this process and all that it starts.

    Raises:
        OSError: the kernel takes no filters.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in PROGRAM)
    program = _Program(len(PROGRAM), code)
    for call in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "no seccomp filter can be set")


if __name__ == "__main__":
    install()
    os.execvp(sys.argv[1], sys.argv[1:])
