"""State of this node's part of the cluster: what `check` says, `repair` mends, `reset` removes."""

from __future__ import annotations

import os
from contextlib import suppress

from plumb.errors import PlumbError
from plumb.frozen import frozen
from plumb.kernel.cluster import places
from plumb.model.paths import Layout


@frozen
class Finding:
    """A fault of this node's part of the cluster.

    Attributes:
        text: what; advice: what to try.
    """

    text: str
    advice: str

    def __str__(self) -> str:
        return self.text


def findings(layout: Layout) -> list[Finding]:
    """List what is wrong; nothing is started for it, and nothing where there is no cluster."""
    if not places.is_member(layout):
        return []
    from plumb.kernel import cluster_client
    from plumb.kernel.cluster import process

    folder = places.folder(layout)
    if not process.running(layout):
        return [
            Finding(
                "this node's cluster process does not run: other nodes take this one for down",
                f"'plumb repair' starts it; its log is {folder}/cluster.log",
            )
        ]
    try:
        status = cluster_client.ask_running(folder, "status", {})
    except PlumbError as error:
        return [Finding(str(error), error.hint)]
    if status.get("removed"):
        return [
            Finding(
                f"this node is not in its cluster any more: {status['failure']}",
                "'plumb swarm leave --force' forgets the cluster, 'plumb swarm join' joins it anew",
            )
        ]
    if not status.get("connected"):
        return [
            Finding(
                f"no manager of the cluster answers: {status.get('failure') or 'not yet'}",
                "local networks work, and other nodes' containers are those that were known last; "
                "see that managers run, more than half of them, and that TCP port 2377 is open",
            )
        ]
    return []


def mend(layout: Layout) -> bool:
    """Start the cluster process if it should run and does not; whether it runs.

    Raises:
        KernelRefused: it does not start.
    """
    if not places.is_member(layout):
        return False
    from plumb.kernel.cluster import process

    return process.ensure(layout)


def forget(layout: Layout) -> None:
    """Leave the cluster without conditions, and remove all files of it."""
    if not os.path.isdir(places.kept(layout)):
        return
    import shutil

    from plumb.kernel import cluster_client
    from plumb.kernel.cluster import process

    if places.is_member(layout):
        with suppress(PlumbError):
            cluster_client.ask(layout, "forget", {})
    process.stop(layout)
    for folder in {places.kept(layout), places.folder(layout)}:
        shutil.rmtree(folder, ignore_errors=True)
