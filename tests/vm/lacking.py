"""Which tests this machine's kernel cannot run.

`collected`, by way of a plugin of pytest's, which this module is as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import needs
from tests.vm import user_mode

FILE = "PLUMB_TESTS_LACKING"


def collected() -> dict[str, frozenset[str]]:
    """The node ids of the tests that need a feature which this kernel lacks, and all they need."""
    with tempfile.NamedTemporaryFile("r") as file:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "--collect-only",
                "-qq",
                "-p",
                "tests.vm.lacking",
                "-p",
                "no:cacheprovider",
            ],
            env={**os.environ, FILE: file.name},
            check=False,
            stdout=subprocess.DEVNULL,
        )
        rows = [line.rstrip("\n").split("\t") for line in file]
    return {node: frozenset(needed.split()) for node, needed in rows}


def by_guest(tests: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """Divide tests between the guests: User-mode Linux has those whose features it has."""
    divided: dict[str, list[str]] = {"user-mode": [], "qemu": []}
    for node, needed in tests.items():
        there = user_mode.works() and user_mode.LACKS.isdisjoint(needed)
        divided["user-mode" if there else "qemu"].append(node)
    return divided


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the node ids."""
    rows = [
        f"{item.nodeid}\t{' '.join(needs.needed(item))}\n"
        for item in session.items
        if needs.lacking(item)
    ]
    Path(os.environ[FILE]).write_text("".join(rows))
