"""Settings of a dockerd that runs: from its command line, or from its daemon.json.

dockerd takes each setting from one of the two, and does not start where both have it. The file is
that of its mount namespace, which may be another than plumb's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from plumb.frozen import frozen
from plumb.kernel.foreign import documents, processes

NAME = "dockerd"
CONFIG = "/etc/docker/daemon.json"
EXEC_ROOT, DATA_ROOT = "/run/docker", "/var/lib/docker"
SHORT = {"hosts": "-H", "bridge": "-b", "data-root": "-g"}
"""Short options by their keys in daemon.json."""
LONG = {"hosts": "--host"}
"""Long options that are not called as their keys are."""
LONGEST = 4096
"""Letters of a setting at most: a path's (PATH_MAX)."""
NO = ("0", "f", "F", "false", "FALSE", "False")
"""Words that Go's strconv.ParseBool takes for false."""


@frozen
class Dockerd:
    """A dockerd in this network namespace.

    Attributes:
        pid: its number.
        words: its command line.
        file: the path of its daemon.json, as it sees it.
        document: what that file has; empty without one.
    """

    pid: int
    words: tuple[str, ...]
    file: str
    document: tuple[tuple[str, Any], ...] = ()

    @property
    def root(self) -> str:
        """Root folder that it has, as seen from here."""
        return processes.root_folder(self.pid)

    def all(self, key: str) -> tuple[str, ...]:
        """Return the values of a setting, the command line's before the file's.

        Args:
            key: its name in daemon.json.
        """
        given = processes.options(list(self.words), LONG.get(key, f"--{key}"), SHORT.get(key, ""))
        named = dict(self.document).get(key)
        listed = named if isinstance(named, list) else [named]
        return (*given, *(text for each in listed if (text := _text(each))))

    def text(self, key: str, usual: str = "") -> str:
        """Return a setting, or what is usual where nobody has set it."""
        return next(iter(self.all(key)), usual)

    def refused(self, key: str) -> str:
        """Return where a setting is false, in words; empty where it is not.

        Args:
            key: of a setting that is usually true.
        """
        words = processes.options(list(self.words), LONG.get(key, f"--{key}"))
        if any(word in NO for word in words):
            return f"dockerd --{key}=false"
        return f'"{key}": false in {self.file}' if dict(self.document).get(key) is False else ""

    @property
    def sockets(self) -> tuple[str, ...]:
        """Paths of the Unix sockets of its API, as seen from here; none where none is named."""
        named = (each.partition("://") for each in self.all("hosts"))
        return tuple(f"{self.root}{path}" for kind, _, path in named if kind == "unix" and path)

    @property
    def namespaces(self) -> str:
        """Folder of the files of its containers' and overlays' network namespaces."""
        return f"{self.root}{self.text('exec-root', EXEC_ROOT)}/netns"


def _text(value: Any) -> str:
    """Return a text of daemon.json; empty for anything else, and for what no terminal prints."""
    if isinstance(value, str) and value.isprintable():
        return value[:LONGEST]
    return ""


def among(running: Iterable[tuple[int, str]]) -> Iterator[Dockerd]:
    """Find dockerds that root runs, in plumb's own PID namespace.

    A process can give itself any name: one of another PID namespace may be a container's.

    Args:
        running: pids and names of processes in this network namespace.
    """
    own = processes.identity(processes.pid_namespace_file())
    for pid, name in running:
        mine = processes.identity(processes.pid_namespace_file(pid)) == own
        if name == NAME and mine and processes.is_root_s(pid):
            yield _read(pid)


def _read(pid: int) -> Dockerd:
    words = processes.command_line(pid)
    file = next(iter(processes.options(words, "--config-file")), CONFIG)
    if not file.startswith("/"):
        with suppress(OSError):
            file = f"{os.readlink(processes.working_folder(pid))}/{file}"
    found = documents.read(processes.root_folder(pid), file)
    known = found if isinstance(found, dict) else {}
    return Dockerd(pid, tuple(words), file, tuple(known.items()))
