"""Labs that run, by name: a file for each in a folder of its user's alone.

Root's is below /run, which a boot clears; other users' in their XDG_RUNTIME_DIR, or below /tmp.

A lab's processes may have been killed, and its file stays: `find` takes such a file away.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path

from plumb.errors import Conflict, Invalid, NotFound
from plumb.frozen import frozen
from plumb.kernel.netns.lab_host import Init
from plumb.lab.layout import Between, Place
from plumb.root import distrust, make_folder

FOLDER = "/run/plumb-labs"
DEFAULT = "hosts"
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,31}")


@frozen
class Entry:
    """A lab that runs.

    Attributes:
        name: its name.
        process: the lab's own process, which has the switches' namespace.
        between: what connects its hosts.
        hosts: the first process of each, in their order.
    """

    name: str
    process: Init
    between: Between
    hosts: tuple[Init, ...]

    @property
    def places(self) -> tuple[Place, ...]:
        """The hosts' places, in their order."""
        return tuple(Place(number, self.between) for number in range(len(self.hosts)))


def folder_of_user() -> str:
    """Path of the folder of the calling user's labs.

    XDG_RUNTIME_DIR may be that of another user, behind su, or gone after a logout.
    """
    user = os.geteuid()
    if user == 0:
        return FOLDER
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    with suppress(OSError):
        if os.stat(own).st_uid == user:
            return f"{own}/plumb-labs-{user}"
    return f"/tmp/plumb-labs-{user}"


def checked(name: str) -> str:
    """A name that a lab can have.

    Raises:
        Invalid: it cannot.
    """
    if not NAME.fullmatch(name):
        raise Invalid(
            f"a lab cannot be called '{name}'",
            "a name has up to 32 letters, digits, '_', '.' and '-', a letter or digit first",
        )
    return name


def write(entry: Entry) -> None:
    """Record a lab.

    Raises:
        Conflict: a lab of that name runs.
    """
    with suppress(NotFound):
        find(entry.name)
        raise Conflict(f"lab {entry.name} runs already", f"'plumb lab rm {entry.name}' ends it")
    path = make_ready(entry.name)
    record = {"process": entry.process, "between": entry.between, "hosts": entry.hosts}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(record, file)


def make_ready(name: str) -> str:
    """Make the folder of the user's labs, if it is not there; the path of a lab's file in it."""
    make_folder(folder_of_user(), 0o700)
    return _path(name)


def find(name: str = DEFAULT) -> Entry:
    """The lab of that name.

    Raises:
        NotFound: none of that name runs.
    """
    path = _path(checked(name))
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        record = json.loads(Path(path).read_text())
        entry = Entry(
            name,
            Init(*record["process"]),
            Between(record["between"]),
            tuple(Init(*host) for host in record["hosts"]),
        )
        if entry.process.runs:
            return entry
        forget(entry)
    raise NotFound(f"no lab '{name}' runs", "'plumb lab hosts 2' starts one; see 'plumb lab ls'")


def every() -> list[Entry]:
    """List all labs that run, by name."""
    found = []
    for path in sorted(Path(folder_of_user()).glob("*.json")):
        with suppress(NotFound, Invalid):
            found.append(find(path.stem))
    return found


def forget(entry: Entry) -> None:
    """Take a lab's file away, unless it is that of another lab which has the name by now.

    A user's folder goes after the last one. That of root stays: a mount on it in another mount
    namespace would go along.
    """
    path = _path(entry.name)
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        if Init(*json.loads(Path(path).read_text())["process"]) == entry.process:
            os.unlink(path)
    if folder_of_user() != FOLDER:
        with suppress(OSError):
            os.rmdir(folder_of_user())


def _path(name: str) -> str:
    """Path of a lab's file.

    Raises:
        Invalid: somebody else could have written to the folder.
    """
    folder = folder_of_user()
    if reason := distrust(folder):
        raise Invalid(f"the folder of labs is not used, since {reason}", "remove it")
    return f"{folder}/{name}.json"
