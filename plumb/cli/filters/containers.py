"""Filters of `ps`: what each key tells of a container."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from plumb.cli.filters import words as filters
from plumb.errors import Invalid
from plumb.model.cnm import Ends, Network, Sandbox, Status
from plumb.model.lifecycle import Health
from plumb.model.lifecycle.status import health_status
from plumb.views.inspect.ports import open_ports

STATES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
HEALTH = ("starting", "healthy", "unhealthy", "none")
NOT_HERE = {
    "ancestor": "plumb has no images, of which a container could be made",
    "volume": "plumb has no volumes: a container sees the host's files",
    "isolation": "it is for Windows",
}
"""Docker's filters that mean nothing here, and why."""
PORTS = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?")


def of_containers(
    words: Sequence[str],
    found: Sequence[tuple[Sandbox, Ends]],
    known: Mapping[str, Network],
    health: Mapping[str, Health],
) -> list[tuple[Sandbox, Ends]]:
    """Containers that pass `--filter` words.

    Args:
        found: all containers, with their endpoints and networks.
        known: all networks by id.
        health: what checks have found, by the container's id.

    Raises:
        Invalid: a key or a value that there is not.
    """
    boxes = [box for box, _ in found]
    _check(words, boxes)
    return [
        (box, ends)
        for box, ends in found
        if filters.matches(_without_ports(words), _tests(box, boxes, known, health.get(box.id)))
        and _opens(words, box, ends)
    ]


def _check(words: Sequence[str], boxes: Sequence[Sandbox]) -> None:
    """Refuse words that would find nothing only because they are wrong."""
    for key, wanted in filters.values(words, (*KEYS, *NOT_HERE)).items():
        if key in NOT_HERE:
            raise Invalid(f"invalid filter '{key}': {NOT_HERE[key]}")
        for value in wanted:
            if key in CHECKED and not CHECKED[key](value):
                raise Invalid(f"invalid filter '{key}={value}'", f"it can be {MEANINGS[key]}")
            if key in ("before", "since"):
                _named(value, boxes)


KEYS = (
    "before", "exited", "expose", "health", "id", "is-task", "label", "name", "network", "publish",
    "since", "status",
)  # fmt: skip
CHECKED: dict[str, Callable[[str], object]] = {
    "exited": re.compile(r"[+-]?\d+").fullmatch,
    "status": STATES.__contains__,
    "health": HEALTH.__contains__,
    "is-task": ("true", "false").__contains__,
    "publish": PORTS.fullmatch,
    "expose": PORTS.fullmatch,
}
MEANINGS = {
    "exited": "an exit status",
    "status": ", ".join(STATES),
    "health": ", ".join(HEALTH),
    "is-task": "true or false",
    "publish": "PORT[-PORT][/PROTOCOL]",
    "expose": "PORT[-PORT][/PROTOCOL]",
}


def _named(text: str, boxes: Sequence[Sandbox]) -> Sandbox:
    """A container by its name, its id or the begin of that."""
    for box in boxes:
        if text.removeprefix("/") == box.name or text == box.id:
            return box
    starting = [box for box in boxes if text and box.id.startswith(text)]
    if len(starting) != 1:
        raise Invalid(f"no such container {text}")
    return starting[0]


def _tests(
    box: Sandbox, boxes: Sequence[Sandbox], known: Mapping[str, Network], health: Health | None
) -> dict[str, Callable[[str], bool]]:
    networks = {wish.network for wish in box.attachments}
    names = {known[ident].name for ident in networks if ident in known} | networks
    names |= {box.mode} & {"host", "none"}
    return {
        "before": lambda value: box.number < _named(value, boxes).number,
        "exited": lambda value: box.status is Status.EXITED and box.exit_code == int(value),
        "health": lambda value: value == health_status(box, health),
        "id": filters.expression(box.id),
        "is-task": lambda value: value == str(box.task is not None).lower(),
        "label": filters.label(box.labels),
        "name": filters.expression(box.name, f"/{box.name}"),
        "network": lambda value: (
            value in names or any(ident.startswith(value) for ident in networks)
        ),
        "since": lambda value: box.number > _named(value, boxes).number,
        "status": lambda value: value == box.status,
    }


def _without_ports(words: Sequence[str]) -> list[str]:
    return [word for word in words if word.partition("=")[0] not in ("publish", "expose")]


def _opens(words: Sequence[str], box: Sandbox, ends: Ends) -> bool:
    """True if a container publishes or exposes one of the ports asked for; they are one choice."""
    wanted = filters.values(words, KEYS)
    if not wanted.keys() & {"publish", "expose"}:
        return True
    ports = open_ports(box, ends)
    outside = {(port.host_port, port.protocol) for port in ports}
    inside = {(port.port, port.protocol) for port in ports}
    return any(
        (number, protocol) in places
        for key, places in (("publish", outside), ("expose", inside))
        for value in wanted.get(key, ())
        for number, protocol in _ports(value)
    )


def _ports(text: str) -> list[tuple[int, str]]:
    found = PORTS.fullmatch(text)
    assert found is not None
    first, last = int(found[1]), int(found[2] or found[1])
    return [(number, found[3] or "tcp") for number in range(first, min(last, 65535) + 1)]
