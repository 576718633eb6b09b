"""iptables-save: what it prints, read; and where iptables' commands are found."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

from plumb.errors import KernelRefused

Ruleset = dict[str, dict[str, tuple[str, list[str]]]]
"""{table: {chain: (policy, specs in order)}}"""
CountedRuleset = dict[str, dict[str, tuple[str, list[tuple[str, int]]]]]
"""The same with the number of packets that each rule has matched."""
LARGEST = 64 << 20
"""Bytes of a host's rules that are read at most, by one command: some 400,000 rules."""
LONGEST_REASON = 2000
"""Bytes of a command's errors that are told."""
RULE = re.compile(r"(?:\[(\d+):\d+\] )?-A (\S+) ")


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
    """Read what iptables-save prints.

    Raises:
        ValueError, KeyError: it is no such text.
    """
    return {
        table: {name: (policy, [spec for spec, _ in rules]) for name, (policy, rules) in of.items()}
        for table, of in counted(text).items()
    }


def counted(text: str) -> CountedRuleset:
    """Read what iptables-save -c prints; without -c no rule has matched any packet.

    Raises:
        ValueError, KeyError: it is no such text.
    """
    tables: CountedRuleset = {}
    chains: dict[str, tuple[str, list[tuple[str, int]]]] = {}
    for line in _lines(text):
        if line.startswith("*"):
            chains = tables.setdefault(line[1:], {})
        elif line.startswith(":"):
            name, policy, _ = line[1:].split(" ", 2)
            chains[name] = (policy, [])
        elif (rule := RULE.match(line + " ")) is not None:
            chains[rule[2]][1].append((line[rule.end() :].rstrip(), int(rule[1] or 0)))
    return tables


def _lines(text: str) -> Iterator[str]:
    """Yield lines; a comment may have the end of one between its quotation marks.

    The names of links, chains and sets stand without marks, whatever is in them.
    """
    start = 0
    while start < len(text):
        end = _end(text, start)
        yield text[start:end]
        start = end + 1


def _end(text: str, start: int) -> int:
    """Find the end of the line that begins at a place."""
    end = _newline(text, start)
    opening = _OPENING.search(text, start, end)
    while opening:
        quoted = _QUOTED.match(text, opening.end())
        place = quoted.end() if quoted else opening.end()
        end = max(end, _newline(text, place))
        opening = _OPENING.search(text, place, end)
    return end


def _newline(text: str, start: int) -> int:
    found = text.find("\n", start)
    return len(text) if found < 0 else found


_OPENING = re.compile(r' --(?!physdev-|match-set )[a-z0-9-]+ "')
"""The beginning of a text in quotation marks: of a comment, a prefix of the log, a pattern."""
_QUOTED = re.compile(r'(?:[^"\\]|\\.){0,4096}"(?!\S)', re.DOTALL)
"""The rest of it. The kernel's longest, a comment, has 255 bytes."""


def saved(command: str, *tables: str, most: int = LARGEST) -> Ruleset:
    """The rules that are there; none where there is no such command, or it fails.

    Args:
        command: which one: "iptables-nft-save", "ip6tables-legacy-save".
        tables: one by its name; none: all that the kernel has already.
        most: bytes that are read at most; 0 for all.

    Raises:
        KernelRefused: there are more.
    """
    path = found(command)
    options = [word for table in tables for word in ("-t", table)]
    return parse(_printed(path, options, most)[0]) if path else {}


def listed(command: str, most: int = 0) -> CountedRuleset:
    """The rules of all tables that the kernel has already, with their counters.

    Args:
        command: as of `saved`.
        most: bytes that are read at most; 0 for all.

    Raises:
        KernelRefused: there is no such command, it could not read them, or there are more.
        ValueError, KeyError: what it prints is not understood.
    """
    path = found(command)
    if not path:
        raise KernelRefused("read the rules", 0, f"there is no {command}")
    printed, why = _printed(path, ["-c"], most)
    if why:
        raise KernelRefused("read the rules", 0, f"{command}: {why}")
    return counted(printed)


def _printed(path: str, options: list[str], most: int) -> tuple[str, str]:
    """Run the command; what it prints, and why it failed, or "".

    Raises:
        KernelRefused: it prints more.
    """
    errors = os.memfd_create("errors")  # a pipe that nobody reads meanwhile may be full
    try:
        with subprocess.Popen([path, *options], stdout=subprocess.PIPE, stderr=errors) as process:
            assert process.stdout is not None
            printed = process.stdout.read(most + 1 if most else -1)
            if most and len(printed) > most:
                process.kill()
                name = os.path.basename(path)
                raise KernelRefused("read the rules", 0, f"{name}: more than {most >> 20} MiB")
        said = os.pread(errors, LONGEST_REASON, 0)
    finally:
        os.close(errors)
    failed = said.decode(errors="replace").strip() or f"status {process.returncode}"
    return printed.decode(errors="replace"), failed if process.returncode else ""
