"""Lines of `ps`: Docker's columns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from plumb.model.cnm import Ends, Network, Sandbox
from plumb.model.lifecycle import Health
from plumb.model.lifecycle.status import human, shown
from plumb.views.inspect.moments import go_seconds
from plumb.views.inspect.ports import ports_column
from plumb.views.tables import Line, joined

NO_IMAGE = "<no image>"
"""Docker's word for a container without one, as all of plumb's are."""
SHORT_COMMAND = 20


def container_row(
    box: Sandbox,
    ends: Ends,
    known: Mapping[str, Network],
    truncate: bool = True,
    health: Health | None = None,
) -> Line:
    """A line of `ps`; health: what its checks have found, None without one."""
    now = datetime.now(UTC)
    columns = {
        "ID": box.id[:12] if truncate else box.id,
        "Names": box.name,
        "Image": NO_IMAGE,
        "State": str(box.status),
        "Status": shown(box, health, now),
        "RunningFor": f"{human((now - datetime.fromisoformat(box.created)).total_seconds())} ago",
        "Command": f'"{_command(box, truncate)}"',
        "Networks": ",".join(sorted(_networks(box, known))),
        "Ports": ports_column(box, ends),
        "Addresses": ", ".join(str(ip.ip) for end, _ in ends for ip in end.ips),
        "Labels": joined(box.labels),
        "Mounts": "",
        "LocalVolumes": "0",
        "Size": "0B",
        "CreatedAt": go_seconds(box.created),
    }
    return Line(columns, dict(box.labels), "*formatter.ContainerContext")


def _command(box: Sandbox, truncate: bool) -> str:
    """A command with its arguments; those with a blank in quotes."""
    words = [*box.argv[:1], *(f"'{word}'" if " " in word else word for word in box.argv[1:])]
    text = " ".join(words)
    return f"{text[: SHORT_COMMAND - 1]}…" if truncate and len(text) > SHORT_COMMAND else text


def _networks(box: Sandbox, known: Mapping[str, Network]) -> list[str]:
    """Names of the networks that a container is on, or will be."""
    if box.mode in ("host", "none"):
        return [box.mode]
    return [
        known[wish.network].name if wish.network in known else wish.network
        for wish in box.attachments
    ]
