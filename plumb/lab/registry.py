"""Labs that run, by name: a file for each in a folder of root's alone below /run.

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


def write(entry: Entry, folder: str = FOLDER) -> None:
    """Record a lab.

    Raises:
        Conflict: a lab of that name runs.
    """
    _trusted(folder)
    path = _path(entry.name, folder)
    with suppress(NotFound):
        find(entry.name, folder)
        raise Conflict(f"lab {entry.name} runs already", f"'plumb lab rm {entry.name}' ends it")
    record = {"process": entry.process, "between": entry.between, "hosts": entry.hosts}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(record, file)


def find(name: str = DEFAULT, folder: str = FOLDER) -> Entry:
    """The lab of that name.

    Raises:
        NotFound: none of that name runs.
    """
    path = _path(checked(name), folder)
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        _trusted(folder)
        record = json.loads(Path(path).read_text())
        entry = Entry(
            name,
            Init(*record["process"]),
            Between(record["between"]),
            tuple(Init(*host) for host in record["hosts"]),
        )
        if entry.process.runs:
            return entry
        forget(name, folder)
    raise NotFound(f"no lab '{name}' runs", "'plumb lab hosts 2' starts one; see 'plumb lab ls'")


def every(folder: str = FOLDER) -> list[Entry]:
    """List all labs that run, by name."""
    found = []
    for path in sorted(Path(folder).glob("*.json")):
        with suppress(NotFound, Invalid):
            found.append(find(path.stem, folder))
    return found


def forget(name: str, folder: str = FOLDER) -> None:
    """Take a lab's file away."""
    with suppress(FileNotFoundError):
        os.unlink(_path(name, folder))


def _path(name: str, folder: str) -> str:
    return f"{folder}/{name}.json"


def _trusted(folder: str) -> None:
    make_folder(folder, 0o700)
    if reason := distrust(folder):
        raise Invalid(f"the folder of labs is not used, since {reason}", "remove it")
