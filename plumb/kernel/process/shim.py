"""Shim: a process beside a sandbox's command.

It enters the sandbox, starts the command, waits for it, and writes its exit code to a file.

plumb executes this file as a script in a fresh interpreter, and imports it for `exec`; it uses the
standard library only, and little of that, to start in a hundredth of a second and take little
memory while it waits.

The command has its own: network namespace; /etc/resolv.conf, /etc/hosts and /etc/hostname,
bind-mounted in a private mount namespace; /sys of its network namespace; host name, in a UTS
namespace. The rest is the host's file system, read-only where that is asked for. Root in it has
Docker's default capabilities: the bounding set limits those of any program that it executes.

The command ends together with its descendants: the shim is their reaper, and kills those that
outlive the command; the kernel kills the command if the shim dies.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # signal makes enums of its numbers: 5 ms
import ctypes
import errno
import os
import select
import stat
import sys
import time

TYPE_CHECKING = False  # as typing's, which takes 3 ms to import
if TYPE_CHECKING:
    from typing import Any

    from plumb.kernel.process.logs.copier import Copier

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x20000, 0x4000000, 0x40000000
CLONE_NEWIPC, CLONE_NEWPID = 0x8000000, 0x20000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MS_FLAGS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8}  # MS_RDONLY, … by mount(8)'s names
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NODEV = 1, 4
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 1, 24, 36
LAST_CAPABILITY = 63
ANSWERS = 3
"""Descriptor of the pipe to whoever has launched it; `_run_child` closes all from it on."""
LONGEST_REASON = 2000
"""Bytes of a reason that are told: a line of the pipe is then written as one (PIPE_BUF)."""
FILES = ("resolv.conf", "hosts", "hostname")
IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that the Python interpreter ignores from its start. A program that it executes would
inherit that (signal(7)), and `yes | head -1` would never end."""

_libc = ctypes.CDLL(None, use_errno=True)


def _call(function: str, *args: object) -> None:
    if getattr(_libc, function)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def enter(spec: dict[str, Any]) -> None:
    """Move the calling process into the sandbox, for good.

    Args:
        spec: `ns` (path of the netns, "" for the host's), `files` (the folder with the three
            files), `hostname`, `capabilities` (numbers to keep), `beside` (pid of the sandbox's
            command, whose mount and UTS namespaces it joins; 0 for new ones), `read_only` (as
            `make_read_only` takes it, or empty), `isolated` (its PID and IPC namespaces are its
            own), `user` and `working_dir` (as `identity.assume` takes them).
    """
    import warnings  # noqa: F401  # as os.execvpe does, which may not read it any more by then

    if spec["user"] or spec["working_dir"]:
        from plumb.kernel.process import identity  # now, since a new /tmp may hide it
    if spec["beside"]:
        # By pidfd, so that a pid which is another process's by now cannot be entered by mistake.
        flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWNET
        flags |= CLONE_NEWIPC | CLONE_NEWPID if spec["isolated"] else 0
        _call("setns", os.pidfd_open(spec["beside"]), flags)
    else:
        _enter_new(spec)
    kept = set(spec["capabilities"])
    for number in range(LAST_CAPABILITY + 1):
        if number not in kept:
            # EINVAL: this kernel has no such capability
            _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    if spec["user"] or spec["working_dir"]:
        identity.assume(spec["user"], spec["working_dir"])
    _drop_held(kept)


