"""Which tests this machine's kernel cannot run.

`collected`, by way of a plugin of pytest's, which this module is as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import needs

FILE = "PLUMB_TESTS_LACKING"


def collected() -> list[str]:
    """The node ids of the tests that need a feature which this kernel lacks."""
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
        return file.read().splitlines()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the node ids."""
    found = [item.nodeid for item in session.items if needs.lacking(item)]
    Path(os.environ[FILE]).write_text("".join(f"{each}\n" for each in found))
