"""Health of containers, as the agent knows it; without an agent, as it wrote it down last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plumb.kernel import agent_client
from plumb.kernel.process import health_file


def states(agent: str, folders: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Read the health of containers that have a health check, with one request to the agent.

    Args:
        agent: the agent's folder.
        folders: the folder of each container, by id.

    Returns:
        What Docker's API has in .State.Health, by id; nothing for one that was never started.
    """
    if not folders:
        return {}
    try:
        asked = agent_client.ask(agent, {"health": list(folders)}, agent_client.DEADLINES)
        known: dict[str, dict[str, Any]] = asked["health"]
    except (OSError, KeyError):
        known = {}
    for ident, folder in folders.items():
        written = None if ident in known else health_file.read(folder)
        if written is not None:
            known[ident] = {key: written[key] for key in ("Status", "FailingStreak", "Log")}
    return known