def _drop_held(kept: set[int]) -> None:
    """Remove capabilities from the running process too, not only from programs that it executes."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()
    _call("capget", ctypes.byref(header), ctypes.byref(held))
    kept = {
        n for n in kept if held[1 + n // 32 * 3] >> n % 32 & 1
    }  # nobody can give more than there is
    low, high = (sum(1 << (n % 32) for n in kept if n // 32 == half) for half in (0, 1))
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _call("capset", ctypes.byref(header), ctypes.byref(data))


def _enter_new(spec: dict[str, Any]) -> None:
    if spec["ns"]:
        descriptor = os.open(spec["ns"], os.O_RDONLY | os.O_CLOEXEC)
        _call("setns", descriptor, CLONE_NEWNET)
        os.close(descriptor)
    _call("unshare", CLONE_NEWNS | CLONE_NEWUTS | (CLONE_NEWIPC if spec["isolated"] else 0))
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    if spec["ns"]:
        mount_own_sysfs()
    files = _open_files(spec["files"])
    if spec["read_only"]:
        make_read_only(spec["read_only"])
    for target, source in files.items():
        _bind(source, target)
        os.close(source)
    _call("sethostname", spec["hostname"].encode(), len(spec["hostname"].encode()))


def _open_files(folder: str) -> dict[str, int]:
    """Open the sandbox's own files, by what they are mounted on; `make_read_only` hides them.

    The host's /etc/resolv.conf is often a symbolic link into /run.
    """
    return {
        os.path.realpath(f"/etc/{name}"): os.open(f"{folder}/{name}", os.O_PATH | os.O_CLOEXEC)
        for name in FILES
        if os.path.exists(f"{folder}/{name}") and os.path.exists(f"/etc/{name}")
    }


def _bind(source: int, target: str, flags: int = 0) -> None:
    """Bind-mount an open file on a path, which is made if a new /run has hidden it."""
    if not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_CLOEXEC, 0o644))
    _call("mount", f"/proc/self/fd/{source}".encode(), target.encode(), None, MS_BIND | flags, None)


def make_read_only(view: dict[str, Any]) -> None:
    """Mount what `things.mounts` describes, in the process's own mount namespace.

    Args:
        view: `root` (the process leaves it if it is in there), and what the module has, by name.

    Raises:
        OSError: the kernel is older than 5.12, or something cannot be mounted.
    """
    if f"{os.readlink('/proc/self/cwd')}/".startswith(f"{os.path.realpath(view['root'])}/"):
        os.chdir("/")
    _set_attributes("/", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, AT_RECURSIVE)
    for mount in view["over_host"]:
        _mount(*mount)
    for name, (major, minor) in view["devices"].items():
        try:
            os.mknod(f"/dev/{name}", stat.S_IFCHR, os.makedev(major, minor))
        except PermissionError:  # CAP_MKNOD of a user namespace counts for nothing (mknod(2))
            reason = "--read-only-host and --isolate make device nodes, which takes the real root"
            raise OSError(errno.EPERM, reason) from None
        os.chmod(f"/dev/{name}", 0o666)  # noqa: S103  # as on the host, whatever the umask
    for name, target in view["links"].items():
        os.symlink(target, f"/dev/{name}")
    for mount in view["in_dev"]:
        os.mkdir(mount[1])
        _mount(*mount)
    _set_attributes("/dev", MOUNT_ATTR_RDONLY, 0)


def _mount(kind: str, path: str, flags: list[str], data: str) -> None:
    if os.path.isdir(path):
        number = sum(MS_FLAGS[flag] for flag in flags)
        _call("mount", kind.encode(), path.encode(), kind.encode(), number, data.encode())


def _set_attributes(path: str, attributes: int, flags: int) -> None:
    """Set attributes of a mount, or of all below it at once; neither glibc nor mount(2) can."""
    asked = (ctypes.c_uint64 * 4)(attributes)
    size = ctypes.c_size_t(ctypes.sizeof(asked))
    try:
        _call("syscall", MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, ctypes.byref(asked), size)
    except OSError as error:
        reason = (
            "this kernel has no mount_setattr: --read-only-host needs Linux 5.12"
            if error.errno == errno.ENOSYS
            else f"mount_setattr {path}: {os.strerror(error.errno or 0)}"
        )
        raise OSError(error.errno, reason) from None


def mount_own_sysfs() -> None:
    """Mount a new sysfs, which shows the network namespace in which it is mounted.

    The host's cgroups stay as they are.
    """
    cgroups = -1
    if os.path.isdir("/sys/fs/cgroup"):
        cgroups = os.open("/sys/fs/cgroup", os.O_RDONLY | os.O_CLOEXEC | os.O_PATH)
    try:
        _call("mount", b"sysfs", b"/sys", b"sysfs", 0, None)
        if cgroups >= 0:
            _bind(cgroups, "/sys/fs/cgroup", MS_REC)
    except OSError:
        pass  # a locked-down host: /sys stays the host's
    if cgroups >= 0:
        os.close(cgroups)


def descendants(pid: int) -> list[int]:
    """List all children of a process, and theirs."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                for child in map(int, file.read().split()):
                    found += [child, *descendants(child)]
    except OSError:
        pass
    return found


def reap(main: int) -> int:
    """Wait for the command, then kill and reap its descendants; return its wait status."""
    status = 0
    while True:
        pid, ended = os.waitpid(-1, 0)
        if pid == main:
            status = ended
            break
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for child in descendants(os.getpid()):
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    return status


