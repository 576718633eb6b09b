"""Paths that plumb may make and remove: those below its root's folders, and no others.

The record says which folders a reset deletes, which files it mounts on and which process ids it
reads. A record that somebody else has written could name any.
"""

from __future__ import annotations

from collections.abc import Sequence

from plumb.errors import KernelRefused
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.host_ports import Agent
from plumb.things.sandbox import Directory, File, Namespace, Process

NAMING = (Directory, File, Namespace, Process, Agent)
"""Things that name paths."""


def require_below(folders: Sequence[str], steps: Sequence[Step]) -> None:
    """Refuse all steps where one is about a path outside of these folders.

    Args:
        folders: absolute paths; none of them: nothing is refused.
        steps: about any things.

    Raises:
        StepFailed: the first such step; nothing was done.
    """
    for step in steps if folders else ():
        for thing in (step.before, step.after):
            for path in _paths(thing) if isinstance(thing, NAMING) else ():
                if not any(_is_below(path, folder) for folder in folders):
                    refused = KernelRefused(
                        str(step),
                        said=f"{path} is not below the root {folders[0]}",
                        hint="the record is not this root's; what it names there is left alone",
                    )
                    raise StepFailed(refused, step, [])


def _paths(thing: Thing) -> tuple[str, ...]:
    match thing:
        case Directory(path=path) | File(path=path) | Namespace(path=path):
            return (path,)
        case Process(folder=folder, files=files):
            return (folder, files)
        case Agent(folder=folder):
            return (f"{folder}/agent.pid",)
    return ()


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/") and ".." not in path.removeprefix(folder).split("/")
