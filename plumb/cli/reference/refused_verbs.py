"""Verbs of Docker's command line that have no meaning here, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

NO_IMAGES = "there are no images: a container's command is a program of the host"
NO_FILES = "containers share the host's files, which any program of the host copies and compares"
NO_FREEZER = "containers have no cgroup that could be frozen; 'plumb kill -s STOP' stops a command"
NO_DAEMON = "plumb has no daemon to talk to"
NO_STACKS = "'plumb compose up' makes a compose file's services on this host"
UNLOCKED = "managers of plumb are never locked: their keys lie in a folder of root's"

VERBS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("build", "builder", "buildx", "commit", "history", "image", "images", "import"),
            *("load", "login", "logout", "manifest", "pull", "push", "rmi", "save", "search"),
            *("tag", "trust"),
        ),
        NO_IMAGES,
    ),
    **dict.fromkeys(("cp", "diff", "export", "volume"), NO_FILES),
    **dict.fromkeys(("config", "secret"), NO_FILES),
    **dict.fromkeys(("pause", "unpause"), NO_FREEZER),
    **dict.fromkeys(("context", "system"), NO_DAEMON),
    **dict.fromkeys(("stack",), NO_STACKS),
    **{f"compose {verb}": NO_IMAGES for verb in ("build", "images", "pull", "push", "publish")},
    **{
        f"compose {verb}": f"'plumb {verb} PROJECT-SERVICE-1' does it for each container"
        for verb in (
            "exec",
            "kill",
            "logs",
            "port",
            "restart",
            "rm",
            "start",
            "stop",
            "top",
            "wait",
        )
    },
    "checkpoint": "plumb makes no checkpoints of processes",
    "plugin": "drivers of plumb are a part of it",
    "swarm unlock": UNLOCKED,
    "swarm unlock-key": UNLOCKED,
}
"""Reasons by verb; a group's has both words."""


def reason(path: str) -> str:
    """The reason for which a verb of Docker's is not there; empty for a word that is none.

    Args:
        path: words of the command line up to the verb, without `plumb`.
    """
    return VERBS.get(path.removeprefix("container "), "")
