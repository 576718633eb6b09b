"""The examples in README.md and docs/.

What stands there was really run, and comes out the same today.

Each `console` block is typed into a shell on a fresh lab host with a LAN, a page at a time and in
its order. A page may have several hosts, as `plumb lab hosts` makes them: they end with the page,
and nobody else sees them. What is the kernel's or plumb's random choice (ids, MACs, link
names) is compared as a kind, not to the letter. `make docs` writes down what comes out now."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plumb.lab import registry
from plumb.lab.hosts import end
from tests import REPOSITORY, labs
from tests.labs import Lab, sh

PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<=^```python\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
KINDS = [
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "<mac>"),
    (r"\bbr-[0-9a-f]{12}\b", "br-<net>"),
    (r"\bveth[0-9a-f]{7}\b", "veth<end>"),
    (r"\b[0-9a-f]{12}\b", "<short id>"),
    (r"@if\d+", "@if<n>"),
    (r"time=[0-9.]+ ms", "time=<t>"),
    (r"\+\d+ µs", "+<t>"),
    (r"after \d+ µs", "after <t>"),
    (r"(?<=:)(2\d{4}|3[01]\d{3})\b", "<token>"),
    (r"\b6[1-5][0-9]{3}\b", "<port>"),
    (r"\b[0-9a-z]{25}\b", "<node>"),
    (r"icmp_seq=\d+", "icmp_seq=<n>"),
    (r" +", " "),
]


def alike(text: str) -> str:
    """Text with what is chosen at random replaced by its kind."""
    for pattern, kind in KINDS:
        text = re.sub(pattern, kind, text)
    return text


def run_block(block: str, env: str) -> str:
    """Type the lines that begin with # or $ into a shell; the block as it comes out."""
    out = ""
    for line in block.splitlines():
        if line.startswith(("# ", "$ ")):
            out += line + "\n" + sh(f"exec 2>&1; {env}; {line[2:]}", check=False)
    return re.sub(
        r"/tmp/plumb-lab-\w+/root",
        "/var/lib/plumb",
        re.sub(r"PLUMB_ROOT=/tmp/plumb-lab-\w+/root ", "", out),
    )


@pytest.fixture(autouse=True)
def name_server(tmp_path: Path) -> Iterator[None]:
    """The host's name server is the LAN's router, whoever's it is outside."""
    given = tmp_path / "resolv.conf"
    given.write_text(f"nameserver {labs.ROUTER}\n")
    sh(f"mount --bind {given} /etc/resolv.conf")
    yield
    sh("umount /etc/resolv.conf")


@pytest.fixture(autouse=True)
def own_labs() -> Iterator[None]:
    """The page's labs of several hosts are its own; whatever runs of them ends with it."""
    Path(registry.FOLDER).mkdir(mode=0o700, exist_ok=True)
    sh(f"mount -t tmpfs -o mode=700 labs {registry.FOLDER}")
    yield
    for entry in registry.every():
        end(entry)
    sh(f"umount {registry.FOLDER}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_come_out_as_written(page: Path) -> None:
    """Every example of a page gives what the page says."""
    text = page.read_text()
    with labs.lab(lan=True) as lab:
        env = (
            f"export PLUMB_ROOT={lab.root} PYTHONPATH={REPOSITORY} LAN={lab.lan}; "
            f'plumb() {{ {sys.executable} -m plumb "$@"; }}'
        )
        found = BLOCK.sub(lambda match: run_block(match[0], env), text)
        lab.plumb("reset", "--force")
    if os.environ.get("PLUMB_UPDATE_DOCS"):
        page.write_text(found)

    assert alike(page.read_text()) == alike(found)


def test_the_readmes_python_runs(lan: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's Python does what it says."""
    monkeypatch.setenv("PLUMB_ROOT", str(lan.root))
    for code in CODE.findall((REPOSITORY / "README.md").read_text()):
        exec(compile(code, "README.md", "exec"), {})
    with lan.host() as host:
        host.reset()


def test_every_verb_is_in_the_manual() -> None:
    """docs/commands.md names every verb, and every verb says in a line what it is for."""
    from plumb.cli import VERBS, plumb

    manual = (REPOSITORY / "docs/commands.md").read_text()
    for name in VERBS:
        command = plumb.get_command(None, name)  # type: ignore[arg-type]  # the table needs no context

        assert f"plumb {name}" in manual
        assert command is not None
        assert command.help
