"""A user without capabilities, who runs plumb from a virtual environment that all may read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import REPOSITORY

NOBODY = "65534"
WITHOUT = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=-all", "--bounding-set=-all", "env", "-i"),
)
PYTHONS = (sys.executable, "/usr/bin/python3")
VERSION = "import json, sys; print(json.dumps(sys.version_info[:2]))"


@dataclass
class User:
    """Somebody without root.

    Attributes:
        home: folder of the user's, with the virtual environment.
        programs: folder of the environment's programs.
    """

    home: Path
    programs: Path = field(init=False)

    def __post_init__(self) -> None:
        self.programs = self.home / "venv/bin"

    def run(
        self, *argv: str, status: int | None = 0, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command line as that user; status None takes any."""
        path = f"{self.programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        own = (f"PATH={path}", f"HOME={self.home}", f"XDG_RUNTIME_DIR={self.home}")
        ran = subprocess.run(
            [*WITHOUT, *own, *argv],
            input=typed,
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
            timeout=600,
        )
        assert status is None or ran.returncode == status, f"{argv}: {ran.stderr or ran.stdout}"
        return ran

    def plumb(self, *argv: str, status: int | None = 0, typed: str = "") -> str:
        """Run plumb's command line as that user; what it printed, with its errors."""
        ran = self.run("python", "-m", "plumb", *argv, status=status, typed=typed)
        return ran.stdout + ran.stderr


@contextmanager
def user() -> Iterator[User]:
    """A user without root, for the length of a with block; skips where there can be none."""
    home = Path(tempfile.mkdtemp(prefix="plumb-user-"))
    try:
        made = User(home)
        python = next(filter(_usable, PYTHONS), None)
        if python is None:
            pytest.skip("no Python of this version can be run by users without root")
        subprocess.run([python, "-m", "venv", "--without-pip", home / "venv"], check=True)
        packages = next((home / "venv/lib").glob("python3*/site-packages"))
        own = [str(REPOSITORY), *(entry for entry in sys.path if entry.endswith("-packages"))]
        (packages / "plumb.pth").write_text("\n".join(own) + "\n")
        os.chown(home, int(NOBODY), int(NOBODY))
        said = made.run("python", "-c", "import plumb, click", status=None).stderr
        if said:
            pytest.skip(f"users without root cannot import plumb: {said.splitlines()[-1]}")
        if made.run("unshare", "-U", "-r", "-n", "true", status=None).returncode:
            pytest.skip("users without root get no user namespace here")
        yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _usable(python: str) -> bool:
    ran = subprocess.run(
        [*WITHOUT, python, "-c", VERSION], capture_output=True, text=True, check=False, cwd="/"
    )
    return not ran.returncode and json.loads(ran.stdout) == list(sys.version_info[:2])
