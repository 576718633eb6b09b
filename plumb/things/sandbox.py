"""What a sandbox stands on.

A network namespace, the files that its processes see, and the process itself.

A network namespace lives as long as something refers to it: a process in it, an open socket, or a
file that it is bind-mounted on. plumb holds every sandbox by such a file, as `ip netns` and Docker
do, so a sandbox needs no process to stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plumb.things import Key, Stage, Thing, link_key, namespace_key


@dataclass(frozen=True)
class Directory(Thing):
    """`mkdir -m 0755 PATH`; taken away with what is in it."""

    stage: ClassVar = Stage.GROUND
    path: str

    @property
    def key(self) -> Key:
        return ("directory", self.path)


class Edits(StrEnum):
    """What becomes of what somebody else writes into a file."""

    OVERWRITTEN = "overwritten"  # it has the text that it shall have, and nothing else
    LEFT = "left"  # once it was edited it is the user's, and stays as it is
    MERGED = "merged"  # plumb's lines come and go, the user's stay


@dataclass(frozen=True)
class File(Thing):
    """A file with this text; changed in place, so that a bind mount of it shows the change.

    Attributes:
        text: what plumb has written there, or would have.
        edits: what becomes of a user's edits.
    """

    stage: ClassVar = Stage.GROUND
    path: str
    text: str
    edits: Edits = Edits.OVERWRITTEN

    @property
    def key(self) -> Key:
        return ("file", self.path)

    @property
    def uses(self) -> tuple[Key, ...]:
        return (("directory", self.path.rpartition("/")[0]),)


@dataclass(frozen=True)
class Namespace(Thing):
    """A network namespace, bind-mounted on the file `path`."""

    stage: ClassVar = Stage.GROUND
    path: str

    @property
    def key(self) -> Key:
        return namespace_key(self.path)

    @property
    def makes(self) -> tuple[Key, ...]:
        return (self.key, link_key(self.path, "lo"))


@dataclass(frozen=True)
class Process(Thing):
    """A command in a sandbox: in its network namespace, with mount and UTS namespaces of its own.

    Attributes:
        id: whose process it is (the sandbox's id); a sandbox has at most one.
        folder: the folder with its pid file and its output.
        files: the folder with its resolv.conf, hosts and hostname.
        ns: the network namespace's file, or empty for the host's.
        argv: the command; it is executed as it stands, no shell sees it.
        hostname: its host name.
        capabilities: what root may do in it, by name without CAP_.
        environment: NAME=value words.
        root, config: of the plumb to tell when it has ended by itself.
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

    @property
    def key(self) -> Key:
        return ("process", self.id)

    def __str__(self) -> str:
        return f"process {' '.join(self.argv)}"
