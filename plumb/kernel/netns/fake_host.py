"""Fake host, made of namespaces only, which the kernel removes however its processes end.

The kernel frees a namespace when its last reference goes. A netns that is bind-mounted on a file of
the machine stays until it is unmounted; one that only processes are in goes with the last of them.
So the fake host is one process in namespaces of its own, and everything else is in these:

    pid      it is the first process of a pid namespace (pid 1): when it ends, in any way, the
             kernel kills all others in there, daemons too (pid_namespaces(7))
    mount    its mounts, the files that pin containers' namespaces too, go with the last process
    /run     is a tmpfs of its own: plumb's root lies on it, and no file anywhere else
    network  goes when no process is in it, and nothing pins it
    UTS, IPC a host name of its own; queues and shared memory of its own

The kernel kills it when its parent ends (PR_SET_PDEATHSIG), and the parent watches the test
process. Nothing needs a cleanup, so no cleanup can be forgotten.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from plumb import root
from plumb.kernel.netns.namespaces import call
from plumb.kernel.netns.setns import CLONE_NEWNET, SELF, libc
from plumb.kernel.process import shim
from plumb.kernel.process.become import execute

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x20000, 0x4000000, 0x8000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
OWN_FILES = "/run/plumb-lab"
"""Folder of a fake host's own files, on its own /run."""
HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n"
LAUNCH = (
    "import sys; sys.path[:0] = sys.argv[3:]; from importlib import import_module; "
    "import_module(sys.argv[1]).main(int(sys.argv[2]))"
)


def launch(module: str, control: int) -> subprocess.Popen[bytes]:
    """Start a module's `main(control)` in a fresh interpreter, in a new session.

    The interpreter has this one's module path.

    Args:
        module: its name.
        control: a file descriptor that it inherits.
    """
    path = [root.IMPORT_PATH, *(entry or os.getcwd() for entry in sys.path)]
    return subprocess.Popen(
        [sys.executable, "-S", "-c", LAUNCH, module, str(control), *path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(control,),
        cwd="/",
        start_new_session=True,
    )


def fork_into_pid_namespace(first: Callable[[], NoReturn]) -> int:
    """Fork the first process of a new pid namespace; it is killed when the calling process ends.

    `unshare` puts only later children into the new pid namespace, and the caller has to return to
    its own before it can make another one.

    Args:
        first: runs in that process; it must not return.

    Returns:
        Its pid in the caller's pid namespace.

    Raises:
        KernelRefused: no pid namespace can be made.
    """
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        call("unshare", CLONE_NEWPID, doing="make a pid namespace")
        pid = os.fork()
        if pid == 0:
            try:
                libc.prctl(shim.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                first()
            finally:
                os._exit(1)
        call("setns", home, CLONE_NEWPID, doing="return to the pid namespace")
        return pid
    finally:
        os.close(home)


def become_host(name: str) -> None:
    """Move the calling process into new namespaces that look like a bare host.

    Network, mount, UTS and IPC. Its /proc and /sys are those of its namespaces, its /run is empty,
    its resolv.conf names no server; lo is not up yet.

    Args:
        name: its host name.

    Raises:
        KernelRefused: the kernel refused one of them.
    """
    doing = "make a host of namespaces"
    call("unshare", CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC, doing=doing)
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None, doing="keep its mounts to itself")
    call(
        "mount",
        b"proc",
        b"/proc",
        b"proc",
        MS_NOSUID | MS_NODEV | MS_NOEXEC,
        None,
        doing="mount its /proc",
    )
    shim.mount_own_sysfs()
    resolv_conf = os.path.realpath("/etc/resolv.conf")
    call(
        "mount",
        b"tmpfs",
        b"/run",
        b"tmpfs",
        MS_NOSUID | MS_NODEV,
        b"mode=755",
        doing="mount its /run",
    )
    os.mkdir(OWN_FILES)
    for source, text, target in (
        (f"{OWN_FILES}/resolv.conf", "", resolv_conf),
        (f"{OWN_FILES}/hosts", HOSTS, "/etc/hosts"),
    ):
        Path(source).write_text(text)
        if target.startswith("/run/"):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            Path(target).touch()
        if os.path.exists(target):
            call(
                "mount",
                source.encode(),
                target.encode(),
                None,
                MS_BIND,
                None,
                doing=f"give it its own {target}",
            )
    call("sethostname", name.encode(), len(name.encode()), doing="name it")


def pin(path: str) -> str:
    """Mount the calling thread's netns on a new file, and return its path."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    call(
        "mount",
        SELF.encode(),
        path.encode(),
        b"none",
        MS_BIND,
        None,
        doing=f"pin the namespace to {path}",
    )
    return path


def enter_for_good(path: str) -> None:
    """Move the calling process into the netns of that file, for good.

    Raises:
        KernelRefused: it is not a netns.
    """
    there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    call("setns", there, CLONE_NEWNET, doing=f"enter namespace {path}")
    os.close(there)


def reap() -> dict[int, int]:
    """Collect all children that have ended.

    Pid and exit status (128 + N for signal N, as in shells).
    """
    found: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            code = os.waitstatus_to_exitcode(ended[1])
            found[ended[0]] = 128 - code if code < 0 else code
    return found


def start(
    enter: Callable[[], None],
    argv: Sequence[str],
    environment: dict[str, str],
    folder: str,
    streams: Sequence[int],
) -> int:
    """Fork, enter a namespace, and execute a command; return its pid.

    Args:
        enter: moves the new process to where the command runs.
        argv: the command, found by the PATH of `environment`; environment: all of it.
        folder: the working directory; / if that does not exist there.
        streams: its standard input, output and error.
    """
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            signal.set_wakeup_fd(-1)
            enter()
            try:
                os.chdir(folder)
            except OSError:
                os.chdir("/")
            execute(list(argv), environment)
        except BaseException as error:
            os.write(2, f"plumb: cannot start {argv[0]}: {error}\n".encode())
        finally:
            os._exit(126)
    return pid


def output(argv: Sequence[str]) -> str:
    """Run a command in the calling thread's namespaces, and return its output.

    With its error output if it fails; empty if there is no such command.
    """
    try:
        ran = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout if ran.returncode == 0 else ran.stdout + ran.stderr


def end(process: int) -> None:
    """Kill the process of a pidfd, and wait until it has ended.

    For a fake host's first process, that ends all processes of the host.
    """
    import select

    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
    ended = select.poll()
    ended.register(process, select.POLLIN)
    ended.poll(10_000)
