"""Sandbox: a network namespace, the files that its processes see, and the process itself.

A network namespace lives as long as it has a reference: a process in it, an open socket, or a file
that it is bind-mounted on. plumb pins every sandbox by such a file, as `ip netns` and Docker do, so
a sandbox needs no process to stay.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from functools import cached_property
from signal import SIGTERM
from typing import ClassVar

from plumb.frozen import frozen
from plumb.things import Key, Stage, Thing, link_key, namespace_key

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL, as `docker stop` waits."""


@frozen
class Directory(Thing):
    """`mkdir -m 0755 PATH`; plumb removes it with its contents."""

    stage: ClassVar = Stage.NAMESPACE
    path: str

    @cached_property
    def key(self) -> Key:
        return ("directory", self.path)


class Edits(StrEnum):
    """Treatment of a user's edits of a file."""

    OVERWRITTEN = "overwritten"  # plumb owns the whole text
    LEFT = "left"  # an edited file belongs to the user, and plumb leaves it alone
    MERGED = "merged"  # plumb's lines come and go, the user's stay


@frozen
class File(Thing):
    """File with this text; plumb changes it in place, so that a bind mount of it shows the change.

    Attributes:
        text: what plumb has written there, or would have.
        edits: treatment of a user's edits.
    """

    stage: ClassVar = Stage.NAMESPACE
    path: str
    text: str
    edits: Edits = Edits.OVERWRITTEN

    @cached_property
    def key(self) -> Key:
        return ("file", self.path)

    @property
    def uses(self) -> tuple[Key, ...]:
        return (("directory", self.path.rpartition("/")[0]),)


class OfStart(Thing):
    """Thing that a sandbox has from one start until it is stopped.

    Of another start it is another object, though its path or its id is the same.
    """

    start: int

    def replaces(self, before: Thing) -> bool:
        return isinstance(before, OfStart) and before.start != self.start


@frozen
class Namespace(OfStart):
    """Network namespace, bind-mounted on the file `path`.

    Attributes:
        start: the number of the sandbox's start that it is of.
    """

    stage: ClassVar = Stage.NAMESPACE
    path: str
    start: int = 0

    @cached_property
    def key(self) -> Key:
        return namespace_key(self.path)

    @property
    def makes(self) -> tuple[Key, ...]:
        return (self.key, link_key(self.path, "lo"))


@frozen
class Process(OfStart):
    """Command in a sandbox: in its netns, with mount and UTS namespaces of its own.

    Attributes:
        id: the sandbox's id; a sandbox has at most one command.
        folder: the folder with its pid file and its output.
        files: the folder with its resolv.conf, hosts and hostname.
        ns: path of the netns, or empty for the host's.
        argv: the command; plumb executes it without a shell.
        hostname: its host name.
        capabilities: those that root has in it, by name without CAP_.
        environment: NAME=value words; NAME alone is not set, be it one of the defaults.
        root, config: of the plumb that settles the sandbox when the command ends by itself.
        start: the number of the sandbox's start that it is of.
        grace: seconds between the stop signal and SIGKILL when it is ended; below 0, it is not
            killed.
        stop_signal: number of the signal that asks it to end.
        log_size, log_files: bytes of a file of its output, and how many of them are kept.
        log_driver: the logging driver; log_server: of one that sends, what `log_drivers.server`
            tells, which the container's next name may change.
        read_only: it sees the host's files read-only, as `things.mounts` describes.
        isolated: it has PID and IPC namespaces of its own besides.
        user: NAME|UID[:GROUP|GID] of the host's files; empty: root.
        working_dir: the folder that it starts in; empty: that of the process which starts it.
    """

    stage: ClassVar = Stage.PROCESS
    id: str
    folder: str
    files: str
    ns: str
    argv: tuple[str, ...]
    hostname: str
    capabilities: tuple[str, ...]
    environment: tuple[str, ...] = ()
    root: str = ""
    config: str = ""
    start: int = 0
    grace: float = field(default=GRACE, compare=False)
    stop_signal: int = field(default=SIGTERM, compare=False)
    log_size: int = 10 << 20
    log_files: int = 3
    log_driver: str = "json-file"
    log_server: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    read_only: bool = False
    isolated: bool = False
    user: str = ""
    working_dir: str = ""

    @cached_property
    def key(self) -> Key:
        return ("process", self.id)

    def __str__(self) -> str:
        return f"process {' '.join(self.argv)}"
