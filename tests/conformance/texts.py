"""Texts: Docker's answers to lines on one rich host, and how plumb's are held against them.

Forgiven are ids, times, MAC addresses, process ids, the folders of paths and the engine's name, and
the order of keys in JSON. Errors say the same words, what plumb advises behind a semicolon aside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

RECORDED = json.loads((Path(__file__).parent / "texts.json").read_text())
STEPS: list[str] = RECORDED["steps"]
OURS: dict[str, object] = {
    "Image": "",
    "Driver": "",
    "GraphDriver": {"Data": None, "Name": ""},
    "PidMode": "host",
    "IpcMode": "host",
    "MaskedPaths": None,
    "ReadonlyPaths": None,
    "Runtime": "",
    "ShmSize": 0,
}
"""Fields of a container's document that tell of an image, or of what it shares with the host here,
and what plumb has there wherever Docker has them; docs/differences.md says so too."""
PLACES = {"LogPath", "ResolvConfPath", "HostnamePath", "HostsPath", "SandboxKey", "Pid"}
"""Fields that have a path or a process id, or are empty."""
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
LONG = "run -d --name y1 --network name=front,driver-opt=com.docker.network.endpoint."
OTHERWISE = {
    "port": "plumb shows the ports of all containers",
    f"{LONG}ifname=a/b": "told before a link is made, not when it is renamed",
    f"{LONG}ifname=lo": "the same",
    f"{LONG}sysctls=net.ipv4.conf.IFNAME.nosuch=1": "the path is named as that of --sysctl is",
    "run -d --name y1 --network front --mac-address 01:00:00:00:00:01": "the same",
}
"""Lines that plumb answers otherwise, and why; docs/differences.md says so too."""


ACTIVE = re.compile(r'name:"[^)]*"')
"""Endpoints of a network, which Docker lists in any order."""
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
    """True if both succeed or both fail, and print and say the same.

    What a command that failed has printed of Docker's own is compared with plumb's errors, for
    `docker exec` prints its errors there.
    """
    if bool(docker.status) != bool(plumb.status):
        return False
    shown = "inspect" in docker.line.split()[:2]
    if not docker.status or shown:
        same = comparable(docker.stdout, OURS) == comparable(plumb.stdout)
        return same and (not docker.status or tells(docker.stderr, plumb.stderr))
    return tells(docker.stderr or docker.stdout, plumb.stderr)


ENGINE = re.compile(
    r"^(docker: |plumb: |Error response from daemon: |Error: |invalid JSON: "
    r"|failed to set up container networking: "
    r"|driver failed programming external connectivity on endpoint \S+ \(\w+\): "
    r"|failed to create task for container: failed to create shim task: "
    r"|OCI runtime (create|exec) failed: (runc create|exec) failed: "
    r"|unable to start container process: (error during container init: )?)+",
    re.MULTILINE,
)
"""Names that an engine gives itself before what it says, and what it was doing."""
WARNING = re.compile(r"^WARNING: .*\n", re.MULTILINE)
HELP = re.compile(
    r"\n\n?(Usage: |Run 'docker |See 'docker ).*|^exit status \d+$"
    r"|^(Error: )?failed to \w+ container.*$|: unknown$",
    re.DOTALL | re.MULTILINE,
)
"""Docker's pointers to its help, and lines after its errors that add nothing."""


def tells(docker: str, plumb: str) -> bool:
    """True if plumb's errors are Docker's, but for remedies after a semicolon."""
    wanted = " ".join(ENGINE.sub("", HELP.sub("", WARNING.sub("", docker))).split())
    found = [" ".join(line.split()) for line in ENGINE.sub("", plumb).strip().splitlines()]
    return _begin(_words(wanted), [_words(line) for line in found])


def _begin(wanted: str, lines: Sequence[str]) -> bool:
    """True if the words are those of the lines, one after the other, with or without remedies."""
    if not lines:
        return not wanted
    parts = lines[0].split("; ")
    heads = ("; ".join(parts[: count + 1]) for count in range(len(parts)))
    return any(
        wanted.startswith(head) and _begin(wanted[len(head) :].strip(), lines[1:]) for head in heads
    )


def comparable(text: str, ours: Mapping[str, object] = MappingProxyType({})) -> object:
    """A text without what is chance, a JSON document without its order.

    Args:
        ours: values to put in place of a container's, by field.
    """
    if text.startswith("["):
        try:
            return _plain(json.loads(text), ours)
        except ValueError:
            pass
    return _words(text)


def _words(text: str) -> str:
    text = ACTIVE.sub(lambda found: ", ".join(sorted(found[0].split(", "))), text)
    for form, word in RANDOM:
        text = re.sub(form, word, text)
    return text.replace("docker", "plumb")


def _plain(value: Any, ours: Mapping[str, object], field: str = "") -> Any:
    if field in PLACES and value:
        return f"<{field}>"
    if isinstance(value, list):
        return [_plain(item, ours) for item in value]
    if not isinstance(value, dict):
        return _words(value) if isinstance(value, str) else value
    if value and all(ID.fullmatch(key) for key in value):
        return sorted((_plain(item, ours) for item in value.values()), key=str)
    if "IPAM" in value:
        ours = {}  # a network's
    return {key: _plain(ours.get(key, item), ours, key) for key, item in value.items()}
