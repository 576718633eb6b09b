"""The scenarios, and what a Docker Engine did with each.

A scenario is a fresh host and a few command lines. Its recording holds the host's and every
container's kernel state, the files in the containers, what `inspect` says, and who reaches whom.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Recording = dict[str, Any]  # JSON; facts.py knows its shape

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Scenario:
    """Command lines for a fresh host.

    Attributes:
        steps: the command lines; one that begins with "@h2 " runs on h2, "NAME = LINE" keeps what
        LINE prints as $NAME.
        daemon: settings, with the keys of Docker's daemon.json.
        hosts: the hosts' names; host_setup: shell lines that run on h1 first; lan_routes: routes of
        the LAN's router.
        needs: the kernel's feature without which it cannot be played, empty where every kernel will
        do.
        swarm: True: the hosts have names of their own, and more is observed (swarm.py).
        settle: seconds until what one host knows of another is known, before traffic is tried.
        ignore: patterns of facts that Docker itself makes now so, now otherwise.
    """

    name: str
    steps: tuple[str, ...]
    daemon: dict[str, Any]
    hosts: tuple[str, ...]
    host_setup: tuple[str, ...]
    lan_routes: tuple[str, ...]
    needs: str
    swarm: bool = False
    settle: float = 0.0
    ignore: tuple[str, ...] = ()


def scenarios() -> dict[str, Scenario]:
    """All scenarios of which there is a recording, in the book's order."""
    book = tomllib.loads((HERE / "scenarios.toml").read_text())
    return {
        name: Scenario(
            name,
            tuple(s["steps"]),
            s.get("daemon", {}),
            tuple(s.get("hosts", ("h1",))),
            tuple(s.get("host_setup", ())),
            tuple(s.get("lan_routes", ())),
            s.get("vm", ""),
            s.get("swarm", False),
            s.get("settle", 0.0),
            tuple(s.get("ignore", ())),
        )
        for name, s in book.items()
        if _golden(name).exists()
    }


def recorded(name: str) -> Recording:
    """What Docker did in that scenario."""
    found: Recording = json.loads(_golden(name).read_text())
    return found


def _golden(name: str) -> Path:
    return HERE / "golden" / f"{name}.json"
