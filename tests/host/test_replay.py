"""Replay: the commands that plumb prints, typed into a shell on a fresh host, make what plumb
makes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from plumb.kernel.netfilter.iptables_save import search_path
from plumb.kernel.netns import namespaces
from plumb.kernel.system import this_system
from plumb.model.cnm import Status
from plumb.plan import Step
from plumb.views.shell import commands
from tests import REPOSITORY, fake_cluster, labs
from tests.cases import CASES, KEYS, Case, fixed, on_kernels
from tests.labs import Lab, sh, state

TYPED = [name for name in CASES if name != "command"]
"""A command's own process is no kernel state to compare; test_processes.py is about those."""


def a_plumb(folder: Path) -> Path:
    """A folder with the command `plumb` in it."""
    script = folder / "plumb"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m plumb "$@"\n')
    script.chmod(0o755)
    return folder


LEGACY = ("default", "apart", "internal", "published", "published-no-proxy")


def a_legacy_host(folder: Path) -> None:
    """Make the folder's iptables the legacy ones."""
    for tool in ("iptables", "ip6tables"):
        (folder / tool).symlink_to(shutil.which(f"{tool}-legacy", path=search_path()) or "")


@pytest.mark.sampled(12, "kind")
@pytest.mark.parametrize(("name", "kind"), [*on_kernels(TYPED, ""), *on_kernels(LEGACY, "legacy")])
def test_what_is_printed_does_what_plumb_does(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each case: same links, addresses, routes, sysctls, rules and listeners, on the host and
    in every sandbox."""
    case = CASES[name]
    lines: list[str] = []
    if kind:
        a_legacy_host(tmp_path)
    monkeypatch.setenv("PATH", f"{a_plumb(tmp_path)}:{os.environ['PATH']}")
    with labs.iptables(kind), fake_cluster.processes():
        replay(case, lines, monkeypatch)


def replay(case: Case, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Build it, take it down, type what was printed meanwhile, and compare."""

    def note(steps: Sequence[Step]) -> None:
        lines.extend(commands(steps))

    with labs.lab(lan=True) as lab:
        sh(case.before or "true")
        system = fixed(this_system())
        with lab.host(settings=case.settings, system=system, on_steps=note) as host:
            with host.operation() as verbs:
                case.build(verbs)
            boxes = {
                box.name: host.namespace(box)
                for box in host.containers()
                if box.status is Status.RUNNING and not box.shares
            }
            built, printed = state(boxes), list(lines)
            host.reset()
        monkeypatch.setenv("PLUMB_ROOT", str(lab.root))
        for tag, secret in KEYS.keys:
            monkeypatch.setenv(f"PLUMB_KEY_{tag}", secret)
        sh("\n".join(["set -e", *printed]))
        typed = state(boxes)
        sh("plumb agent stop")
        for path in boxes.values():
            namespaces.drop(path)

    assert typed == built


def test_dry_run_prints_and_changes_nothing(lan: Lab) -> None:
    """`--dry-run` prints the commands and leaves no trace, not even a root."""
    before = state()
    printed = lan.plumb("network", "create", "--dry-run", "n1").stdout

    assert "type bridge" in printed
    assert before == state()
    assert not lan.root.exists()


def test_show_commands_prints_and_does(lan: Lab) -> None:
    """`--show-commands` prints the same and does it; standard output ends with the id."""
    printed = lan.plumb("network", "create", "--show-commands", "n1").stdout

    assert "-j MASQUERADE" in printed
    assert len(printed.splitlines()[-1]) == 64
    assert "MASQUERADE" in sh("iptables -t nat -S POSTROUTING")
    lan.plumb("reset", "--force")
