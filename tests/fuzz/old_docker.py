"""What Docker 20.10 says otherwise than today's, so that the rest can be compared."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.conformance.texts import Answer, comparable, tells

SINCE = (
    (r" --internal\b", ""),  # today's Docker has no gateway there, and shows ports
    (r" --ipv6 --subnet \S+", ""),  # today's Docker chooses a gateway of IPv6
)
"""What a line has that has other effects today."""
RENAMED = (
    (r"No such network: (\S+)", r"network \1 not found"),
    (r"(network \S+ not found)\.", r"\1"),
    (r"not connected to the ", "not connected to "),
    (r":::(\d+)(->|$)", r"[::]:\1\2"),
    (
        r"You cannot remove a running container .*",
        (
            "cannot remove container: container is running: "
            "stop the container before removing or force remove"
        ),
    ),
    (r"Cannot kill container: (\S+): Container ", r"cannot kill container: \1: container "),
    (r"Cannot kill", "cannot kill"),
    (r"\.\nSee 'docker run --help'\.", ""),
    (r"Invalid filter", "invalid filter"),
    (r"\.$", ""),
    (r"port '(\d+)/tcp'", r"port '\1'"),
    (r'^strconv\.ParseUint: parsing "(\w+)": invalid syntax', r"No public port '\1'"),
    (r"^(Error: )?(No public port '\S+') published for \S+", r"\2"),
    (r"^default (?=[{\[])", "bridge "),
)
"""Texts of 20.10, and the same today; where they say less, both sides are shortened."""
SHORTENED = (
    (r"(No public port '\S+') published for \S+?(?=;|$)", r"\1"),
    (r'cannot remove container "\S+":', "cannot remove container:"),
    (r"\.$", ""),
    (r"port '(\d+)/tcp'", r"port '\1'"),
    (r"not connected to the ", "not connected to "),
    (r"failed to set up container networking: ", ""),
)


def known(lines: Sequence[str]) -> list[str]:
    """The lines without what has another effect today."""
    return [_replaced(line, SINCE) for line in lines]


def agree(docker: Answer, plumb: Answer) -> bool:
    """True if both succeed or both fail, print the same and say the same."""
    if bool(docker.status) != bool(plumb.status):
        return False
    if comparable(_replaced(docker.stdout, RENAMED)) != comparable(plumb.stdout):
        return False
    said, ours = _replaced(docker.stderr, RENAMED), _replaced(plumb.stderr, SHORTENED)
    return not docker.status or tells(said, ours)


def _replaced(text: str, forms: Sequence[tuple[str, str]]) -> str:
    for old, new in forms:
        text = re.sub(old, new, text, flags=re.MULTILINE)
    return text
