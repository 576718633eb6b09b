"""The guest as a whole: this checkout on Debian's kernel."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import REPOSITORY
from tests.sampling import LONG, SEED
from tests.vm import archive, contents, machine, user_mode
from tests.vm.kernel import Kernel, kernel
from tests.vm.machine import Machine

CACHE = REPOSITORY / ".vm"
HERE = Path(__file__).parent
KEPT = 2  # archives of other environments; each has 250 MB


def workers(count: int) -> tuple[str, ...]:
    """Arguments of pytest's for several processes, each in namespaces of its own."""
    return ("--tx", f"{count}*popen//python=sh tests/worker.sh", "--dist", "worksteal")


WORKERS = {"user-mode": workers(4), "qemu": workers(2)}
"""Processes that share the tests of each kind of guest.

User-mode Linux has one processor, which two would leave idle: its tests wait much of their time.
"""
PATIENCE = "--timeout=3000"
"""Seconds that a test may take on an emulated kernel beside a busy machine's other tests."""
LEFT_OPEN = ("-W", "ignore:unclosed file:ResourceWarning")
"""python-iptables does not close what it calls modprobe with, on kernels that have modules."""
NOT_THERE = (
    "--deselect=tests/test_lint.py",
)  # ruff and mypy say the same on every kernel, and are half of an archive


def run(argv: Sequence[str], report: Path, in_user_mode: bool = False) -> int | None:
    """Run pytest in the guest, its output on ours.

    Args:
        argv: pytest's arguments: options, files, node ids.
        in_user_mode: in User-mode Linux, not in QEMU.
        report: where its report goes, in JUnit's XML; not written if the guest breaks down.

    Returns:
        pytest's exit status, None if the guest has not come so far.
    """
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        f"--color={'yes' if sys.stdout.isatty() else 'no'}",
        "--junit-xml=/run/report.xml",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.vm.report_failures",
        PATIENCE,
        *NOT_THERE,
        *LEFT_OPEN,
        "@/guest/arguments",
    ]
    script = f"""cd {shlex.quote(str(REPOSITORY))}
export PLUMB_TESTS_STRICT=1 PLUMB_TESTS_PYTHON={shlex.quote(sys.executable)}
{_sample()}
exec {shlex.join(pytest)}\n"""
    texts = {"run": script, "arguments": "".join(f"{word}\n" for word in argv)}
    if in_user_mode:
        CACHE.mkdir(exist_ok=True)
        _forget_the_killed()
        return user_mode.run(CACHE, texts, report)
    with _prepared({f"/guest/{name}": text for name, text in texts.items()}) as ready:
        status = ready.run()
        shutil.copyfile(ready.folder / "console.log", CACHE / "console.log")
        if status is not None:
            shutil.copyfile(ready.folder / "report.xml", report)
    return status


def _sample() -> str:
    """What tests.sampling is told there, as here."""
    told = {name: os.environ[name] for name in (SEED, LONG) if name in os.environ}
    words = [f"{name}={shlex.quote(value)}" for name, value in told.items()]
    return f"export {' '.join(words)}" if words else ""


def shell() -> int:
    """A shell in the guest, in the checkout, with the virtual environment's programs.

    `exit` powers it off.
    """
    size = shutil.get_terminal_size()
    script = f"""stty rows {size.lines} columns {size.columns}; cd {shlex.quote(str(REPOSITORY))}
export PATH={shlex.quote(str(Path(sys.prefix) / "bin"))}:$PATH PLUMB_TESTS_STRICT=1
exec bash --norc\n"""
    before = subprocess.run(
        ["stty", "-g"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with _prepared({"/guest/run": script, "/guest/terminal": ""}) as ready:
        subprocess.run(["stty", "raw", "-echo"], check=True)
        try:
            return ready.shell() or 0
        finally:
            subprocess.run(["stty", before], check=True)


@contextmanager
def _prepared(texts: dict[str, str]) -> Iterator[Machine]:
    """A machine with everything in its memory, and a folder for the run."""
    CACHE.mkdir(exist_ok=True)
    begun = time.monotonic()
    debian = kernel(CACHE / "kernel")
    _forget_the_killed()
    with tempfile.TemporaryDirectory(prefix=f"run-{os.getpid()}-", dir=CACHE) as folder:
        whole = Path(folder) / "guest.cpio"
        with machine.kvm(debian) as trial:
            shutil.copyfile(_base(debian), whole)
            with whole.open("ab") as out:
                files = {str(path): path for path in contents.checkout(REPOSITORY)}
                scripts = {"/init": "init.sh", "/guest/prepare.sh": "prepare.sh"}
                read = {name: (HERE / file).read_text() for name, file in scripts.items()}
                archive.pack(out, files, {**read, **texts})
            acceleration = trial.result()
        print(
            f"a guest of {whole.stat().st_size >> 20} MiB, "
            f"ready after {time.monotonic() - begun:.1f} s; "
            f"{'KVM' if acceleration == machine.KVM else 'emulated: KVM does not work here'}",
            flush=True,
        )
        yield Machine(debian, whole, Path(folder), acceleration)


def _forget_the_killed() -> None:
    """Remove the folders of runs that could not do it themselves."""
    for folder in CACHE.glob("run-*"):
        if not os.path.exists(f"/proc/{folder.name.split('-')[1]}"):
            shutil.rmtree(folder, ignore_errors=True)


def _base(debian: Kernel) -> Path:
    """The archive without the checkout, made anew when something in it may have changed."""
    origins = (
        Path("/var/lib/dpkg/status"),
        Path(sysconfig.get_path("purelib")),
        HERE / "contents.py",
        HERE / "archive.py",
    )
    changes = [path.stat().st_mtime_ns for path in origins]
    key = hashlib.sha256(
        repr((debian.release, sys.executable, sys.version, changes)).encode()
    ).hexdigest()[:12]
    path = CACHE / f"base-{key}.cpio"
    if not path.exists():
        for old in sorted(CACHE.glob("base-*.cpio"), key=os.path.getmtime)[:-KEPT]:
            old.unlink()
        files = {
            str(file): file for file in contents.complete(contents.system() | contents.python())
        }
        tree = Path("/usr/lib/modules", debian.release)
        modules = {
            str(tree / file.relative_to(debian.modules)): file
            for file in contents.modules(debian.modules)
        }
        making = path.with_suffix(f".{os.getpid()}")  # another run may be at it, too
        with making.open("wb") as out:
            archive.pack(out, {**files, **modules})
        making.rename(path)
    return path
