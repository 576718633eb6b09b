"""Sizes of processes, of the root and of the kernel's objects while containers come and go."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field, fields
from pathlib import Path

from plumb.kernel.process import shim
from tests.host.trial_hosts import JOURNAL, marked
from tests.labs import Lab, mounts, sh

STORE = "plumb.db"
APART = (STORE, *JOURNAL)


def _size(may_grow: int | None = 0) -> int:
    """A size, and by how much it may grow after the first tenth of a run; None for any much."""
    made: int = field(metadata={"may_grow": may_grow})
    return made


KIB, MIB = 1 << 10, 1 << 20
SERVER = "plumb-warm"
"""Beginning of the title of the warm process; behind it is how many commands it has had."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of what must not grow.

    Attributes:
        memory: of this process, of the agent and of the warm process, KiB of resident memory. This
        one's caches of encoded and decoded values fill up in a thousand cycles or two.
        descriptors: of each. The warm process has some more while it forks.
        processes: the agent and what it has started; a command that has just ended may count.
        store, log: bytes of the database and of its write-ahead log, which SQLite begins anew when
        it has 4 MiB.
        files, bytes: under the root, without the store's and the journal of events, whose older
        half goes when it has become large.
        namespaces: files of network namespaces under the root.
        links, rules, mounts: how many the host has.
        dentries: the kernel's, of the whole machine: other work shows there as well.
    """

    memory: int = _size(8 * KIB)
    descriptors: int = _size()
    agent_memory: int = _size(4 * KIB)
    agent_descriptors: int = _size()
    warm_memory: int = _size(4 * KIB)
    warm_descriptors: int = _size(2)
    processes: int = _size(2)
    store: int = _size(MIB)
    log: int = _size(5 * MIB)
    files: int = _size()
    bytes: int = _size(MIB)
    namespaces: int = _size()
    links: int = _size()
    rules: int = _size()
    mounts: int = _size()
    dentries: int = _size(None)


def measured(place: Lab) -> Sizes:
    """Sizes as they are now."""
    agent, warm = _servers(place)
    paths = [path for path in place.root.rglob("*") if path.is_file() and not path.is_symlink()]
    size = {str(path.relative_to(place.root)): path.lstat().st_size for path in paths}
    own = {name: length for name, length in size.items() if not name.startswith(APART)}
    return Sizes(
        *_process(os.getpid()),
        *_process(agent),
        *_process(warm),
        len({agent, *shim.descendants(agent)}),
        size[STORE],
        size.get(f"{STORE}-wal", 0),
        len(own),
        sum(own.values()),
        sum(name.startswith("netns/") for name in own),
        len(socket.if_nameindex()),
        sh("iptables-save; ip6tables-save").count("\n-A "),
        len(mounts()),
        int(Path("/proc/sys/fs/dentry-state").read_text().split()[0]),
    )


def processor(place: Lab) -> float:
    """Processor time of this process, the agent and the warm process, and of their children, s."""
    return sum(_ticks(pid) for pid in (os.getpid(), *_servers(place))) / os.sysconf("SC_CLK_TCK")


def grown(first: Sizes, last: Sizes) -> list[str]:
    """Sizes that have grown by more than they may, in words."""
    return [
        f"{each.name}: {before:,} -> {after:,}"
        for each in fields(Sizes)
        if (most := each.metadata["may_grow"]) is not None
        and (after := getattr(last, each.name)) - (before := getattr(first, each.name)) > most
    ]


def _servers(place: Lab) -> tuple[int, int]:
    """Pids of the agent and of the warm process, 0 where there is none."""
    agent = next(pid for pid, words in marked(place).items() if "plumb.agent" in words)
    own = [pid for pid in shim.descendants(agent) if _stat(pid)[:2][1:] == [str(agent)]]
    return agent, next((pid for pid in own if _name(pid).startswith(SERVER)), 0)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _ticks(pid: int) -> int:
    """utime, stime, cutime and cstime (proc(5))."""
    return sum(map(int, _stat(pid)[11:15]))


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat behind the name; none where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def _process(pid: int) -> tuple[int, int]:
    if not pid:
        return 0, 0
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]), len(os.listdir(f"/proc/{pid}/fd"))
