"""Whose attributes are adopted: nobody's whom the kernel restricts more than this process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import REPOSITORY

PROGRAM = """
import ctypes, os, signal, struct, sys
from plumb.kernel.process import adopt

libc = ctypes.CDLL(None)
ALLOW = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))  # BPF_RET
PROG = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(ALLOW)))

def add_filters(number):
    for _ in range(number):
        assert libc.prctl(22, 2, PROG, 0, 0) == 0  # PR_SET_SECCOMP

def fork(filters):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        add_filters(filters)
        os.write(writer, b".")
        signal.pause()
    os.read(reader, 1)
    return pid

of_init, of_server, of_caller = map(int, sys.argv[1:])
add_filters(of_init)
caller = fork(of_caller)
server = os.fork()
if server == 0:
    add_filters(of_server)
    try:
        adopt.adopt(caller, [])
    except adopt.CannotAdopt:
        os._exit(1)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]))
"""


@pytest.mark.parametrize(
    ("filters", "refused"),
    [
        ((0, 0, 0), False),
        ((0, 0, 1), True),
        ((0, 1, 0), True),
        ((1, 0, 0), False),  # those of a container's runtime
        ((1, 0, 1), True),
        ((1, 1, 0), True),
        ((0, 1, 1), True),
        ((1, 1, 1), True),  # as many, but each its own
    ],
    ids=str,
)
def test_a_seccomp_filter_is_not_escaped(filters: tuple[int, int, int], refused: bool) -> None:
    """Filters that the pid namespace's first process, then server and caller have added."""
    words = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", PROGRAM]
    ran = subprocess.run(
        [*words, *map(str, filters)], cwd=REPOSITORY, check=False, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (int(refused), "")
