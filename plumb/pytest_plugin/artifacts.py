"""Artifacts: a folder with the state of a failed test's labs, as the system's own tools show it.

DIR/tests-test_shop.py--test_web/
    failure.txt         the error of the test, with the stories of its requests
    check.txt           result of plumb check
    containers.json     plumb inspect, of all
    networks.json       plumb network inspect, of all
    NODE/*.txt          links, addresses, routes, neighbours, sockets, rules, sysctls of each place
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from plumb.errors import PlumbError
from plumb.pytest_plugin.labs import Lab

SHOWN = ("check.txt",)
"""What the report shows as well."""


def keep(folder: str, test: str, labs: Sequence[Lab], failure: str) -> list[tuple[str, str]]:
    """Write a folder for a failed test; sections for its report.

    Args:
        folder: under which; test: its node id, which becomes the name.
        labs: what there is of it; failure: what it said.
    """
    place = Path(folder, re.sub(r"[^\w.\[\]=,+-]+", "-", test.replace("::", "--")).strip("-")[:200])
    place.mkdir(parents=True, exist_ok=True)
    (place / "failure.txt").write_text(_failure_text(failure, labs))
    sections = [("plumb", f"the state of its labs is in {place.resolve()}")]
    for number, lab in enumerate(labs, 1):
        own = place / f"lab{number}" if len(labs) > 1 else place
        try:
            texts: dict[str, str] = lab.ask("gather")
        except PlumbError as error:
            texts = {"check.txt": f"nothing could be gathered: {error}\n"}
        for name, text in texts.items():
            path = own / name
            os.makedirs(path.parent, exist_ok=True)
            path.write_text(text)
        sections += [
            (f"plumb {name.removesuffix('.txt')}", texts[name]) for name in SHOWN if texts.get(name)
        ]
    return sections


def _failure_text(failure: str, labs: Sequence[Lab]) -> str:
    stories = [reach.story() for lab in labs for reach in dict.fromkeys(lab.judged[-3:])]
    return "\n\n".join([failure, *stories]) + "\n"
