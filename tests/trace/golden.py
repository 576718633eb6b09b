"""Golden stories: texts that are compared as a whole, with random parts replaced by their kind."""

from __future__ import annotations

import re

from tests import REPOSITORY

GOLDEN = REPOSITORY / "tests/golden_stories"
KINDS = [
    (r"/tmp/plumb-lab-\w+/root/netns/\w+", "<namespace>"),
    (r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "<mac>"),
    (r"br-[0-9a-f]{12}\b", "br-<net>"),
    (r"\bveth[0-9a-f]{7}\b", "veth<end>"),
    (r":(2\d{4}|3[01]\d{3})\b", ":<port>"),
    (r"\+\d+ µs", "+<t>"),
    (r"after \d+ µs", "after <t>"),
    (r"\([\w-]+, pid \d+\)", "(<program>)"),
    (r"handle \d+", "handle <n>"),
    (r"(?m) +$", ""),
]


def alike(text: str) -> str:
    """Replace random parts of a printed story by their kind."""
    for pattern, kind in KINDS:
        text = re.sub(pattern, kind, text)
    return text + "\n"
