"""Commands of remedies: run where they are meant for, with the system's own tools."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from plumb.errors import PlumbError, Unsupported
from plumb.kernel.netfilter.iptables_save import found, search_path
from plumb.kernel.netns.namespaces import entered
from plumb.root import IMPORT_PATH

HANDLE = re.compile(r"comment \"(?P<mark>[\w-]+)\".*# handle (?P<handle>\d+)")
SECONDS = 300
"""Time for a command: an engine that is restarted takes its containers along."""


class CommandFailed(PlumbError):
    """A command ended with another status than 0, as one does that has changed nothing."""


def inode(ns: str) -> int:
    """The inode of a namespace file, 0 for the host's; -1 where it is gone."""
    try:
        return os.stat(ns).st_ino if ns else 0
    except OSError:
        return -1


def run(argv: tuple[str, ...], ns: str) -> None:
    """Run a command.

    Args:
        argv: its words; `nft delete rule FAMILY TABLE CHAIN comment WORD` finds the rule's handle.
        ns: the namespace file, "" for the host's.

    Raises:
        Unsupported: there is no such command.
        CommandFailed: its status was not 0. PlumbError: it did not end.
    """
    with entered(ns):
        words = _words(argv)
        env = {**os.environ, "PATH": search_path(), "LC_ALL": "C"}
        if argv[0] == "plumb":
            env["PYTHONPATH"] = IMPORT_PATH
        ran = _output(words, env)
    if ran.returncode:
        said = (ran.stderr or ran.stdout).strip().splitlines()
        raise CommandFailed(f"{' '.join(argv)}: {said[0] if said else f'status {ran.returncode}'}")


def _words(argv: tuple[str, ...]) -> list[str]:
    """The words of a process's command line."""
    if argv[0] == "plumb":
        return [sys.executable, "-m", "plumb", *argv[1:]]
    if argv[:3] == ("nft", "delete", "rule") and argv[6:7] == ("comment",):
        return [_program("nft"), *argv[1:6], "handle", _handle(argv[3:6], argv[7])]
    return [_program(argv[0]), *argv[1:]]


def _program(name: str) -> str:
    path = found(name)
    if not path:
        raise Unsupported(f"there is no command {name} on this host", f"install {name}")
    return path


def _handle(chain: tuple[str, ...], mark: str) -> str:
    """The handle of the first rule of a chain with a comment."""
    env = {**os.environ, "PATH": search_path()}
    listed = _output([_program("nft"), "-a", "list", "chain", *chain], env).stdout
    for rule in HANDLE.finditer(listed):
        if rule["mark"] == mark:
            return rule["handle"]
    raise CommandFailed(f"nft list chain {' '.join(chain)}: no rule has the comment {mark}")


def _output(words: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=env,
            cwd="/",  # where `python -m` looks for modules first, and only root writes
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise PlumbError(f"{' '.join(words)} did not end within {SECONDS} s") from error
