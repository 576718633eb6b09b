"""User-mode Linux.

Debian's kernel as a process of this machine, for what needs neither nf_tables nor a tracer.

Its programs run on the processor itself, only system calls and page faults are dear, so it takes a
fraction of what emulation does. Its root is this machine's, read-only, with memory above it; a
folder of the run's own is the way in and out.

Processors with AMX have more registers than this kernel has room for when it saves a process's;
xstate.c is between it and the machine's kernel there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.vm import machine
from tests.vm.kernel import Kernel, user_mode_kernel

HERE = Path(__file__).parent
MEMORY = "5120M"
LACKS = frozenset(
    {
        *("drop_monitor", "nf_tables", "nft-trace", "nft_chain_nat", "nft_fib", "nft_numgen"),
        "tracefs",
    }
)
"""Features that Debian has not built into this kernel, or that end who tries them in it."""
FIRST = 'echo -20 >/proc/self/autogroup; "$@"; exit $?'
"""The process that all of the guest's end with; the kernel serves its session before others.

It is a shell, since a kernel that panics ends itself with a signal, which no first process of a
namespace can do.
"""


def works() -> bool:
    """Whether it can be started here.

    It takes a machine of its kind, where one process may trace another.
    """
    return os.uname().machine == "x86_64" and shutil.which("setpriv") is not None


def run(cache: Path, texts: Mapping[str, str], report: Path) -> int | None:
    """Run a guest until it powers off, with its output on ours.

    Args:
        cache: where its kernel and the folders of runs are.
        texts: what is in its folder /guest: the file and its text.
        report: where its report goes; not written if the guest breaks down.

    Returns:
        its exit status, None if it has not come so far.
    """
    with _folder(cache, texts) as folder:
        with _started(cache, folder) as guest:
            if why := machine.follow(guest)[1]:
                print(f"\nthe guest was ended: {why}; see .vm/console.log", flush=True)
        shutil.copyfile(folder / "console.log", cache / "console.log")
        if (folder / "report.xml").exists():
            shutil.copyfile(folder / "report.xml", report)
        return _status(folder)


@contextmanager
def _folder(cache: Path, texts: Mapping[str, str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"run-{os.getpid()}-", dir=cache) as name:
        folder = Path(name)
        for script in ("prepare.sh", "user_mode_first.sh", "user_mode_second.sh"):
            shutil.copyfile(HERE / script, folder / script.removeprefix("user_mode_"))
        (folder / "first.sh").chmod(0o755)
        for file, text in texts.items():
            (folder / file).write_text(text)
        yield folder


@contextmanager
def _started(cache: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    kernel = user_mode_kernel(cache / "user-mode")
    environment = {
        **os.environ,
        "TMPDIR": "/dev/shm",  # where the file is that is its memory
        "LD_PRELOAD": str(_xstate(folder)),
    }
    with (folder / "console.log").open("wb") as console_log:
        argv = [*_launcher(), *_command(kernel, folder)]
        with machine.started(
            argv, subprocess.DEVNULL, subprocess.PIPE, console_log.fileno(), environment=environment
        ) as guest:
            yield guest


def _command(kernel: Kernel, folder: Path) -> list[str]:
    return [
        *(str(kernel.image), "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
        *(f"init={folder}/first.sh", f"mem={MEMORY}", "umid=guest", f"uml_dir={folder}"),
        *("con=null", "con0=null,fd:1", "quiet", "loglevel=4"),
        *(f"MODULES={kernel.modules.parent}", f"GUEST={folder}"),
    ]


def _launcher() -> Sequence[str]:
    """Words before the command: one processor, and a namespace of processes.

    Each system call of the guest's is two changes between processes. On one processor these are
    three times as quick, and on a busy machine they come at once only for a session that is served
    first: the nice value counts within a session alone (sched(7), autogroup).
    """
    one = ("taskset", "--cpu-list", str(max(os.sched_getaffinity(0))))
    return (*one, "unshare", "--pid", "--fork", "--kill-child", "sh", "-c", FIRST, "guest")


def _xstate(folder: Path) -> Path:
    """The library made of xstate.c."""
    library = folder / "xstate.so"
    argv = ("gcc", "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "xstate.c"))
    subprocess.run(argv, check=True)
    return library


def _status(folder: Path) -> int | None:
    file = folder / "status"
    said = file.read_text().strip() if file.exists() else ""
    return int(said) if said else None
