"""Command lines on a host of a lab: plumb's own, a shell, and their environment."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from plumb import root
from plumb.kernel.netns import user_namespace
from plumb.kernel.netns.fake_host import OWN_FILES

ROOT = f"{OWN_FILES}/root"
"""plumb's root on a host, which its own /run has."""
PROGRAMS = f"{OWN_FILES}/bin"
"""Folder with the program `plumb`, first in the PATH of a host's commands."""
KEPT = ("TERM", "LANG", "NO_COLOR", "COLUMNS", "LINES")
START = (
    "import sys; sys.path[0] = sys.argv.pop(1); from plumb.__main__ import main; sys.exit(main())"
)


def plumb_words(argv: Sequence[str]) -> list[str]:
    """A command line of plumb's, by the interpreter and the modules of this process."""
    return [sys.executable, "-c", START, root.IMPORT_PATH, *argv]


def environment() -> dict[str, str]:
    """Environment of a host's commands: plumb manages this host there."""
    here = {name: os.environ[name] for name in KEPT if name in os.environ}
    inherited = os.environ.get("PATH", os.defpath)
    path = ":".join([PROGRAMS, os.path.dirname(sys.executable), inherited, "/usr/sbin", "/sbin"])
    home = os.environ.get("HOME", "/") if user_namespace.wanted() else "/root"
    return {**here, "PATH": path, "HOME": home, "PLUMB_ROOT": ROOT, "PLUMB_CONFIG": ""}


def shell() -> list[str]:
    """Words of an interactive shell."""
    return ["bash", "--norc"] if shutil.which("bash") else ["sh"]


def prompt(lab: str, host: str) -> dict[str, str]:
    """Environment in which a shell says where it is."""
    return {"PS1": f"{lab + ' ' if lab else ''}{host}# "}


def install() -> None:
    """Write the program `plumb` on the calling host."""
    os.makedirs(PROGRAMS, exist_ok=True)
    path = Path(PROGRAMS, "plumb")
    path.write_text(f'#!/bin/sh\nexec {shlex.join(plumb_words(()))} "$@"\n')
    path.chmod(0o755)
