"""Processes beside plumb's commands: one that does not get ready holds up nobody for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plumb.errors import KernelRefused
from plumb.kernel import background
from tests.waiting import until

HUNG = """
import os, sys, time
os.fork() and os._exit(0)
open(sys.argv[2], "w").write(str(os.getpid()))
time.sleep(1000)
"""


def test_one_that_does_not_get_ready_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it has forked."""
    monkeypatch.setattr(background, "SECONDS", 5)
    with pytest.raises(KernelRefused, match="add the agent: it was not ready within 5 s"):
        background.launch("the agent", HUNG, [str(tmp_path / "pid")])
    pid = (tmp_path / "pid").read_text()
    until(lambda: not os.path.exists(f"/proc/{pid}/exe"), "it has ended")


def test_one_that_ends_before_it_is_ready_is_told() -> None:
    with pytest.raises(KernelRefused, match="it ended before it was ready"):
        background.launch("the agent", "pass", [])
