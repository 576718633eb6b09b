"""Command lines in forks of the test's process, which has everything imported: a tenth of the time.

The fork has plumb's own environment, standard input without an end, and its output in files without
a name (memfd_create(2)), which a command that outlives it may keep.
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from plumb.cli import main

IMPORTED = (
    "plumb.cli.network",
    "plumb.cli.container",
    "plumb.cli.listings",
    "plumb.cli.system",
    "plumb.kernel.linux",
    "plumb.kernel.net.announce_endpoints",
    "plumb.kernel.netfilter.iptables_restore",
    "plumb.kernel.agent_client",
    "plumb.kernel.ports.host_ports",
    "plumb.kernel.netfilter.conntrack_flush",
)
"""What a command line would import when it is used."""


def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    files: tuple[int, int],
    enter: Callable[[], None] = lambda: None,
) -> int:
    """Start a command line in a fork; its pid.

    Args:
        argv: the words after `plumb`.
        env: its environment.
        files: descriptors of its standard output and standard error.
        enter: takes the fork to where the command line is carried out: a host, a folder.
    """
    for needed in IMPORTED:
        import_module(needed)
    with warnings.catch_warnings():
        # Python 3.12 warns of forks in a process with threads; the child takes none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _carry_out(argv, env, files, enter)
    return pid


def run(
    argv: Sequence[str], env: Mapping[str, str], enter: Callable[[], None] = lambda: None
) -> subprocess.CompletedProcess[str]:
    """Run a command line in a fork, and wait for its end; the arguments are those of `start`."""
    files = os.memfd_create("stdout"), os.memfd_create("stderr")
    try:
        pid = start(argv, env, files, enter)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        stdout, stderr = map(_text, files)
    finally:
        for file in files:
            os.close(file)
    return subprocess.CompletedProcess(["plumb", *argv], status, stdout, stderr)


def _text(file: int) -> str:
    return os.pread(file, os.fstat(file).st_size, 0).decode()


def _carry_out(
    argv: Sequence[str], env: Mapping[str, str], files: tuple[int, int], enter: Callable[[], None]
) -> NoReturn:
    status = 70
    try:
        enter()
        os.environ.clear()
        os.environ.update(env)
        _redirect(files)
        # pytest has made errors of them in this process, and each command has its own caches.
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        sys.argv = ["plumb", *argv]
        status = main(argv)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(status)


def _redirect(files: tuple[int, int]) -> None:
    """Have the descriptors 0, 1 and 2, and Python's streams of them, which pytest has replaced."""
    for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, files[0]), (2, files[1])):
        os.dup2(file, number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
