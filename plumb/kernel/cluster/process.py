"""Start, look-up and end of a root's cluster process (`agent.cluster.process`)."""

from __future__ import annotations

from pathlib import Path

from plumb import root
from plumb.errors import KernelRefused, Unsupported
from plumb.kernel import agent_client, agent_socket, background
from plumb.kernel.cluster import places
from plumb.model.paths import Layout

LAUNCH = background.launcher("plumb.agent.cluster.process")
LIBRARIES = ("cryptography", "cffi")


def running(layout: Layout) -> int:
    """The process's id, 0 without one."""
    return agent_socket.running(places.folder(layout))[0]


def start(layout: Layout) -> None:
    """Start the process in the calling thread's network namespace, and wait until it is ready.

    Raises:
        KernelRefused: it could not start. Unsupported: a library is missing.
    """
    root.make_folder(places.folder(layout), 0o700)
    root.make_folder(places.kept(layout), 0o700)
    background.launch("plumb-cluster", LAUNCH, [layout.root, *_libraries()])


def ensure(layout: Layout) -> bool:
    """Start the process if this root is in a cluster and it does not run; whether it runs."""
    if running(layout):
        return True
    if not places.is_member(layout):
        return False
    try:
        start(layout)
    except KernelRefused:
        if not running(layout):  # another command was faster
            raise
    return True


def stop(layout: Layout) -> None:
    """End the process, if there is one; this node stays in its cluster."""
    agent_client.stop(places.folder(layout))


def _libraries() -> list[str]:
    """Import paths of the libraries, which are found without being loaded."""
    from importlib.util import find_spec

    found = []
    for name in LIBRARIES:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise Unsupported(
                f"cannot start plumb's cluster process: the library {name} is not installed",
                "pip install cryptography",
            )
        found.append(str(Path(spec.origin).parents[1]))
    return list(dict.fromkeys([root.IMPORT_PATH, *found]))
