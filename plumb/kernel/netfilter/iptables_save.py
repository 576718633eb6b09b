"""iptables-save: what it prints, read; and where iptables' commands are found."""

from __future__ import annotations

import os
import subprocess

from plumb.errors import KernelRefused

Ruleset = dict[str, dict[str, tuple[str, list[str]]]]
"""{table: {chain: (policy, specs in order)}}"""


def search_path() -> str:
    """PATH with the sbin folders, which a user's own PATH often lacks."""
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def found(command: str, path: str = "") -> str:
    """Find a command of iptables in a search path, by default `search_path`; "" without one.

    `shutil.which` does the same, and imports three libraries of compression first.
    """
    for folder in (path or search_path()).split(":"):
        file = os.path.join(folder or ".", command)
        if os.access(file, os.X_OK) and os.path.isfile(file):
            return file
    return ""


def parse(text: str) -> Ruleset:
    """Read what iptables-save prints."""
    tables: Ruleset = {}
    chains: dict[str, tuple[str, list[str]]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains = tables.setdefault(line[1:], {})
        elif line.startswith(":"):
            name, policy, _ = line[1:].split(" ", 2)
            chains[name] = (policy, [])
        elif line.startswith("-A "):
            _, chain, spec = (line + " ").split(" ", 2)
            chains[chain][1].append(spec.rstrip())
    return tables


def saved(command: str, *tables: str) -> Ruleset:
    """The rules that are there; none where there is no such command.

    Args:
        command: which one: "iptables-nft-save", "ip6tables-legacy-save".
        tables: one by its name; none: all that the kernel has already.
    """
    path = found(command)
    return parse(_run(path, *tables).stdout) if path else {}


def listed(command: str) -> Ruleset:
    """The rules of all tables that the kernel has already.

    Args:
        command: as of `saved`.

    Raises:
        KernelRefused: there is no such command, or it could not read them.
    """
    path = found(command)
    if not path:
        raise KernelRefused("read the rules", 0, f"there is no {command}")
    ran = _run(path)
    if ran.returncode:
        raise KernelRefused("read the rules", 0, f"{command}: {ran.stderr.strip()}")
    return parse(ran.stdout)


def _run(path: str, *tables: str) -> subprocess.CompletedProcess[str]:
    options = [word for table in tables for word in ("-t", table)]
    return subprocess.run([path, *options], capture_output=True, text=True, check=False)
