"""Texts: Docker's answers to lines on one rich host, and how plumb's are held against them.

Forgiven are ids, times, MAC addresses, paths and the engine's name, the fields of an image's, and
the order of keys in JSON. What an error says is plumb's own: only that there is one is compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

RECORDED = json.loads((Path(__file__).parent / "texts.json").read_text())
STEPS: list[str] = RECORDED["steps"]
FORGIVEN = {
    "Image", "Driver", "GraphDriver", "LogPath", "ResolvConfPath", "HostnamePath", "HostsPath",
    "SandboxKey", "Pid", "Hostname", "PidMode", "IpcMode", "MaskedPaths", "ReadonlyPaths",
    "Runtime", "ShmSize",
}  # fmt: skip
"""Fields of a container's document that images, files and processes of its own have in Docker."""
RANDOM = (
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\b[0-9a-f]{12}\b", "<id>"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "<time>"),
    (r"(About an? \w+|Less than a second|\d+ (seconds?|minutes?))( ago)?", "<age>"),
    (r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", "<mac>"),
    (r"<no image>", "bb"),
    (r"0B \(virtual [\d.]+MB\)", "0B"),
    (r"  +", "  "),
)
OTHERWISE = {"port": "plumb shows the ports of all containers"}
"""Lines that plumb answers otherwise, and why; docs/differences.md says so too."""


ID = re.compile("[0-9a-f]{64}")


class Answer(NamedTuple):
    """A line, its exit status, and what it printed."""

    line: str
    status: int
    stdout: str
    stderr: str = ""


def recorded() -> Iterator[Answer]:
    """Docker's answers."""
    for each in RECORDED["lines"]:
        yield Answer(**each)


def agree(docker: Answer, plumb: Answer) -> bool:
    """True if both succeed or both fail, and print the same."""
    if bool(docker.status) != bool(plumb.status):
        return False
    shown = "inspect" in docker.line.split()[:2]
    return (bool(docker.status) and not shown) or comparable(docker.stdout) == comparable(
        plumb.stdout
    )


def comparable(text: str) -> object:
    """A text without what is chance; a JSON document without its order and what is forgiven."""
    if text.startswith("["):
        try:
            return _plain(json.loads(text))
        except ValueError:
            pass
    return _words(text)


def _words(text: str) -> str:
    for form, word in RANDOM:
        text = re.sub(form, word, text)
    return text.replace("docker", "plumb")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return _words(value) if isinstance(value, str) else value
    if value and all(ID.fullmatch(key) for key in value):
        return sorted((_plain(item) for item in value.values()), key=str)
    return {
        key: _plain(item)
        for key, item in value.items()
        if key not in FORGIVEN or (key == "Driver" and "IPAM" in value)
    }
