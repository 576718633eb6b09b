"""QEMU: a machine of two processors and no network card, that lives as long as its tests.

It is a PC: simpler machines boot a second sooner, but have no clock against which a kernel under
emulation could measure its own, and every other boot of theirs hangs. The kernel and its archive
are put into memory by QEMU itself, so there is neither a boot loader nor a disk."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.vm.kernel import Kernel

QEMU = "qemu-system-x86_64"
EMULATION = (
    "-accel",
    "tcg,thread=multi",
    "-cpu",
    "max,la57=off",
)  # five levels of page tables cost, and serve nobody here
KVM = ("-accel", "kvm", "-cpu", "host")
MACHINE = (
    "-M",
    "pc",
    "-smp",
    "2",
    "-m",
    "2048",
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-no-reboot",
    "-nic",
    "none",
)
COMMAND_LINE = (
    # what it complains about goes to a file; if it panics it ends
    "console=ttyS0 loglevel=4 panic=-1 "
    "mitigations=off nokaslr audit=0 "  # nobody attacks it
    "tsc=reliable "  # the emulated counter is the machine's own: no need to doubt it
    "rcupdate.rcu_expedited=1"
)  # namespaces go sooner
BOOTS = 300.0  # seconds of silence after which a guest will not boot any more
TRIES = 2  # an emulated kernel now and then hangs as it measures its clocks
HANGS = (
    900.0  # seconds of silence after which one hangs: no test takes so long, even under emulation
)
TRIES_KVM = 6.0


@dataclass(frozen=True)
class Machine:
    """A guest that can be started.

    Attributes:
        kernel: what boots.
        archive: what it finds in its memory.
        folder: of this run; for what comes out of it: report.xml, status, console.log.
        acceleration: QEMU's arguments for it.
    """

    kernel: Kernel
    archive: Path
    folder: Path
    acceleration: tuple[str, ...] = EMULATION

    def run(self) -> int | None:
        """Run the guest, with its output on ours, until it powers off or hangs.

        What it ended with, None if it has not come so far. A guest that has not said a word is
        started once more.
        """
        for _ in range(TRIES):
            with self._started(
                "-chardev",
                "file,id=output,path=/dev/stdout",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            ) as guest:
                spoken, why = follow(guest)
            if why:
                print(f"\nthe guest was ended: {why}; its kernel said:", flush=True)
                print((self.folder / "console.log").read_text(errors="replace")[-2000:], flush=True)
            if spoken:
                break
        return self._status()

    def shell(self) -> int | None:
        """Run the guest with this terminal as its own, until it powers off."""
        with self._started(
            "-chardev",
            "file,id=output,path=/dev/null",
            "-chardev",
            "stdio,id=terminal,signal=off",
            "-device",
            "virtconsole,chardev=terminal,nr=0",
        ) as guest:
            guest.wait()
        return self._status()

    def _status(self) -> int | None:
        status = self.folder / "status"
        said = status.read_text().strip() if status.exists() else ""
        return int(said) if said else None

    @contextmanager
    def _started(
        self, *argv: str, stdin: int | None = None, stdout: int | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        files = {
            name: self.folder / file
            for name, file in (
                ("report", "report.xml"),
                ("status", "status"),
                ("console", "console.log"),
            )
        }
        ports = [
            word
            for nr, name in enumerate(("output", "report", "status"), 1)
            for word in ("-device", f"virtserialport,chardev={name},nr={nr}")
        ]
        with started(
            [
                QEMU,
                *MACHINE,
                *self.acceleration,
                "-kernel",
                str(self.kernel.image),
                "-initrd",
                str(self.archive),
                "-append",
                COMMAND_LINE,
                "-device",
                "virtio-serial",
                *argv,
                *(
                    word
                    for name, file in files.items()
                    for word in ("-chardev", f"file,id={name},path={file}")
                ),
                "-serial",
                "chardev:console",
                *ports,
            ],
            stdin,
            stdout,
        ) as guest:
            yield guest


@contextmanager
def started(
    argv: Sequence[str],
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A guest for the length of a with block.

    It ends with it, and with this process, however that ends.

    Args:
        argv: its command line.
        stdin, stdout, stderr: as subprocess has them. Without a stdin it has this terminal, and its
        Ctrl-C.
        environment: its environment, this process's where there is none.
    """
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *argv],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment,
        start_new_session=stdin is not None,
    ) as guest:
        try:
            yield guest
        finally:
            guest.kill()


def follow(guest: subprocess.Popen[bytes]) -> tuple[bool, str]:
    """Copy a guest's output until it has ended.

    Whether there was any, and why the guest has to be ended, if it has to.
    """
    assert guest.stdout is not None
    spoken = False
    with selectors.DefaultSelector() as ready:
        ready.register(guest.stdout, selectors.EVENT_READ)
        while ready.select(HANGS if spoken else BOOTS):
            if not (said := os.read(guest.stdout.fileno(), 1 << 16)):
                return spoken, ""
            spoken = True
            sys.stdout.buffer.write(said)
            sys.stdout.buffer.flush()
    if spoken:
        return True, f"it has been silent for {HANGS:g} s"
    return False, f"it had not booted after {BOOTS:g} s"


@contextmanager
def kvm(kernel: Kernel) -> Iterator[Trial]:
    """Try whether KVM works, while the with block does something else."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        yield Trial(None)
        return
    nothing = subprocess.DEVNULL
    argv = [QEMU, *MACHINE, *KVM, "-kernel", str(kernel.image), "-append", "panic=-1"]
    with started(argv, stdin=nothing, stdout=nothing, stderr=nothing) as guest:
        yield Trial(guest)


class Trial:
    """A guest without a root, which panics a second after its start, and so ends, where KVM does
    what it says."""

    def __init__(self, guest: subprocess.Popen[bytes] | None) -> None:
        self._guest, self._end = guest, time.monotonic() + TRIES_KVM

    def result(self) -> tuple[str, ...]:
        """QEMU's arguments: for KVM if it works, else for emulation."""
        if self._guest is None:
            return EMULATION
        try:
            return (
                KVM if self._guest.wait(max(0.0, self._end - time.monotonic())) == 0 else EMULATION
            )
        except subprocess.TimeoutExpired:
            return EMULATION