def main() -> int:
    """Start the commands that stdin describes (JSON), and wait for one.

    Each has a shim of its own, which writes a line to the descriptor `answers`: the command's
    number among the `commands`, then the pids and start times of the command and its shim, or "-",
    errno and reason. A single command's is this process; of several each is a fork of it.
    """
    import json

    asked = json.load(sys.stdin)
    answers, specs = asked["answers"], asked["commands"]
    os.dup2(answers, ANSWERS)
    if answers != ANSWERS:
        os.close(answers)
    os.set_inheritable(ANSWERS, False)
    sys.path.append(specs[0]["settle_environment"]["PYTHONPATH"])
    for caught in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(caught, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it leaves no exit status (wait(2))
    if len(specs) == 1:
        return attend(specs[0], 0)
    from plumb.kernel.process import start_time  # noqa: F401  # once for all, what each needs
    from plumb.kernel.process.logs import copier  # noqa: F401
    from plumb.kernel.process.starting import together

    return together.start(specs, attend, ANSWERS)


def attend(spec: dict[str, Any], number: int, go: int = -1) -> int:
    """Start a command, say how that went, and wait for its end.

    Args:
        number: the command's, with which the answer begins.
        go: descriptor that tells when the command is to be executed; -1: as soon as it can be.
    """
    try:
        child, log, refusal = _begin(spec, number, go)
    except (OSError, RuntimeError) as error:  # RuntimeError: _thread's, for EAGAIN
        code, words = getattr(error, "errno", errno.EAGAIN), getattr(error, "strerror", error)
        os.write(ANSWERS, f"{number} - {code} {spec['argv'][0]}: {words}\n".encode())
        return 1
    os.close(ANSWERS)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    status = reap(child)
    log.copied.acquire(timeout=5)
    if not refusal:
        try:
            _write(f"{spec['folder']}/exit", str(os.waitstatus_to_exitcode(status)))
        except OSError:
            pass  # a full disk, or the folder is gone
        if not os.path.exists(f"{spec['folder']}/ending"):
            # It ended by itself: the engine lets go of its network, as Docker does at an exit.
            os.chdir("/")
            os.environ.update(spec["settle_environment"])
            os.execv(spec["settle"][0], spec["settle"])
    return 0


def _begin(spec: dict[str, Any], number: int, go: int) -> tuple[int, Copier, str]:
    """Start a command and answer; return its pid, the copier of its output, and why it is not."""
    os.setsid()
    _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    output, errors, ready = os.pipe(), os.pipe(), os.pipe()
    if spec["isolated"]:
        from plumb.kernel.process import pid_namespace

        child = pid_namespace.fork_init()
    else:
        child = os.fork()
    if child == 0:
        _run_child(spec, output[1], errors[1], ready, go)
    for theirs in (ready[1], output[1], errors[1], *([go] if go >= 0 else [])):
        os.close(theirs)
    from plumb.kernel.process.logs import copier
    from plumb.kernel.process.start_time import started

    sources = {"stdout": output[0], "stderr": errors[0]}
    log = copier.Copier(sources, copier.keepers(spec["log"]))
    refusal = _outcome(ready[0], spec["argv"][0], waits=go >= 0)
    answer = f"- {refusal}"
    if not refusal:
        answer = f"{child} {started(child)} {os.getpid()} {started(os.getpid())}"
        _write(f"{spec['folder']}/pid", answer)
    os.write(ANSWERS, f"{number} {answer}\n".encode())
    return child, log, refusal


def _outcome(ready: int, name: str, *, waits: bool) -> str:
    """Wait until the command is executed; return why it is not, or "".

    Its process says "+" when nothing is left but that, and a closed pipe says that it is done.

    Args:
        waits: the "+" is to be passed on, and the process waits for its turn.
    """
    said = b""
    while part := os.read(ready, 1 << 16):
        said += part
        if waits and said == b"+":
            os.write(ANSWERS, said)
    os.close(ready)
    if not said:
        return f"0 {name}: its process has ended before it was executed"
    reason = said.removeprefix(b"+")[:LONGEST_REASON]
    return reason.decode(errors="replace").replace("\n", " ")


def _run_child(
    spec: dict[str, Any], output: int, errors: int, ready: tuple[int, int], go: int
) -> None:
    try:
        os.close(ready[0])
        os.set_inheritable(ready[1], False)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, *IGNORED):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        enter(spec)
        _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if select.select([ready[1]], [], [], 0)[0]:  # POLLERR: the shim has ended
            os._exit(1)
        for source, target in ((null, 0), (output, 1), (errors, 2)):
            os.dup2(source, target)
        os.closerange(3, max(3, go))
        os.closerange(max(3, go + 1), ready[1])
        if spec["isolated"]:
            from plumb.kernel.process import pid_namespace

            pid_namespace.fork_waiting(os.fork)
        if go >= 0:
            from plumb.kernel.process.starting import together

            together.wait_for_turn(spec["argv"][0], spec["environment"], go, ready[1])
        else:
            os.write(ready[1], b"+")
        os.execvpe(spec["argv"][0], spec["argv"], spec["environment"])
    except OSError as error:
        os.write(ready[1], f"{error.errno} {spec['argv'][0]}: {error.strerror or error}".encode())
    finally:
        os._exit(127)


def _write(path: str, text: str) -> None:
    """Write a file atomically: it has its full text, or does not exist."""
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.write(descriptor, text.encode())
    os.close(descriptor)
    os.rename(path + ".new", path)


if __name__ == "__main__":
    sys.exit(main())
